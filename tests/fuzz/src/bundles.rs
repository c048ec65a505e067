//! Readers of whole Bundles and of the answers to them.

use fireguard_fhir::bundle::places::{self, Change, EntryPlace};
use fireguard_fhir::bundle::responses::{EntryResponse, Responses};
use fireguard_fhir::json::{self, check};

const OTHER: &[u8] = br#"{"resourceType":"Basic"}"#;

/// The first byte decides what becomes of which entry.
pub fn entries(data: &[u8]) {
    let Some((seed, text)) = data.split_first() else { return };
    let Ok(found) = places::entries(text) else { return };
    let kept = places::rebuild(text, found.iter().map(|place| (place, Change::Keep)));
    assert!(kept == text, "nothing was asked to change");

    let change =
        |(number, place): (usize, &EntryPlace)| match (number as u8).wrapping_mul(37).wrapping_add(*seed) % 3
        {
            0 => Change::Keep,
            1 if place.resource.is_some() => Change::Resource(OTHER),
            1 => Change::Keep,
            _ => Change::Cut,
        };
    let changes: Vec<_> = found.iter().enumerate().map(|place| (place.1, change(place))).collect();
    let changed = places::rebuild(text, changes.iter().copied());
    // What is no text may stand anywhere in it, and stays.
    if check(text).is_ok() {
        assert_eq!(check(&changed), Ok(()), "{}", String::from_utf8_lossy(&changed));
    }
    let again = places::entries(&changed)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&changed)));
    let resource = |text: &[u8], place: &EntryPlace| place.resource.clone().map(|at| text[at].to_vec());
    let expected =
        changes.iter().filter(|(_, change)| *change != Change::Cut).map(|(place, change)| match change {
            Change::Resource(bytes) => Some(bytes.to_vec()),
            _ => resource(text, place),
        });
    let given = again.iter().map(|place| resource(&changed, place));
    assert!(given.eq(expected), "other entries: {}", String::from_utf8_lossy(&changed));
}

/// The first byte says in how large pieces the others come.
pub fn responses(data: &[u8]) {
    let Some((size, text)) = data.split_first() else { return };
    let (whole, cut) = (answers(text, text.len().max(1)), answers(text, usize::from(*size).max(1)));
    match (&whole, &cut) {
        (Ok(whole), Ok(cut)) => assert_eq!(whole, cut, "cuts make a difference"),
        (whole, cut) => assert_eq!(whole.is_ok(), cut.is_ok(), "cuts make a difference: {whole:?} {cut:?}"),
    }
}

fn answers(text: &[u8], size: usize) -> Result<Vec<EntryResponse>, json::Error> {
    let mut responses = Responses::default();
    let mut found = Vec::new();
    for piece in text.chunks(size) {
        found.extend(responses.feed(piece)?);
    }
    responses.finish()?;
    Ok(found)
}

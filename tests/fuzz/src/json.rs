//! Readers of JSON.

use fireguard_fhir::bundle::join::Joiner;
use fireguard_fhir::bundle::split::{SplitError, Splitter};
use fireguard_fhir::bundle::{Entry, Piece};
use fireguard_fhir::json::scan::Checker;
use fireguard_fhir::json::{self, ErrorKind, Step, check, transform};

/// The first byte says in how large pieces the others come.
pub fn scanner(data: &[u8]) {
    let Some((size, text)) = data.split_first() else { return };
    let (whole, cut) = (scan(text, text.len().max(1)), scan(text, usize::from(*size).max(1)));
    assert_eq!(whole.is_ok(), cut.is_ok(), "cuts make a difference: {whole:?} {cut:?}");
    match whole {
        Ok(()) => match check(text) {
            Ok(()) => {
                let parsed: Result<serde_json::Value, _> = serde_json::from_slice(text);
                assert!(parsed.is_ok(), "{parsed:?}");
            }
            // A stream lets escapes pass that stand for no character.
            Err(error) if error.kind == ErrorKind::Encoding => {}
            Err(error) => panic!("the two readers do not agree: {error}"),
        },
        // A stream has limits that a whole value has not.
        Err(error) if error.kind == ErrorKind::TooLong => {}
        Err(error) => assert!(check(text).is_err(), "the two readers do not agree: {error}"),
    }
}

fn scan(text: &[u8], size: usize) -> Result<(), json::Error> {
    let mut checker = Checker::default();
    for piece in text.chunks(size) {
        checker.feed(piece)?;
    }
    checker.finish()
}

/// The first byte decides what becomes of which place.
pub fn rewrite(data: &[u8]) {
    let Some((seed, text)) = data.split_first() else { return };
    let kept = transform(text, |_, _, _| Step::Enter(()));
    assert_eq!(kept.is_ok(), check(text).is_ok());
    let Ok(kept) = kept else { return };
    assert!(kept.is_unchanged() && kept.apply(text) == text, "nothing was asked to change");

    let changed = transform(text, |path, value, out| {
        let sum = path.bytes().fold(*seed, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
        match sum % 7 {
            0 => Step::Keep,
            1 => Step::Drop,
            2 => Step::Blank,
            3 => Step::EnterOrBlank(()),
            4 => {
                json::write_string(out, &value.string().unwrap_or_default());
                Step::Replace
            }
            _ => Step::Enter(()),
        }
    });
    let changed = changed.expect("what can be kept can be changed").apply(text);
    // A root that is a scalar is nobody's member or element.
    assert_eq!(check(&changed), Ok(()), "{}", String::from_utf8_lossy(&changed));
}

/// The first byte says in how large pieces the others come.
pub fn split(data: &[u8]) {
    let Some((size, text)) = data.split_first() else { return };
    let (whole, cut) = (pieces(text, text.len().max(1)), pieces(text, usize::from(*size).max(1)));
    match (&whole, &cut) {
        (Ok(whole), Ok(cut)) => assert_eq!(whole, cut, "cuts make a difference"),
        (whole, cut) => assert_eq!(whole.is_ok(), cut.is_ok(), "cuts make a difference: {whole:?} {cut:?}"),
    }
    let Ok(pieces) = whole else { return };
    let resources = resources(&pieces);
    for resource in &resources {
        assert!(text.windows(resource.len()).any(|window| window == *resource), "a resource was changed");
    }
    let joined = join(&pieces);
    let again = self::pieces(&joined, joined.len())
        .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&joined)));
    assert_eq!(self::resources(&again), resources, "joined otherwise than split");
}

fn pieces(text: &[u8], size: usize) -> Result<Vec<Piece>, SplitError> {
    let mut splitter = Splitter::new(1 << 20);
    let mut pieces = Vec::new();
    for piece in text.chunks(size) {
        pieces.extend(splitter.feed(piece)?);
    }
    splitter.finish()?;
    Ok(pieces)
}

fn resources(pieces: &[Piece]) -> Vec<&[u8]> {
    let resource = |piece| match piece {
        &Piece::Entry(Entry { resource: Some(ref resource), .. }) => Some(resource.as_slice()),
        _ => None,
    };
    pieces.iter().filter_map(resource).collect()
}

fn join(pieces: &[Piece]) -> Vec<u8> {
    let mut joiner = Joiner::new("http://fireguard.example/r4".to_owned());
    let mut out = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Type(kind) => joiner.kind(kind.clone()),
            Piece::Link { relation, url } => joiner.link(relation.clone(), url.clone()),
            Piece::Entry(entry) => {
                let Some(resource) = &entry.resource else { continue };
                let resource_type = json::resource_type_of(resource).unwrap_or_default();
                let id = json::member(resource, "id").and_then(|id| id.string());
                joiner.entry(&mut out, entry, (&resource_type, id.as_deref()), resource);
            }
        }
    }
    joiner.finish(&mut out);
    out
}

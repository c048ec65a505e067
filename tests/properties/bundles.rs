//! Split and joined again, a Bundle keeps every byte of its resources, wherever the stream is cut.

use fireguard_fhir::bundle::join::Joiner;
use fireguard_fhir::bundle::split::Splitter;
use fireguard_fhir::bundle::{Entry, Piece};
use fireguard_fhir::json;
use proptest::prelude::*;
use serde_json::value::RawValue;

use crate::samples::{Sample, bundles};

/// Documents up to this size are cut at every byte.
const SMALL: usize = 10_000;

#[test]
fn every_resource_keeps_its_bytes() {
    for sample in bundles() {
        let expected = resources(&sample);
        assert!(!expected.is_empty(), "{}", sample.name);
        for size in [61, 4096, 65_536, sample.bytes.len()] {
            let pieces = split(sample.bytes.chunks(size));
            assert!(split_resources(&pieces) == expected, "{} in pieces of {size}", sample.name);
            let joined = join(&pieces);
            assert!(json::check(&joined).is_ok(), "{}", sample.name);
            let again = split(joined.chunks(size));
            assert!(split_resources(&again) == expected, "{} joined, in pieces of {size}", sample.name);
        }
    }
}

#[test]
fn small_bundles_are_cut_at_every_byte() {
    let mut small = bundles();
    small.retain(|sample| sample.bytes.len() <= SMALL);
    for sample in small {
        let expected = resources(&sample);
        for cut in 0..=sample.bytes.len() {
            let (start, end) = sample.bytes.split_at(cut);
            assert!(
                split_resources(&split([start, end].into_iter())) == expected,
                "{} at {cut}",
                sample.name
            );
        }
        assert!(split_resources(&split(sample.bytes.chunks(1))) == expected, "{} byte by byte", sample.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cuts_do(which: prop::sample::Index, sizes in prop::collection::vec(1..9_000_usize, 1..40)) {
        let samples = smaller();
        if samples.is_empty() {
            return Ok(());
        }
        let sample = which.get(&samples);
        let mut rest = sample.bytes.as_slice();
        let mut cuts = Vec::new();
        for size in sizes.iter().cycle() {
            let (piece, others) = rest.split_at((*size).min(rest.len()));
            cuts.push(piece);
            rest = others;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(split_resources(&split(cuts.into_iter())) == resources(sample), "{}", sample.name);
    }
}

/// Read once: a property is tried many times.
fn smaller() -> Vec<&'static Sample> {
    static SAMPLES: std::sync::OnceLock<Vec<Sample>> = std::sync::OnceLock::new();
    let samples = SAMPLES.get_or_init(bundles);
    samples.iter().filter(|sample| sample.bytes.len() < 400_000).collect()
}

fn split<'a>(cuts: impl Iterator<Item = &'a [u8]>) -> Vec<Piece> {
    let mut splitter = Splitter::new(1 << 24);
    let pieces = cuts.flat_map(|cut| splitter.feed(cut).unwrap()).collect();
    splitter.finish().unwrap();
    pieces
}

fn split_resources(pieces: &[Piece]) -> Vec<&[u8]> {
    let entries = pieces.iter().filter_map(|piece| match piece {
        Piece::Entry(Entry { resource, .. }) => resource.as_deref(),
        Piece::Type(_) | Piece::Link { .. } => None,
    });
    entries.collect()
}

/// As another reader finds them.
fn resources(sample: &Sample) -> Vec<&[u8]> {
    let text = std::str::from_utf8(&sample.bytes).unwrap();
    let bundle: std::collections::BTreeMap<&str, &RawValue> = serde_json::from_str(text).unwrap();
    let entries: Vec<std::collections::BTreeMap<&str, &RawValue>> =
        serde_json::from_str(bundle["entry"].get()).unwrap();
    entries.iter().map(|entry| entry["resource"].get().as_bytes()).collect()
}

fn join(pieces: &[Piece]) -> Vec<u8> {
    let mut joiner = Joiner::new("http://fireguard.example/r4".to_owned());
    let mut out = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Type(kind) => joiner.kind(kind.clone()),
            Piece::Link { relation, url } => joiner.link(relation.clone(), url.clone()),
            Piece::Entry(entry) => {
                let resource = entry.resource.as_deref().unwrap();
                let resource_type = json::resource_type_of(resource).unwrap();
                let id = json::member(resource, "id").and_then(|id| id.string());
                joiner.entry(&mut out, entry, (&resource_type, id.as_deref()), resource);
            }
        }
    }
    joiner.finish(&mut out);
    out
}

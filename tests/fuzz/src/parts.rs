//! The reader that takes answers to batches apart, to put other entries in.

use fireguard_fhir::bundle::parts::{Part, Parts};
use fireguard_fhir::json::Error;

/// The first byte says in how large pieces the others come.
pub fn parts(data: &[u8]) {
    let Some((size, text)) = data.split_first() else { return };
    let (whole, cut) = (taken_apart(text, text.len().max(1)), taken_apart(text, usize::from(*size).max(1)));
    let (Ok(whole), Ok(cut)) = (&whole, &cut) else {
        assert_eq!(whole.is_ok(), cut.is_ok(), "cuts make a difference: {whole:?} {cut:?}");
        return;
    };
    for parts in [whole, cut] {
        let together: Vec<u8> = parts.iter().flat_map(Part::bytes).copied().collect();
        assert!(together == text, "together they are something else");
    }
    let entries = |parts: &[Part]| -> Vec<Part> {
        parts.iter().filter(|part| matches!(part, Part::Entry { .. })).cloned().collect()
    };
    assert_eq!(entries(whole), entries(cut), "cuts make a difference");
}

fn taken_apart(text: &[u8], size: usize) -> Result<Vec<Part>, Error> {
    // Longer than any of the seeds: where an entry that is too long is cut off depends on how it came.
    let mut parts = Parts::new(1 << 20);
    let mut taken = Vec::new();
    for piece in text.chunks(size) {
        taken.extend(parts.feed(piece)?);
    }
    parts.finish()?;
    Ok(taken)
}

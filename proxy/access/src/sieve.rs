//! A Bundle whose entries are judged one by one as it streams: those that may not be seen are cut out, and what is left
//! keeps its bytes.

use std::borrow::Cow;

use fireguard_fhir::bundle::envelope::{self, Envelope, Written};
use fireguard_fhir::bundle::parts::{Part, Parts};

use crate::resource::{FoundEntry, Unclear};

/// The Bundle is withheld.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SieveError {
    /// It is none that can be read; this says why.
    #[error("{0}")]
    NotRead(String),
    /// It is not the one that was asked for.
    #[error("{0}")]
    Unproved(&'static str),
}

/// Says what becomes of entries.
pub trait Judges {
    /// Whether the Bundle may be shown at all, by what is around its entries.
    ///
    /// # Errors
    /// It may not.
    fn envelope(&self, envelope: &Envelope) -> Result<(), SieveError>;

    /// Whether `total` is known to be true of what is shown.
    fn total(&self) -> bool;

    /// What is shown of an entry, in which this was found. None: nothing, and nobody sees that there was one.
    fn show<'e>(&self, entry: &'e [u8], found: Result<FoundEntry, Unclear>) -> Option<Cow<'e, [u8]>>;
}

/// Lets the entries of a Bundle through that are shown. What is around them is held back until the first of them is,
/// because a list without entries is none in FHIR.
pub struct Sieve<J> {
    judges: J,
    parts: Parts,
    limit: usize,
    /// What stands before the list of entries, or before its first entry.
    before: Vec<u8>,
    /// What separates the entry before from the next.
    separator: Vec<u8>,
    /// What follows the list.
    after: Vec<u8>,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// No entry has come.
    Before,
    /// Some have come, and none is shown.
    Cut,
    /// One is shown at least.
    Among,
    /// The list is over; one is shown at least, or none.
    After(bool),
}

impl<J: Judges> Sieve<J> {
    /// Holds no entry, and no envelope, longer than so many bytes.
    pub fn new(judges: J, limit: usize) -> Self {
        Self {
            judges,
            parts: Parts::new(limit),
            limit,
            before: Vec::new(),
            separator: Vec::new(),
            after: Vec::new(),
            place: Place::Before,
        }
    }

    /// A whole Bundle.
    ///
    /// # Errors
    /// It cannot be understood, or may not be shown.
    pub fn whole(mut self, bundle: &[u8]) -> Result<Vec<u8>, SieveError> {
        let mut out = Vec::with_capacity(bundle.len());
        self.feed(bundle, &mut out)?;
        self.finish(&mut out)?;
        Ok(out)
    }

    /// Takes the next bytes; appends what is shown.
    ///
    /// # Errors
    /// It is withheld from here on.
    pub fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), SieveError> {
        let (mut rest, mut parts) = (chunk, Vec::new());
        while !rest.is_empty() {
            let taken = self.parts.feed_to(rest, &mut parts).map_err(|error| not_read(error.to_string()))?;
            for part in parts.drain(..) {
                self.part(part, out)?;
            }
            rest = rest.get(taken..).unwrap_or_default();
            // An entry that is whole here and as it should be is read once, where it stands. Any other is taken apart with the
            // Bundle, and read when it is whole.
            let first = if rest.is_empty() { None } else { FoundEntry::first(rest) };
            if let Some((found, length)) = first.filter(|(_, length)| *length <= self.limit)
                && let Some((entry, after)) = rest.split_at_checked(length)
            {
                self.among_entries()?;
                self.entry(entry, found, out)?;
                self.parts.pass(length);
                rest = after;
            }
        }
        Ok(())
    }

    fn part(&mut self, part: Part, out: &mut Vec<u8>) -> Result<(), SieveError> {
        match (part, self.place) {
            (Part::Between(bytes), Place::Before) => self.before.extend_from_slice(&bytes),
            (Part::Between(bytes), Place::Cut | Place::Among) => {
                if !bytes.iter().all(|byte| byte.is_ascii_whitespace() || *byte == b',') {
                    return Err(not_read("something in its list of entries is no entry"));
                }
                self.separator.extend_from_slice(&bytes);
            }
            (Part::Between(bytes), Place::After(_)) => self.after.extend_from_slice(&bytes),
            (Part::Entry { bytes, whole: true, .. }, _) => {
                self.among_entries()?;
                self.entry(&bytes, FoundEntry::of(&bytes), out)?;
            }
            (Part::Entry { whole: false, .. } | Part::Rest(_), _) => {
                return Err(not_read(format!("a resource is larger than {} bytes", self.limit)));
            }
            (Part::End, place) => {
                // An end within brackets that are all there is to it.
                self.place = Place::After(place == Place::Among);
            }
        }
        if self.before.len().max(self.after.len()).max(self.separator.len()) > self.limit {
            return Err(not_read("what is around its entries is too long"));
        }
        Ok(())
    }

    /// There is one list of entries.
    fn among_entries(&self) -> Result<(), SieveError> {
        if matches!(self.place, Place::After(_)) {
            return Err(not_read("it has two lists of entries"));
        }
        Ok(())
    }

    fn entry(
        &mut self,
        entry: &[u8],
        found: Result<FoundEntry, Unclear>,
        out: &mut Vec<u8>,
    ) -> Result<(), SieveError> {
        let Some(shown) = self.judges.show(entry, found) else {
            if self.place == Place::Before {
                self.place = Place::Cut;
            }
            // What separates it is kept: the next one that is shown needs it.
            return Ok(());
        };
        if self.place == Place::Among {
            out.extend_from_slice(one_comma(&self.separator));
        } else {
            let mut text = std::mem::take(&mut self.before);
            text.extend_from_slice(b"]}");
            let mut bytes = self.envelope(&text, true)?;
            bytes.truncate(bytes.len().saturating_sub(2));
            out.append(&mut bytes);
            self.place = Place::Among;
        }
        self.separator.clear();
        out.extend_from_slice(&shown);
        Ok(())
    }

    /// The Bundle is over; appends what is left.
    ///
    /// # Errors
    /// It was not complete, or may not be shown.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), SieveError> {
        self.parts.finish().map_err(|error| not_read(error.to_string()))?;
        if self.place == Place::After(true) {
            let text = [br#"{"entry":["#, &*self.after].concat();
            let bytes = self.written(&text, true)?.bytes;
            out.extend_from_slice(bytes.get(br#"{"entry":["#.len()..).unwrap_or_default());
            return Ok(());
        }
        let text = [std::mem::take(&mut self.before), std::mem::take(&mut self.after)].concat();
        out.append(&mut self.envelope(&text, false)?);
        Ok(())
    }

    /// What is around the entries, if the Bundle may be shown.
    fn envelope(&self, text: &[u8], entries: bool) -> Result<Vec<u8>, SieveError> {
        let Written { envelope, bytes } = self.written(text, entries)?;
        if envelope.resource_type.as_deref() != Some("Bundle") {
            return Err(not_read("it is no Bundle".to_owned()));
        }
        self.judges.envelope(&envelope)?;
        Ok(bytes)
    }

    fn written(&self, text: &[u8], entries: bool) -> Result<Written, SieveError> {
        let total = self.judges.total();
        envelope::written(text, total, entries).map_err(|error| not_read(error.to_string()))
    }
}

/// What separates two entries that are shown: of several separators, with what was cut out between them, the first.
fn one_comma(separator: &[u8]) -> &[u8] {
    let mut commas = separator.iter().enumerate().filter(|(_, byte)| **byte == b',');
    match (commas.next(), commas.next()) {
        (Some(_), Some((second, _))) => &separator[..second],
        _ => separator,
    }
}

fn not_read(detail: impl Into<String>) -> SieveError {
    SieveError::NotRead(detail.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// Shows what does not say that it is hidden; changes what says so.
    struct Words(bool);

    impl Judges for Words {
        fn envelope(&self, envelope: &Envelope) -> Result<(), SieveError> {
            assert_eq!(envelope.kind.as_deref(), Some("searchset"));
            Ok(())
        }

        fn total(&self) -> bool {
            self.0
        }

        fn show<'e>(&self, entry: &'e [u8], found: Result<FoundEntry, Unclear>) -> Option<Cow<'e, [u8]>> {
            assert_eq!(found, FoundEntry::of(entry), "read where it stands, or when it was whole");
            let text = std::str::from_utf8(entry).unwrap();
            match text {
                text if text.contains("hidden") => None,
                text if text.contains("change") => Some(text.replace("change", "other").into_bytes().into()),
                _ => Some(entry.into()),
            }
        }
    }

    fn bundle(entries: &[&str], pretty: bool, after: &str) -> String {
        let (comma, space) = if pretty { (" ,\n  ", "\n  ") } else { (",", "") };
        let entries: Vec<_> =
            entries.iter().map(|word| format!(r#"{{"resource":{{"id":"{word}"}}}}"#)).collect();
        format!(
            r#"{{"resourceType":"Bundle",{space}"id":"b","type":"searchset","total":{},"entry":[{space}{}{space}]{after}}}"#,
            entries.len(),
            entries.join(comma)
        )
    }

    fn sieved(text: &str, cuts: &[usize], total: bool) -> Result<Value, SieveError> {
        let mut sieve = Sieve::new(Words(total), 4096);
        let (mut out, mut from) = (Vec::new(), 0);
        for cut in cuts.iter().copied().chain([text.len()]) {
            let cut = cut.clamp(from, text.len());
            sieve.feed(&text.as_bytes()[from..cut], &mut out)?;
            from = cut;
        }
        sieve.finish(&mut out)?;
        Ok(serde_json::from_slice(&out)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out))))
    }

    proptest! {
        #[test]
        fn what_is_shown_keeps_its_order_and_nothing_else_leaves(
            words in prop::collection::vec(prop::sample::select(vec!["shown", "hidden", "change"]), 0..6),
            mut cuts in prop::collection::vec(0..600_usize, 0..6),
            pretty: bool,
            total: bool,
            after in prop::sample::select(vec!["", r#","signature":{"x":"hidden"}"#, r#","link":[],"z":"hidden""#]),
        ) {
            cuts.sort_unstable();
            let shown = sieved(&bundle(&words, pretty, after), &cuts, total).unwrap();
            prop_assert!(!shown.to_string().contains("hidden"));
            prop_assert_eq!(&shown["id"], "b");
            prop_assert_eq!(shown["total"].as_u64(), total.then_some(words.len() as u64));
            let ids: Option<Vec<&str>> = shown.get("entry").map(|entries| {
                entries.as_array().unwrap().iter().map(|entry| entry["resource"]["id"].as_str().unwrap()).collect()
            });
            let expected: Vec<_> = words
                .iter()
                .filter(|word| **word != "hidden")
                .map(|word| if *word == "change" { "other" } else { word })
                .collect();
            prop_assert_eq!(ids, (!expected.is_empty()).then_some(expected));
        }
    }

    #[test]
    fn what_is_no_bundle_is_withheld() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"resourceType":"Patient","type":"searchset","id":"1"}"#,
            r#"{"resourceType":"Bundle","type":"searchset","entry":[{}]"#,
            r#"{"resourceType":"Bundle","type":"searchset","entry":[{}],"entry":[{}]}"#,
            r#"{"resourceType":"Bundle","type":"searchset","entry":["x",{}]}"#,
        ] {
            assert!(sieved(text, &[], false).is_err(), "{text}");
        }
        let none = sieved(r#"{"resourceType":"Bundle","type":"searchset","entry":[7]}"#, &[], false).unwrap();
        assert_eq!(none.to_string(), r#"{"resourceType":"Bundle","type":"searchset"}"#);
        let long = bundle(&["shown".repeat(1000).as_str()], false, "");
        assert!(sieved(&long, &[], false).is_err());
    }
}

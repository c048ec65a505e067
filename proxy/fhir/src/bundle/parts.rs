//! Takes a Bundle apart into its entries and what stands between them, every byte as it was written.

use std::mem::take;

use crate::json::scan::{Interest, Scanner, Sink};
use crate::json::{self, unescape};

/// A piece of a Bundle. All of them in order are the Bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// What is not an entry: the envelope, and what separates entries.
    Between(Vec<u8>),
    /// An entry, from brace to brace.
    Entry {
        /// Its bytes; of one that is too long the beginning.
        bytes: Vec<u8>,
        /// The first three digits of `response.status`; none if there are none, or the entry is too long.
        status: Option<u16>,
        /// These are all its bytes.
        whole: bool,
    },
    /// More of an entry that was too long.
    Rest(Vec<u8>),
    /// The list of entries ends: its closing bracket comes next.
    End,
}

impl Part {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Between(bytes) | Self::Entry { bytes, .. } | Self::Rest(bytes) => bytes,
            Self::End => &[],
        }
    }
}

/// The reader: feed it the body in any cuts, take the parts.
pub struct Parts {
    scanner: Scanner<Place>,
    sink: Cutter,
}

struct Cutter {
    /// An entry is held whole up to so many bytes.
    limit: usize,
    parts: Vec<Part>,
    between: Vec<u8>,
    entry: Option<Vec<u8>>,
    /// What is between belongs to an entry that was too long.
    rest: bool,
    status: Option<u16>,
    kind: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Type,
    Entries,
    Entry,
    Response,
    Status,
    Other,
}

impl Parts {
    /// A reader that holds no entry longer than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        let sink = Cutter {
            limit,
            parts: Vec::new(),
            between: Vec::new(),
            entry: None,
            rest: false,
            status: None,
            kind: None,
        };
        Self { scanner: Scanner::new(Place::Root, false), sink }
    }

    /// Takes the next bytes and gives the parts that are complete with them. Only an entry is held back.
    ///
    /// # Errors
    /// The body is not valid JSON.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Vec<Part>, json::Error> {
        self.scanner.feed(chunk, &mut self.sink)?;
        self.sink.flush();
        Ok(take(&mut self.sink.parts))
    }

    /// The same up to an entry that begins, and how many bytes that were; all of them, if none does. Fed on from there it
    /// takes the entry like any, unless [`Parts::pass`] says that it was taken.
    ///
    /// # Errors
    /// As [`Parts::feed`].
    pub fn feed_to(&mut self, chunk: &[u8], parts: &mut Vec<Part>) -> Result<usize, json::Error> {
        let taken = self.scanner.feed_to(chunk, &mut self.sink)?;
        self.sink.flush();
        parts.append(&mut self.sink.parts);
        Ok(taken)
    }

    /// The entry before which [`Parts::feed_to`] has stopped was taken, whole and sound; it was this long.
    pub fn pass(&mut self, length: usize) {
        self.scanner.pass(length);
    }

    /// Says that the body is over.
    ///
    /// # Errors
    /// It was not complete.
    pub fn finish(&self) -> Result<(), json::Error> {
        self.scanner.finish()
    }

    /// `Bundle.type`, if it has come.
    pub fn kind(&self) -> Option<&str> {
        self.sink.kind.as_deref()
    }
}

impl Cutter {
    fn flush(&mut self) {
        if !self.between.is_empty() {
            let bytes = take(&mut self.between);
            self.parts.push(if self.rest { Part::Rest(bytes) } else { Part::Between(bytes) });
        }
    }
}

impl Sink for Cutter {
    type State = Place;

    fn member(&mut self, parent: Place, key: &[u8]) -> Place {
        match (parent, key) {
            (Place::Root, b"type") => Place::Type,
            (Place::Root, b"entry") => Place::Entries,
            (Place::Entry, b"response") => Place::Response,
            (Place::Response, b"status") => Place::Status,
            _ => Place::Other,
        }
    }

    fn element(&mut self, parent: Place) -> Place {
        if parent == Place::Entries { Place::Entry } else { Place::Other }
    }

    fn interest(&self, place: Place) -> Interest {
        match place {
            Place::Entries | Place::Entry => Interest::Extent,
            Place::Type | Place::Status => Interest::Text,
            _ => Interest::None,
        }
    }

    fn apart(&self, place: Place) -> bool {
        place == Place::Entry
    }

    fn copy(&mut self, bytes: &[u8]) {
        let Some(entry) = &mut self.entry else { return self.between.extend_from_slice(bytes) };
        entry.extend_from_slice(bytes);
        if entry.len() > self.limit {
            let bytes = take(entry);
            (self.entry, self.rest) = (None, true);
            self.parts.push(Part::Entry { bytes, status: None, whole: false });
        }
    }

    fn text(&mut self, place: Place, raw: &[u8], _: bool) {
        if let Ok(text) = unescape(raw) {
            match place {
                Place::Type => self.kind = Some(text.into_owned()),
                Place::Status => self.status = text.get(..3).and_then(|digits| digits.parse().ok()),
                _ => {}
            }
        }
        self.copy(raw);
    }

    fn begin(&mut self, place: Place) {
        if place == Place::Entry {
            self.flush();
            (self.entry, self.status) = (Some(Vec::new()), None);
        }
    }

    fn end(&mut self, place: Place) {
        match place {
            Place::Entry => {
                if let Some(bytes) = self.entry.take() {
                    self.parts.push(Part::Entry { bytes, status: self.status.take(), whole: true });
                }
                self.flush();
                self.rest = false;
            }
            Place::Entries => {
                let bracket = self.between.pop();
                self.flush();
                self.parts.push(Part::End);
                self.between.extend(bracket);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BUNDLE: &str = r#" {"resourceType":"Bundle", "type":"batch-response","link":[{"a":1}],
        "entry" : [ {"resource":{"entry":[{"response":{"status":"429"}}]},"response":{"status":"200 OK"}} ,
        {"response":{"status":"4\u00329 Too Many"}},{},{"response":{"status":5}},
        {"response":{"status":"503"},"x":"0123456789012345678901234567890123456789012345678901234567890123456789"}
        ], "total":2} "#;

    fn read(limit: usize, cuts: &[usize]) -> (Vec<Part>, Option<String>) {
        let mut parts = Parts::new(limit);
        let (mut read, mut from) = (Vec::new(), 0);
        for cut in cuts.iter().copied().chain([BUNDLE.len()]) {
            read.extend(parts.feed(&BUNDLE.as_bytes()[from..cut.max(from)]).unwrap());
            from = cut.max(from);
        }
        parts.finish().unwrap();
        let kind = parts.kind().map(str::to_owned);
        (read, kind)
    }

    proptest! {
        #[test]
        fn the_parts_are_the_bundle(mut cuts in prop::collection::vec(0..BUNDLE.len(), 0..8), limit in 0..200_usize) {
            cuts.sort_unstable();
            let (parts, kind) = read(limit, &cuts);
            let whole: Vec<u8> = parts.iter().flat_map(Part::bytes).copied().collect();
            prop_assert_eq!(whole, BUNDLE.as_bytes());
            prop_assert_eq!(kind.as_deref(), Some("batch-response"));
            prop_assert_eq!(parts.iter().filter(|part| matches!(part, Part::Entry { .. })).count(), 5);
            let end = parts.iter().position(|part| *part == Part::End).unwrap();
            prop_assert_eq!(parts.iter().filter(|part| **part == Part::End).count(), 1);
            let (before, after) = parts.split_at(end);
            let separates = |part: &Part| match part {
                Part::Between(bytes) => bytes.iter().all(|byte| b" \n,".contains(byte)),
                _ => true,
            };
            let first = before.iter().position(|part| matches!(part, Part::Entry { .. })).unwrap();
            prop_assert!(before[first..].iter().all(separates), "{:?}", before);
            prop_assert!(after[1].bytes().starts_with(b"]"), "{:?}", after);
        }
    }

    #[test]
    fn entries_tell_their_status_unless_they_are_too_long() {
        let statuses = |limit| {
            let parts = read(limit, &[]).0.into_iter();
            let entries = parts.filter_map(|part| match part {
                Part::Entry { status, whole, .. } => Some((status, whole)),
                _ => None,
            });
            entries.collect::<Vec<_>>()
        };
        let short = [(Some(200), true), (Some(429), true), (None, true), (None, true)];
        assert_eq!(statuses(1000), [&short[..], &[(Some(503), true)]].concat());
        assert_eq!(statuses(90), [&short[..], &[(None, false)]].concat());
    }
}

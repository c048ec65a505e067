//! Reads what a batch or transaction is answered, entry by entry, as it streams (R4 bundle.html,
//! `Bundle.entry.response`).

use std::mem::take;

use crate::json::scan::{Interest, Scanner, Sink};
use crate::json::{self, unescape};

/// What is answered to one entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryResponse {
    /// The first three digits of `status`.
    pub status: Option<u16>,
    /// `location`
    pub location: Option<String>,
    /// `etag`
    pub etag: Option<String>,
}

/// The reader: feed it the body in any cuts, take the entries.
pub struct Responses {
    scanner: Scanner<Place>,
    sink: Found,
}

#[derive(Default)]
struct Found {
    current: EntryResponse,
    complete: Vec<EntryResponse>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Entries,
    Entry,
    Response,
    Status,
    Location,
    ETag,
    Other,
}

impl Default for Responses {
    fn default() -> Self {
        Self { scanner: Scanner::new(Place::Root, false), sink: Found::default() }
    }
}

impl Responses {
    /// Takes the next bytes and gives the answers that are complete with them, in order.
    ///
    /// # Errors
    /// The body is not valid JSON.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Vec<EntryResponse>, json::Error> {
        self.scanner.feed(chunk, &mut self.sink)?;
        Ok(take(&mut self.sink.complete))
    }

    /// Says that the body is over.
    ///
    /// # Errors
    /// It was not complete.
    pub fn finish(&self) -> Result<(), json::Error> {
        self.scanner.finish()
    }
}

impl Sink for Found {
    type State = Place;

    fn member(&mut self, parent: Place, key: &[u8]) -> Place {
        match (parent, key) {
            (Place::Root, b"entry") => Place::Entries,
            (Place::Entry, b"response") => Place::Response,
            (Place::Response, b"status") => Place::Status,
            (Place::Response, b"location") => Place::Location,
            (Place::Response, b"etag") => Place::ETag,
            _ => Place::Other,
        }
    }

    fn element(&mut self, parent: Place) -> Place {
        if parent == Place::Entries { Place::Entry } else { Place::Other }
    }

    fn interest(&self, place: Place) -> Interest {
        match place {
            Place::Entry => Interest::Extent,
            Place::Status | Place::Location | Place::ETag => Interest::Text,
            _ => Interest::None,
        }
    }

    fn copy(&mut self, _: &[u8]) {}

    fn text(&mut self, place: Place, raw: &[u8], complete: bool) {
        let Some(text) = unescape(raw).ok().filter(|_| complete) else { return };
        match place {
            Place::Status => self.current.status = text.get(..3).and_then(|digits| digits.parse().ok()),
            Place::Location => self.current.location = Some(text.into_owned()),
            Place::ETag => self.current.etag = Some(text.into_owned()),
            _ => {}
        }
    }

    fn begin(&mut self, _: Place) {
        self.current = EntryResponse::default();
    }

    fn end(&mut self, _: Place) {
        self.complete.push(take(&mut self.current));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BUNDLE: &str = r#"{"resourceType":"Bundle","entry":[
        {"response":{"status":"201 Created","location":"Patient\/1/_history/2","etag":"W/\"2\""}},
        {"resource":{"response":{"status":"500"}},"response":{"status":"200"}},{},{"response":{"status":4}}]}"#;

    proptest! {
        #[test]
        fn answers_are_found_however_the_body_is_cut(size in 1..200_usize) {
            let mut responses = Responses::default();
            let mut found = Vec::new();
            for chunk in BUNDLE.as_bytes().chunks(size) {
                found.extend(responses.feed(chunk).unwrap());
            }
            responses.finish().unwrap();
            let first = EntryResponse {
                status: Some(201),
                location: Some("Patient/1/_history/2".into()),
                etag: Some("W/\"2\"".into()),
            };
            let second = EntryResponse { status: Some(200), ..EntryResponse::default() };
            prop_assert_eq!(found, vec![first, second, EntryResponse::default(), EntryResponse::default()]);
        }
    }
}

//! Reads the requests of a batch or transaction as it streams (R4 bundle.html, `Bundle.entry.request`).

use std::mem::take;

use crate::interaction::{Head, Refusal, Request, parse};
use crate::json::scan::{Interest, Scanner, Sink};
use crate::json::{Error, unescape};
use crate::outcome::IssueCode;

/// A strict reader: it also finds every fault that [`crate::json::scan::Checker`] finds.
pub struct Requests {
    scanner: Scanner<Place>,
    parts: Parts,
}

/// What one entry asks for, as it was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryRequest {
    method: String,
    url: String,
    if_match: Option<String>,
    if_none_match: Option<String>,
    if_modified_since: Option<String>,
    if_none_exist: Option<String>,
    /// An element was longer than any that makes sense, or no text.
    faulty: bool,
}

#[derive(Default)]
struct Parts {
    complete: Vec<EntryRequest>,
    current: EntryRequest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Entries,
    Entry,
    Request,
    Method,
    Url,
    IfMatch,
    IfNoneMatch,
    IfModifiedSince,
    IfNoneExist,
    Other,
}

impl Default for Requests {
    fn default() -> Self {
        Self { scanner: Scanner::new(Place::Root, true), parts: Parts::default() }
    }
}

impl Requests {
    /// Takes the next bytes and gives the requests that are complete with them.
    ///
    /// # Errors
    /// The first fault of the JSON.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Vec<EntryRequest>, Error> {
        self.scanner.feed(chunk, &mut self.parts)?;
        Ok(take(&mut self.parts.complete))
    }

    /// Says that the document is over.
    ///
    /// # Errors
    /// It was not complete.
    pub fn finish(&self) -> Result<(), Error> {
        self.scanner.finish()
    }
}

impl EntryRequest {
    /// The URL as it was written.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Parses it like a request of its own, its URL relative to the base.
    ///
    /// # Errors
    /// What would be refused by itself is refused in a Bundle.
    pub fn parse(&self, relative: &str) -> Result<Request, Refusal> {
        if self.faulty {
            return Err(Refusal::new(400, IssueCode::Invalid, "the request of an entry is not readable"));
        }
        let (path, query) =
            relative.split_once('?').map_or((relative, None), |(path, query)| (path, Some(query)));
        let path = format!("/{}", path.strip_prefix('/').unwrap_or(path));
        let content_type = match self.method.as_str() {
            "POST" | "PUT" => Some("application/fhir+json"),
            "PATCH" => Some("application/json-patch+json"),
            _ => None,
        };
        parse(&Head {
            method: &self.method,
            path: &path,
            query,
            content_type,
            if_match: self.if_match.as_deref(),
            if_none_match: self.if_none_match.as_deref(),
            if_modified_since: self.if_modified_since.as_deref(),
            if_none_exist: self.if_none_exist.as_deref(),
            ..Head::default()
        })
    }
}

impl Sink for Parts {
    type State = Place;

    fn member(&mut self, parent: Place, key: &[u8]) -> Place {
        match (parent, key) {
            (Place::Root, b"entry") => Place::Entries,
            (Place::Entry, b"request") => Place::Request,
            (Place::Request, b"method") => Place::Method,
            (Place::Request, b"url") => Place::Url,
            (Place::Request, b"ifMatch") => Place::IfMatch,
            (Place::Request, b"ifNoneMatch") => Place::IfNoneMatch,
            (Place::Request, b"ifModifiedSince") => Place::IfModifiedSince,
            (Place::Request, b"ifNoneExist") => Place::IfNoneExist,
            _ => Place::Other,
        }
    }

    fn element(&mut self, parent: Place) -> Place {
        if parent == Place::Entries { Place::Entry } else { Place::Other }
    }

    fn interest(&self, place: Place) -> Interest {
        match place {
            Place::Request => Interest::Extent,
            Place::Root | Place::Entries | Place::Entry | Place::Other => Interest::None,
            _ => Interest::Text,
        }
    }

    fn copy(&mut self, _: &[u8]) {}

    fn text(&mut self, place: Place, raw: &[u8], complete: bool) {
        let Some(text) = unescape(raw).ok().filter(|_| complete).map(std::borrow::Cow::into_owned) else {
            self.current.faulty = true;
            return;
        };
        match place {
            Place::Method => self.current.method = text,
            Place::Url => self.current.url = text,
            Place::IfMatch => self.current.if_match = Some(text),
            Place::IfNoneMatch => self.current.if_none_match = Some(text),
            Place::IfModifiedSince => self.current.if_modified_since = Some(text),
            Place::IfNoneExist => self.current.if_none_exist = Some(text),
            _ => {}
        }
    }

    fn begin(&mut self, _: Place) {
        self.current = EntryRequest::default();
    }

    fn end(&mut self, _: Place) {
        self.complete.push(take(&mut self.current));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str, size: usize) -> Vec<Result<&'static str, u16>> {
        let mut requests = Requests::default();
        let mut codes = Vec::new();
        for chunk in text.as_bytes().chunks(size) {
            for entry in requests.feed(chunk).unwrap() {
                codes.push(entry.parse(entry.url()).map(|r| r.interaction.code()).map_err(|r| r.status));
            }
        }
        requests.finish().unwrap();
        codes
    }

    #[test]
    fn every_entry_is_an_interaction_of_its_own() {
        let text = r#"{"resourceType":"Bundle","type":"batch","entry":[
            {"request":{"method":"GET","url":"Patient?name=x"}},
            {"resource":{"entry":[{"request":{"method":"DELETE","url":"Patient/no"}}]},
             "request":{"url":"Patient/1","method":"PUT","ifMatch":"W/\"2\""}},
            {"request":{"method":"POST","url":"Patient","ifNoneExist":"identifier=a|b"}},
            {"request":{"method":"GET","url":"/Patient/1/$everything"}},
            {"re\u0071uest":{"method":"DELETE","url":"Patient?name="}},
            {"request":{"method":"GET","url":"Patient?_offset=5"}},
            {"request":{"method":"GET","url":"http://elsewhere/Patient/1"}},
            {"request":{"method":7,"url":"Patient"}}]}"#;
        let expected = [Ok("search-type"), Ok("update"), Ok("create"), Ok("operation"), Err(400), Err(400)];
        for size in [1, 7, 64, text.len()] {
            let found = codes(text, size);
            assert_eq!(found.len(), 8);
            assert_eq!(found[..6], expected);
            assert!(found[6].is_err() && found[7].is_err(), "{found:?}");
        }
    }
}

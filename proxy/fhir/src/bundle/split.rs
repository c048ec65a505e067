//! Splits a Bundle that arrives in any cuts.

use std::mem::take;

use super::{Entry, Piece};
use crate::json::scan::{Interest, Scanner, Sink};
use crate::json::{self, unescape};

/// Why a body cannot be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Not valid JSON.
    #[error(transparent)]
    Json(#[from] json::Error),
    /// The body's `resourceType` is another, or there is none.
    #[error("the body is not a Bundle")]
    NotABundle,
    /// One resource is larger than the limit given.
    #[error("a resource is larger than {0} bytes")]
    TooLarge(usize),
    /// A link or a code is longer than any that makes sense.
    #[error("an element of the Bundle itself is too long")]
    TooLong,
}

/// The splitter: feed it the body, take the pieces.
pub struct Splitter {
    scanner: Scanner<Place>,
    parts: Parts,
}

struct Parts {
    limit: usize,
    pieces: Vec<Piece>,
    is_bundle: bool,
    relation: Option<String>,
    url: Option<String>,
    entry: Entry,
    /// The resource being read.
    capture: Option<Vec<u8>>,
    fault: Option<SplitError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    ResourceType,
    Type,
    Links,
    Link,
    Relation,
    Url,
    Entries,
    Entry,
    Resource,
    Search,
    Mode,
    Request,
    Method,
    Response,
    Status,
    Other,
}

impl Splitter {
    /// A splitter that holds no resource larger than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        let parts = Parts {
            limit,
            pieces: Vec::new(),
            is_bundle: false,
            relation: None,
            url: None,
            entry: Entry::default(),
            capture: None,
            fault: None,
        };
        Self { scanner: Scanner::new(Place::Root, false), parts }
    }

    /// Takes the next bytes and gives the pieces that are complete with them.
    ///
    /// # Errors
    /// The first fault; the splitter is of no use afterwards.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Vec<Piece>, SplitError> {
        self.scanner.feed(chunk, &mut self.parts)?;
        self.parts.fault.map_or_else(|| Ok(take(&mut self.parts.pieces)), Err)
    }

    /// Says that the body is over.
    ///
    /// # Errors
    /// It was not complete, or was no Bundle.
    pub fn finish(&self) -> Result<(), SplitError> {
        self.scanner.finish()?;
        if self.parts.is_bundle { Ok(()) } else { Err(SplitError::NotABundle) }
    }
}

impl Sink for Parts {
    type State = Place;

    fn member(&mut self, parent: Place, key: &[u8]) -> Place {
        match (parent, key) {
            (Place::Root, b"resourceType") => Place::ResourceType,
            (Place::Root, b"type") => Place::Type,
            (Place::Root, b"link") => Place::Links,
            (Place::Root, b"entry") => Place::Entries,
            (Place::Link, b"relation") => Place::Relation,
            (Place::Link, b"url") => Place::Url,
            (Place::Entry, b"resource") => Place::Resource,
            (Place::Entry, b"search") => Place::Search,
            (Place::Entry, b"request") => Place::Request,
            (Place::Entry, b"response") => Place::Response,
            (Place::Search, b"mode") => Place::Mode,
            (Place::Request, b"method") => Place::Method,
            (Place::Response, b"status") => Place::Status,
            _ => Place::Other,
        }
    }

    fn element(&mut self, parent: Place) -> Place {
        match parent {
            Place::Links => Place::Link,
            Place::Entries => Place::Entry,
            _ => Place::Other,
        }
    }

    fn interest(&self, place: Place) -> Interest {
        use Place::{Method, Mode, Relation, ResourceType, Status, Type, Url};
        match place {
            Place::Entry | Place::Link | Place::Resource => Interest::Extent,
            ResourceType | Type | Relation | Url | Mode | Method | Status => Interest::Text,
            _ => Interest::None,
        }
    }

    fn copy(&mut self, bytes: &[u8]) {
        if let Some(resource) = &mut self.capture {
            resource.extend_from_slice(bytes);
            if resource.len() > self.limit {
                self.fault = Some(SplitError::TooLarge(self.limit));
                resource.clear();
            }
        }
    }

    fn text(&mut self, place: Place, raw: &[u8], complete: bool) {
        let Some(text) = unescape(raw).ok().filter(|_| complete).map(std::borrow::Cow::into_owned) else {
            self.fault = Some(SplitError::TooLong);
            return;
        };
        match place {
            Place::ResourceType if text == "Bundle" => self.is_bundle = true,
            Place::ResourceType => self.fault = Some(SplitError::NotABundle),
            Place::Type => self.pieces.push(Piece::Type(text)),
            Place::Relation => self.relation = Some(text),
            Place::Url => self.url = Some(text),
            Place::Mode => self.entry.search_mode = Some(text),
            Place::Method => self.entry.method = Some(text),
            Place::Status => self.entry.status = Some(text),
            _ => {}
        }
    }

    fn begin(&mut self, place: Place) {
        match place {
            Place::Resource => self.capture = Some(Vec::new()),
            Place::Link => (self.relation, self.url) = (None, None),
            _ => {}
        }
    }

    fn end(&mut self, place: Place) {
        match place {
            Place::Resource => self.entry.resource = self.capture.take(),
            Place::Entry => self.pieces.push(Piece::Entry(take(&mut self.entry))),
            Place::Link => {
                if let (Some(relation), Some(url)) = (self.relation.take(), self.url.take()) {
                    self.pieces.push(Piece::Link { relation, url });
                }
            }
            _ => {}
        }
    }
}

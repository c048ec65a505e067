//! Reads the requests of a batch or transaction as it streams (R4 bundle.html, `Bundle.entry.request`).
//!
//! HAPI reads more than FHIR writes: one object where a list belongs, lists where a text belongs, lists in lists.
//! So whatever has not exactly the form that FHIR gives it is refused, and never overlooked.

mod entry;

use std::mem::take;

use crate::document::{Error, Reader, Syntax};
use crate::interaction::{BundleKind, Refusal};
use crate::json::scan::{Interest, MAX_TEXT, Sink};

pub use entry::EntryRequest;

/// A strict reader: it also finds every fault that [`crate::json::scan::Checker`] finds, and those of XML.
pub struct Requests {
    reader: Reader<Place>,
    parts: Parts,
}

/// HAPI takes the partition that an entry is for out of this extension, as out of a header that no caller gets
/// through the proxy.
const PARTITIONS: &str = "http://hapifhir.io/fhir/ns/StructureDefinition/request-partition-ids";

#[derive(Default)]
struct Parts {
    syntax: Syntax,
    resource_type: Option<String>,
    kind: Option<String>,
    complete: Vec<EntryRequest>,
    current: EntryRequest,
    /// Elements that must be texts and whose text has not come.
    awaited: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    BundleResourceType,
    BundleType,
    Entries,
    Entry,
    Extension,
    ExtensionUrl,
    Resource,
    ResourceType,
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
        Self::new(Syntax::Json)
    }
}

impl Requests {
    /// Of a Bundle that is written so.
    pub fn new(syntax: Syntax) -> Self {
        let parts = Parts { syntax, ..Parts::default() };
        Self { reader: Reader::new(syntax, Place::Root, true), parts }
    }

    /// Takes the next bytes and gives the entries that are complete with them.
    ///
    /// # Errors
    /// The first fault of the Bundle.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Vec<EntryRequest>, Error> {
        self.reader.feed(chunk, &mut self.parts)?;
        Ok(take(&mut self.parts.complete))
    }

    /// Says that the document is over.
    ///
    /// # Errors
    /// It was not complete.
    pub fn finish(&self) -> Result<(), Error> {
        self.reader.finish()
    }

    /// What the Bundle was, once it is over.
    ///
    /// # Errors
    /// 400: neither a batch nor a transaction. HAPI would take one without a type for a transaction.
    pub fn kind(&self) -> Result<BundleKind, Refusal> {
        if self.parts.resource_type.as_deref() != Some("Bundle") {
            return Err(Refusal::invalid("what is posted to the base must be a Bundle"));
        }
        match self.parts.kind.as_deref() {
            Some("batch") => Ok(BundleKind::Batch),
            Some("transaction") => Ok(BundleKind::Transaction),
            _ => Err(Refusal::invalid(
                "a Bundle that is posted to the base must have the type batch or transaction",
            )),
        }
    }
}

impl Sink for Parts {
    type State = Place;

    fn member(&mut self, parent: Place, key: &[u8]) -> Place {
        let place = match (parent, key) {
            (Place::Root, b"resourceType") => Place::BundleResourceType,
            (Place::Root, b"type") => Place::BundleType,
            (Place::Root, b"entry") => Place::Entries,
            // Only what is no object has such a twin; HAPI takes extensions of entries out of it.
            (Place::Root, b"_entry") => self.refuse_all(),
            // One entry where the list belongs.
            (Place::Entries, _) => self.refuse_all(),
            (Place::Entry, b"extension" | b"modifierExtension") => Place::Extension,
            (Place::Entry, b"resource") => Place::Resource,
            (Place::Entry, b"request") => Place::Request,
            (Place::Extension, b"url") => Place::ExtensionUrl,
            (Place::Extension, _) => Place::Extension,
            (Place::Resource, b"resourceType") => Place::ResourceType,
            (Place::Request, b"method") => Place::Method,
            (Place::Request, b"url") => Place::Url,
            (Place::Request, b"ifMatch") => Place::IfMatch,
            (Place::Request, b"ifNoneMatch") => Place::IfNoneMatch,
            (Place::Request, b"ifModifiedSince") => Place::IfModifiedSince,
            (Place::Request, b"ifNoneExist") => Place::IfNoneExist,
            _ => Place::Other,
        };
        self.awaited += usize::from(place.is_text());
        place
    }

    fn element(&mut self, parent: Place) -> Place {
        match parent {
            Place::Entries => Place::Entry,
            Place::Extension => Place::Extension,
            // Lists of what comes once.
            Place::Entry | Place::Resource | Place::Request => {
                self.current.malformed();
                Place::Other
            }
            _ => Place::Other,
        }
    }

    fn interest(&self, place: Place) -> Interest {
        match place {
            Place::Entry | Place::Request => Interest::Extent,
            text if text.is_text() => Interest::Text,
            _ => Interest::None,
        }
    }

    fn copy(&mut self, _: &[u8]) {}

    fn text(&mut self, place: Place, raw: &[u8], complete: bool) {
        self.awaited = self.awaited.saturating_sub(1);
        // However the stream was cut: a text that is too long may be complete in one piece.
        let fits = complete && raw.len() <= MAX_TEXT;
        let text = self.syntax.unescape(raw).filter(|_| fits).map(std::borrow::Cow::into_owned);
        let Some(text) = text else {
            return self.current.malformed();
        };
        let entry = &mut self.current;
        match place {
            Place::BundleResourceType => self.resource_type = Some(text),
            Place::BundleType => self.kind = Some(text),
            Place::ExtensionUrl if text == PARTITIONS => entry.malformed(),
            Place::ResourceType => entry.resource_type = Some(text),
            Place::Method => entry.method = text,
            Place::Url => entry.url = text,
            Place::IfMatch => entry.if_match = Some(text),
            Place::IfNoneMatch => entry.if_none_match = Some(text),
            Place::IfModifiedSince => entry.if_modified_since = Some(text),
            Place::IfNoneExist => entry.if_none_exist = Some(text),
            _ => {}
        }
    }

    fn begin(&mut self, place: Place) {
        if place == Place::Entry {
            self.current = EntryRequest::default();
            self.awaited = 0;
        }
    }

    fn end(&mut self, place: Place) {
        if place == Place::Entry {
            if self.awaited > 0 {
                self.current.malformed();
            }
            self.complete.push(take(&mut self.current));
        }
    }

    fn single(&mut self, place: Place) -> Place {
        if place == Place::Entries { Place::Entry } else { place }
    }
}

impl Parts {
    /// Something stands where entries belong: nobody can say what it asks for.
    fn refuse_all(&mut self) -> Place {
        let mut entry = EntryRequest::default();
        entry.malformed();
        self.complete.push(entry);
        Place::Other
    }
}

impl Place {
    /// Whether FHIR has a text here.
    fn is_text(self) -> bool {
        matches!(
            self,
            Self::BundleResourceType
                | Self::BundleType
                | Self::ExtensionUrl
                | Self::ResourceType
                | Self::Method
                | Self::Url
                | Self::IfMatch
                | Self::IfNoneMatch
                | Self::IfModifiedSince
                | Self::IfNoneExist
        )
    }
}

#[cfg(test)]
mod tests;

//! Conditional references: `Patient?identifier=…` where a reference belongs (R4 http.html#trules). The server looks for
//! what they describe, so each is a search.

use std::mem::take;

use crate::ResourceType;
use crate::document::{Error, Reader, Syntax};
use crate::interaction::{Head, Refusal, Request, parse};
use crate::json::scan::{Interest, MAX_TEXT, Sink};

/// Finds the conditional references of a body as it streams. It looks where references stand, and where
/// patches have their values.
pub struct ConditionalReferences {
    reader: Reader<Place>,
    found: Found,
}

/// One conditional reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionalReference {
    resource_type: ResourceType,
    /// `None`: longer than any that makes sense.
    query: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Reference,
    Other,
}

struct Found(Vec<ConditionalReference>, Syntax);

impl Default for ConditionalReferences {
    fn default() -> Self {
        Self::new(Syntax::Json)
    }
}

impl ConditionalReferences {
    /// Of a body that is written so.
    pub fn new(syntax: Syntax) -> Self {
        Self { reader: Reader::new(syntax, Place::Other, true), found: Found(Vec::new(), syntax) }
    }

    /// Takes the next bytes and gives the references that are complete with them.
    ///
    /// # Errors
    /// The first fault of the body.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<Vec<ConditionalReference>, Error> {
        self.reader.feed(chunk, &mut self.found)?;
        Ok(take(&mut self.found.0))
    }
}

impl ConditionalReference {
    /// Parses it like the search that it is.
    ///
    /// # Errors
    /// What would be refused as a search is refused as a reference.
    pub fn parse(&self) -> Result<Request, Refusal> {
        let path = format!("/{}", self.resource_type);
        let query = self.query.as_deref().ok_or_else(|| Refusal::invalid("it is too long"))?;
        parse(&Head { query: Some(query), ..Head::new("GET", &path) })
    }

    /// HAPI takes the last segment before the question mark for the type, whatever stands before it.
    fn find(text: &str, complete: bool) -> Option<Self> {
        let (before, query) = text.split_once('?')?;
        let resource_type = ResourceType::parse(before.rsplit('/').next().unwrap_or_default())?;
        Some(Self { resource_type, query: complete.then(|| query.to_owned()) })
    }
}

impl Sink for Found {
    type State = Place;

    fn member(&mut self, _: Place, key: &[u8]) -> Place {
        match key {
            b"reference" | b"value" | b"valueString" | b"valueUri" => Place::Reference,
            _ => Place::Other,
        }
    }

    /// HAPI reads a list where one value belongs.
    fn element(&mut self, parent: Place) -> Place {
        parent
    }

    fn interest(&self, place: Place) -> Interest {
        if place == Place::Reference { Interest::Text } else { Interest::None }
    }

    fn copy(&mut self, _: &[u8]) {}

    fn text(&mut self, _: Place, raw: &[u8], complete: bool) {
        // The start tells whether it is one; it may end within an escape.
        let start = &raw[..raw.len().min(MAX_TEXT)];
        let whole = complete && start.len() == raw.len();
        let (text, _) = self.1.unescape_start(start);
        self.0.extend(ConditionalReference::find(&text, whole));
    }

    fn begin(&mut self, _: Place) {}
    fn end(&mut self, _: Place) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, size: usize) -> Vec<Result<String, u16>> {
        let mut references = ConditionalReferences::default();
        let mut found = Vec::new();
        for chunk in text.as_bytes().chunks(size) {
            for reference in references.feed(chunk).unwrap() {
                found.push(reference.parse().map(|r| r.target().path_and_query).map_err(|r| r.status));
            }
        }
        found
    }

    #[test]
    fn every_conditional_reference_is_found() {
        let long = format!(r#"{{"reference":"Patient?name={}"}}"#, "x".repeat(2 * MAX_TEXT));
        let long_text = format!(r#"{{"valueString":"{}"}}"#, "x\\n".repeat(2 * MAX_TEXT));
        let search = || Ok("/Patient?name=x".to_owned());
        for (text, expected) in [
            (r#"{"subject":{"reference":"Patient?name=x"}}"#, vec![search()]),
            (r#"{"subject":{"ref\u0065rence":"P\u0061tient\u003fname=x"}}"#, vec![search()]),
            (r#"{"subject":{"reference":["Patient?name=x"]}}"#, vec![search()]),
            (
                r#"{"a":[{"reference":"/Patient?name=x"},{"reference":"http://h/fhir/Patient?name=x"}]}"#,
                vec![search(), search()],
            ),
            (r#"[{"op":"add","path":"/subject/reference","value":"Patient?name=x"}]"#, vec![search()]),
            (r#"{"reference":"Patient?_pid=1"}"#, vec![Err(400)]),
            (&long, vec![Err(400)]),
            (&long_text, vec![]),
            (r#"{"reference":"Patient/1"}"#, vec![]),
            (r#"{"reference":"urn:uuid:0"}"#, vec![]),
            (r#"{"reference":"http://h/x?y"}"#, vec![]),
            (r#"{"reference":{"reference":"Patient/1","display":"Patient?name=x"}}"#, vec![]),
            (r#"{"valueString":"why?","value":7,"div":"Patient?name=x"}"#, vec![]),
        ] {
            for size in [1, 7, 1000, text.len()] {
                assert_eq!(found(text, size), expected, "{size}: {}", &text[..text.len().min(100)]);
            }
        }
    }
}

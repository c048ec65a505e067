//! Marks of resources of which not all was shown: SUBSETTED, REDACTED and MASKED, as a tag or a security label
//! (R4 valueset-observation-value). HAPI stores such a resource as if it were whole.

use crate::document::{Error, Reader, Syntax};
use crate::json::scan::{Interest, Sink};

/// The codes.
const CODES: [&str; 3] = ["SUBSETTED", "REDACTED", "MASKED"];

/// Whether a code of a tag or a label is such a mark.
pub fn is_mark(code: &str) -> bool {
    CODES.contains(&code)
}

/// Looks for marks in a body as it streams.
pub struct Marks {
    reader: Reader<Place>,
    found: Found,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Meta,
    Codings,
    Code,
    Other,
}

struct Found(bool, Syntax);

impl Default for Marks {
    fn default() -> Self {
        Self::new(Syntax::Json)
    }
}

impl Marks {
    /// Of a body that is written so.
    pub fn new(syntax: Syntax) -> Self {
        Self { reader: Reader::new(syntax, Place::Other, true), found: Found(false, syntax) }
    }

    /// Takes the next bytes, and tells whether there is a mark in them.
    ///
    /// # Errors
    /// The first fault of the body.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<bool, Error> {
        self.reader.feed(chunk, &mut self.found)?;
        Ok(std::mem::take(&mut self.found.0))
    }
}

impl Sink for Found {
    type State = Place;

    fn member(&mut self, parent: Place, key: &[u8]) -> Place {
        match (parent, key) {
            (_, b"meta") => Place::Meta,
            (Place::Meta, b"tag" | b"security") => Place::Codings,
            (Place::Codings, b"code") => Place::Code,
            _ => Place::Other,
        }
    }

    /// HAPI reads one value where a list belongs, and a list where one value does.
    fn element(&mut self, parent: Place) -> Place {
        parent
    }

    fn interest(&self, place: Place) -> Interest {
        if place == Place::Code { Interest::Text } else { Interest::None }
    }

    fn copy(&mut self, _: &[u8]) {}

    fn text(&mut self, _: Place, raw: &[u8], complete: bool) {
        self.0 |= complete && self.1.unescape(raw).is_some_and(|code| is_mark(code.trim()));
    }

    fn begin(&mut self, _: Place) {}
    fn end(&mut self, _: Place) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_where_they_stand() {
        for (text, expected) in [
            (r#"{"meta":{"tag":[{"system":"s","code":"SUBSETTED"}]}}"#, true),
            (r#"{"meta":{"security":[{"code":"R"},{"code":"MASKED"}]}}"#, true),
            (r#"{"meta":{"tag":{"code":["\u0052EDACTED"]}}}"#, true),
            (r#"{"entry":[{"resource":{"meta":{"tag":[{"code":"SUBSETTED"}]}}}]}"#, true),
            (r#"{"meta":{"tag":[{"display":"SUBSETTED"}]},"code":"SUBSETTED"}"#, false),
            (r#"{"meta":{"tag":[{"code":"SUBSETTED2"}]}}"#, false),
            ("{}", false),
        ] {
            for size in [1, 5, text.len()] {
                let mut marks = Marks::default();
                let found = text.as_bytes().chunks(size).map(|chunk| marks.feed(chunk).unwrap());
                assert_eq!(found.fold(false, |one, other| one | other), expected, "{size}: {text}");
            }
        }
        let mut marks = Marks::new(Syntax::Xml);
        let xml = br#"<Patient xmlns="http://hl7.org/fhir"><meta><tag><code value="SUBSETTED"/></tag></meta></Patient>"#;
        assert!(marks.feed(xml).unwrap());
    }
}

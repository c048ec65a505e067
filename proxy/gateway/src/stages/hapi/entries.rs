//! Whether a batch or transaction was answered entry by entry.

use bytes::Bytes;
use fireguard_fhir::document::{Reader, Syntax};
use fireguard_fhir::json::scan::{Interest, Sink};
use fireguard_fhir::outcome::IssueCode;
use http::StatusCode;

use crate::failure::{Failure, Source};
use crate::transform::Transform;

/// So much of an answer is held, so that what is missing gets a status of its own; a longer one breaks off.
const HELD: usize = 1 << 20;

/// Counts the entries of an answer, and fails if there are fewer than were asked for. That of a batch is not held.
pub(super) struct AllAnswered {
    asked: Box<dyn Fn() -> u64 + Send>,
    reader: Reader<Place>,
    syntax: Syntax,
    entries: Entries,
    held: Vec<u8>,
    passed: bool,
}

#[derive(Default)]
struct Entries {
    count: u64,
    /// It says that it is the answer to a batch, whose entries HAPI takes each for itself.
    batch: bool,
}

#[derive(Clone, Copy)]
enum Place {
    Root,
    Type,
    Entries,
    Other,
}

impl AllAnswered {
    /// The number of entries that were asked for is known when the answer is.
    pub(super) fn new(syntax: Syntax, asked: impl Fn() -> u64 + Send + 'static) -> Self {
        Self {
            asked: Box::new(asked),
            reader: Reader::new(syntax, Place::Root, false),
            syntax,
            entries: Entries::default(),
            held: Vec::new(),
            passed: false,
        }
    }
}

impl Transform for AllAnswered {
    async fn feed(&mut self, chunk: Bytes, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.reader.feed(&chunk, &mut self.entries).map_err(|error| {
            let message = format!("the FHIR server's answer is not valid {}", self.syntax.name());
            Failure::upstream(message, error.to_string())
        })?;
        self.passed |= self.entries.batch || self.held.len() + chunk.len() > HELD;
        if self.passed {
            out.append(&mut self.held);
            out.extend_from_slice(&chunk);
        } else {
            self.held.extend_from_slice(&chunk);
        }
        Ok(())
    }

    async fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        out.append(&mut self.held);
        let (asked, answered) = ((self.asked)(), self.entries.count);
        if answered >= asked || (out.is_empty() && !self.passed) {
            return Ok(());
        }
        out.clear();
        let message = format!(
            "the FHIR server carried the Bundle out, but answered {answered} of {asked} entries: entries of one \
             condition were taken for one, and the content of the others is lost"
        );
        Err(Failure::new(Source::Upstream, StatusCode::BAD_GATEWAY, IssueCode::Processing, message))
    }
}

impl Sink for Entries {
    type State = Place;

    fn member(&mut self, parent: Place, key: &[u8]) -> Place {
        match (parent, key) {
            (Place::Root, b"type") => Place::Type,
            (Place::Root, b"entry") => Place::Entries,
            _ => Place::Other,
        }
    }

    fn element(&mut self, parent: Place) -> Place {
        self.count += u64::from(matches!(parent, Place::Entries));
        Place::Other
    }

    fn single(&mut self, place: Place) -> Place {
        self.count += u64::from(matches!(place, Place::Entries));
        Place::Other
    }

    fn interest(&self, place: Place) -> Interest {
        if matches!(place, Place::Type) { Interest::Text } else { Interest::None }
    }

    fn copy(&mut self, _: &[u8]) {}

    fn text(&mut self, _: Place, raw: &[u8], _: bool) {
        self.batch = raw == b"batch-response";
    }

    fn begin(&mut self, _: Place) {}
    fn end(&mut self, _: Place) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use fireguard_traffic::body::full;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn each_entry_must_be_answered() {
        for (asked, body, fits) in [
            (2, r#"{"entry":[{"response":{"entry":[1,2]}},{"response":{}}]}"#, true),
            (2, r#"{"entry":[{"response":{"entry":[1,2]}}]}"#, false),
            (1, r#"{"type":"transaction-response"}"#, false),
            (1, r#"{"type":"batch-response","entry":[{}]}"#, true),
            (2, r#"{"type":"batch-response","entry":[{}]}"#, false),
            (0, r#"{"type":"transaction-response"}"#, true),
            (2, "", true),
            (
                2,
                "<Bundle xmlns=\"http://hl7.org/fhir\"><entry><response><entry/></response></entry><entry/></Bundle>",
                true,
            ),
            (
                2,
                "<Bundle xmlns=\"http://hl7.org/fhir\"><entry><response><entry/></response></entry></Bundle>",
                false,
            ),
        ] {
            let syntax = if body.starts_with('<') { Syntax::Xml } else { Syntax::Json };
            let answer =
                crate::transform::transformed(full(body), AllAnswered::new(syntax, move || asked)).await;
            match answer {
                Ok(answer) => assert_eq!(answer.collect().await.unwrap().to_bytes(), body),
                Err(failure) => assert_eq!((failure.status.as_u16(), fits), (502, false), "{body}"),
            }
        }
    }
}

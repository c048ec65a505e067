//! The answers to entries of a batch that were refused, in their places among the server's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::vec::IntoIter;

use bytes::Bytes;
use fireguard_fhir::bundle::parts::{Part, Parts};
use fireguard_fhir::format::Format;
use fireguard_fhir::interaction::Refusal;
use fireguard_fhir::json;
use fireguard_fhir::outcome::OperationOutcome;
use fireguard_traffic::body::full;
use fireguard_traffic::rate::delay_seconds;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use crate::failure::Failure;
use crate::stage::Answer;
use crate::transform::{Transform, transformed};

/// The entries of one batch that were refused by themselves. Clones are the same.
#[derive(Clone, Default)]
pub(in crate::stages) struct RefusedEntries(Arc<Mutex<List>>);

/// Why one is refused.
struct RefusedEntry {
    refusal: Refusal,
    /// An OperationOutcome that says more.
    outcome: Option<Bytes>,
}

#[derive(Default)]
struct List {
    /// With their places, in order.
    refused: Vec<(usize, RefusedEntry)>,
    /// The entries of the whole batch, once all have been read.
    all: Option<usize>,
    /// Whether each may be answered by itself.
    apart: bool,
    /// Some came too early: until one of them would be let in.
    wait: Option<Duration>,
}

impl RefusedEntries {
    /// None so far. If they may not be told `apart`, the first refuses the whole.
    pub(in crate::stages) fn new(apart: bool) -> Self {
        Self(Arc::new(Mutex::new(List { apart, ..List::default() })))
    }

    /// One more, at this place.
    ///
    /// # Errors
    /// There are `most` of them already, or none may be: the whole is to be refused.
    pub(in crate::stages) fn add(&self, place: usize, refusal: Refusal, most: usize) -> Result<(), Refusal> {
        if self.list().refused.len() >= most {
            return Err(refusal);
        }
        self.add_with(place, refusal, None)
    }

    /// One more, with an OperationOutcome that says more.
    ///
    /// # Errors
    /// None may be: the whole is to be refused.
    pub(in crate::stages) fn add_with(
        &self,
        place: usize,
        refusal: Refusal,
        outcome: Option<Bytes>,
    ) -> Result<(), Refusal> {
        let mut list = self.list();
        if !list.apart {
            return Err(refusal);
        }
        list.refused.push((place, RefusedEntry { refusal, outcome }));
        Ok(())
    }

    /// One came too early, by so much.
    pub(in crate::stages) fn wait(&self, wait: Duration) {
        let mut list = self.list();
        list.wait = list.wait.max(Some(wait));
    }

    /// The failure of the whole, with when to come back if one came too early.
    pub(in crate::stages) fn waiting(&self, mut failure: Failure) -> Failure {
        failure.retry_after = self.list().wait.filter(|_| failure.status == StatusCode::TOO_MANY_REQUESTS);
        failure
    }

    /// All entries of the batch were read.
    pub(in crate::stages) fn complete(&self, all: usize) {
        self.list().all = Some(all);
    }

    /// The first that was refused.
    pub(in crate::stages) fn first(&self) -> Option<Refusal> {
        self.list().refused.first().map(|(_, refused)| refused.refusal.clone())
    }

    /// The answer for the client: the server's with those that it was not asked for.
    ///
    /// # Errors
    /// What went wrong, or the server's answer has not an entry for each that it was sent.
    pub(in crate::stages) async fn within(self, answer: Answer, format: Format, id: &str) -> Answer {
        let List { refused, all, wait, .. } = std::mem::take(&mut *self.list());
        if refused.is_empty() {
            return answer;
        }
        let mut splice = Splice {
            parts: Parts::new(0),
            refused: refused.into_iter(),
            all: all.unwrap_or(usize::MAX),
            places: 0,
            id: id.to_owned(),
            over: false,
        };
        let mut answer = match answer {
            Ok(response) if response.status() == StatusCode::OK => {
                let (mut parts, body) = response.into_parts();
                parts.headers.remove(CONTENT_LENGTH);
                Response::from_parts(parts, transformed(body, splice).await?)
            }
            // Nothing was left to ask the server for.
            Err(_) if splice.refused.len() == splice.all => {
                let mut bundle = br#"{"resourceType":"Bundle","type":"batch-response","entry":["#.to_vec();
                splice.end(&mut bundle)?;
                bundle.extend_from_slice(b"]}");
                let mut answer = Response::new(full(bundle));
                answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
                answer
            }
            other => return other,
        };
        if let Some(wait) = wait {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(delay_seconds(wait)));
        }
        Ok(answer)
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts entries into an answer as it streams.
struct Splice {
    /// Holds nothing.
    parts: Parts,
    refused: IntoIter<(usize, RefusedEntry)>,
    all: usize,
    /// So many places are filled.
    places: usize,
    id: String,
    over: bool,
}

impl Splice {
    /// The refused ones that stand before the server's next.
    fn before(&mut self, out: &mut Vec<u8>) {
        while let Some((place, _)) = self.refused.as_slice().first()
            && *place == self.places
            && let Some((_, refused)) = self.refused.next()
        {
            self.write(&refused, out);
            out.push(b',');
        }
    }

    /// Those after the last of the server.
    fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.over = true;
        if self.places + self.refused.len() != self.all {
            let message = "the FHIR server did not answer each entry of the batch";
            return Err(Failure::upstream(message, "another number of entries"));
        }
        while let Some((_, refused)) = self.refused.next() {
            if self.places > 0 {
                out.push(b',');
            }
            self.write(&refused, out);
        }
        Ok(())
    }

    fn write(&mut self, RefusedEntry { refusal, outcome }: &RefusedEntry, out: &mut Vec<u8>) {
        self.places += 1;
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
        out.extend_from_slice(br#"{"response":{"status":""#);
        // With its reason, which has letters and spaces only.
        out.extend_from_slice(status.to_string().as_bytes());
        out.extend_from_slice(br#"","outcome":"#);
        match outcome {
            Some(outcome) => out.extend_from_slice(outcome),
            None => {
                let outcome = OperationOutcome::from(refusal).with_request_id(&self.id);
                out.extend_from_slice(&outcome.to_json());
            }
        }
        out.extend_from_slice(b"}}");
    }
}

impl Transform for Splice {
    async fn feed(&mut self, chunk: Bytes, out: &mut Vec<u8>) -> Result<(), Failure> {
        for part in self.parts.feed(&chunk).map_err(not_json)? {
            match part {
                Part::Entry { bytes, .. } => {
                    self.before(out);
                    out.extend_from_slice(&bytes);
                    self.places += 1;
                }
                Part::Between(bytes) | Part::Rest(bytes) => out.extend_from_slice(&bytes),
                Part::End => self.end(out)?,
            }
        }
        Ok(())
    }

    async fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.parts.finish().map_err(not_json)?;
        if !self.over {
            out.clear();
            let message = "the FHIR server did not answer the entries of the batch";
            return Err(Failure::upstream(message, "no entries"));
        }
        Ok(())
    }
}

fn not_json(error: json::Error) -> Failure {
    Failure::upstream("the FHIR server answered with something that is not FHIR", error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    async fn spliced(refused: &[usize], answer: Answer, all: usize) -> Result<Value, Failure> {
        let list = RefusedEntries::new(true);
        for place in refused {
            let refusal = Refusal::new(403, fireguard_fhir::outcome::IssueCode::Forbidden, "no");
            list.add(*place, refusal, 1000).unwrap();
        }
        list.complete(all);
        let answer = list.within(answer, Format::FhirJson, "id").await?;
        let body = answer
            .into_body()
            .collect()
            .await
            .map_err(|error| Failure::upstream("broke off", error.to_string()))?;
        Ok(serde_json::from_slice(&body.to_bytes()).unwrap())
    }

    fn answer(entries: &Value) -> Answer {
        let bundle = json!({"resourceType": "Bundle", "type": "batch-response", "entry": entries, "x": [1]});
        Ok(Response::new(full(bundle.to_string())))
    }

    /// Whichever are refused, every answer stands where its entry stood.
    #[tokio::test]
    async fn every_answer_is_in_its_place() {
        for (all, mask) in (1..=6_usize).flat_map(|all| (1..1_usize << all).map(move |mask| (all, mask))) {
            let (places, sent): (Vec<usize>, Vec<usize>) = (0..all).partition(|place| mask >> place & 1 == 1);
            let from_server: Vec<Value> = sent.iter().map(|place| json!({"n": place})).collect();
            let answer = match sent.is_empty() {
                true => Err(Failure::upstream("not asked", "not asked")),
                false => answer(&from_server.into()),
            };
            let found = spliced(&places, answer, all).await.unwrap();
            let entries = found["entry"].as_array().unwrap();
            assert_eq!(entries.len(), all, "{mask:b}");
            for (place, entry) in entries.iter().enumerate() {
                if places.contains(&place) {
                    assert_eq!(entry["response"]["status"], "403 Forbidden", "{mask:b}");
                    assert_eq!(entry["response"]["outcome"]["issue"][0]["code"], "forbidden", "{mask:b}");
                } else {
                    assert_eq!(entry, &json!({"n": place}), "{mask:b}");
                }
            }
        }
    }

    #[tokio::test]
    async fn an_answer_without_a_place_for_each_is_none() {
        for entries in [json!([]), json!([{}]), json!([{}, {}, {}]), Value::Null] {
            let failure = spliced(&[1], answer(&entries), 3).await.unwrap_err();
            assert_eq!(failure.status, StatusCode::BAD_GATEWAY, "{entries}");
        }
        assert!(spliced(&[1], answer(&json!([{}, {}])), 3).await.is_ok());
    }
}

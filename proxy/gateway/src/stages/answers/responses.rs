//! The answer to a batch or transaction: each entry keeps its place, and says what its caller may know.

use std::sync::Arc;

use fireguard_access::resource::FoundEntry;
use fireguard_access::sieve::{Judges, Sieve, SieveError};
use fireguard_fhir::ResourceType;
use fireguard_fhir::bundle::envelope::Envelope;
use fireguard_fhir::json::{self, write_string};
use fireguard_fhir::outcome::OperationOutcome;
use http::StatusCode;

use super::Answered;
use super::bundle::{Search, sieved};
use super::sight::{Sight, hide};
use crate::failure::Failure;
use crate::stages::words;

/// The answer as its caller may see it.
///
/// # Errors
/// It is not a Bundle.
pub(super) async fn answer(sight: Sight, answer: Answered) -> Result<Answered, Failure> {
    let limit = sight.limit;
    sieved(Sieve::new(Responses(Arc::new(sight)), limit), answer).await
}

struct Responses(Arc<Sight>);

impl Judges for Responses {
    fn envelope(&self, _: &Envelope) -> Result<(), SieveError> {
        Ok(())
    }

    fn total(&self) -> bool {
        false
    }

    /// Positions tell what is answered: so there is always something.
    fn entry(&self, entry: Vec<u8>) -> Option<Vec<u8>> {
        let status = status(&entry);
        if !status.is_success() {
            return Some(self.refused(status));
        }
        Some(match self.shown(&entry) {
            Some(Some(changed)) => changed,
            Some(None) => entry,
            // As if it did not exist; of what was written nothing but that it was.
            None if status == StatusCode::OK => self.refused(StatusCode::NOT_FOUND),
            None => done(status),
        })
    }
}

impl Responses {
    /// The entry where it has to be changed. None: it is withheld.
    fn shown(&self, entry: &[u8]) -> Option<Option<Vec<u8>>> {
        let FoundEntry { resource, .. } = FoundEntry::of(entry).ok()?;
        let Some(found) = resource else { return Some(None) };
        let sight = &self.0;
        if found.outer.resource_type == ResourceType::Bundle {
            // The answer to a search among the entries.
            let bundle = json::member(entry, "resource")?.whole()?;
            let inner = Sieve::new(Search::nested(sight), sight.limit).whole(bundle).ok()?;
            let response = json::member(entry, "response")?.whole()?;
            return Some(Some([br#"{"resource":"#, &*inner, br#","response":"#, response, b"}"].concat()));
        }
        let hidden = sight.shows(&found, false)?;
        hide(entry, &hidden).ok()
    }

    fn refused(&self, status: StatusCode) -> Vec<u8> {
        let failure = words::refused(status);
        let mut out = br#"{"response":{"status":"#.to_vec();
        write_string(&mut out, &failure.status.to_string());
        out.extend_from_slice(br#","outcome":"#);
        let outcome = OperationOutcome::error(failure.code, failure.message.into_owned());
        out.extend_from_slice(&outcome.with_request_id(&self.0.id).to_json());
        out.extend_from_slice(b"}}");
        out
    }
}

fn done(status: StatusCode) -> Vec<u8> {
    let mut out = br#"{"response":{"status":"#.to_vec();
    write_string(&mut out, status.as_str());
    out.extend_from_slice(b"}}");
    out
}

/// What the server said of the entry; one that it says nothing of has failed.
fn status(entry: &[u8]) -> StatusCode {
    let response = json::member(entry, "response").and_then(|response| response.member("status"));
    let text = response.and_then(|status| status.string());
    let digits = text.as_deref().and_then(|status| status.get(..3));
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(StatusCode::BAD_GATEWAY)
}

//! A Bundle whose entries stand for themselves: those that may not be seen are cut out.

use std::borrow::{Borrow, Cow};

use bytes::Bytes;
use fireguard_access::resource::{FoundEntry, Unclear};
use fireguard_access::sieve::{Judges, Sieve, SieveError};
use fireguard_fhir::ResourceType;
use fireguard_fhir::bundle::envelope::Envelope;
use fireguard_fhir::json::Tree;
use fireguard_traffic::body::full;
use http::Response;

use super::Answered;
use super::sight::{Sight, hide};
use crate::failure::Failure;
use crate::transform::{self, Transform, transformed};

/// The answer without what is not for the caller. `counted`: nothing but how much there is.
///
/// # Errors
/// It is not a Bundle, or not the one that was asked for: it is withheld.
pub(super) async fn answer(sight: Sight, counted: bool, answer: Answered) -> Result<Answered, Failure> {
    let limit = sight.limit;
    let answer = sieved(Sieve::new(Search { sight, counted }, limit), answer).await?;
    if !counted {
        return Ok(answer);
    }
    let (parts, body) = answer.into_parts();
    let count = count(&transform::whole(body, limit).await?)?;
    Ok(Response::from_parts(parts, full(count)))
}

/// The same of a Bundle that is all there.
///
/// # Errors
/// As [`answer`].
pub(super) fn whole(sight: &Sight, counted: bool, bundle: &[u8]) -> Result<Vec<u8>, Failure> {
    let shown = Sieve::new(Search { sight, counted }, sight.limit).whole(bundle).map_err(withheld)?;
    if counted { count(&shown) } else { Ok(shown) }
}

/// A searchset without matches: as a count is answered, it has no links either.
fn count(bundle: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut tree = Tree::parse(bundle).map_err(|error| withheld(SieveError::NotRead(error.to_string())))?;
    tree.take("link");
    if tree.get("total").is_none() {
        return Err(Failure::upstream("the FHIR server did not say how much there is", "no total"));
    }
    Ok(tree.to_bytes())
}

/// The answer as a sieve lets it through.
///
/// # Errors
/// It is withheld.
pub(super) async fn sieved<J: Judges + Send + 'static>(
    sieve: Sieve<J>,
    answer: Answered,
) -> Result<Answered, Failure> {
    let (parts, body) = answer.into_parts();
    Ok(Response::from_parts(parts, transformed(body, Sieved(sieve)).await?))
}

struct Sieved<J>(Sieve<J>);

impl<J: Judges + Send + 'static> Transform for Sieved<J> {
    async fn feed(&mut self, chunk: Bytes, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.0.feed(&chunk, out).map_err(withheld)
    }

    async fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.0.finish(out).map_err(withheld)
    }
}

fn withheld(error: SieveError) -> Failure {
    match error {
        SieveError::NotRead(detail) => {
            Failure::upstream("the FHIR server's answer is not a Bundle that can be read", detail)
        }
        SieveError::Unproved(message) => Failure::upstream(message, "its self link"),
    }
}

/// Entries of a search, a history, or an operation that answers like a search.
struct Search<S> {
    sight: S,
    /// None of them is shown.
    counted: bool,
}

impl<S: Borrow<Sight>> Judges for Search<S> {
    fn envelope(&self, envelope: &Envelope) -> Result<(), SieveError> {
        let sight = self.sight.borrow();
        let mut links = envelope.links.iter().filter(|(relation, _)| relation == "self").map(|(_, url)| url);
        let proved = match (links.next(), links.next()) {
            (Some(link), None) => sight.is_proved_by(link),
            _ => !sight.asks_for_proof(),
        };
        if proved {
            return Ok(());
        }
        Err(SieveError::Unproved(
            "the answer is withheld: the FHIR server did not search as narrowly as it was told",
        ))
    }

    fn total(&self) -> bool {
        self.sight.borrow().countable
    }

    fn show<'e>(&self, entry: &'e [u8], found: Result<FoundEntry, Unclear>) -> Option<Cow<'e, [u8]>> {
        if self.counted {
            return None;
        }
        let FoundEntry { resource, mode } = found.ok()?;
        // What was deleted belongs to nobody any more. What the server remarks may quote what was found.
        let found = resource.filter(|found| found.outer.resource_type != ResourceType::OperationOutcome)?;
        let hidden = self.sight.borrow().shows(&found, mode.as_deref() == Some("match"))?;
        Some(hide(entry, &hidden).ok()?.map_or(Cow::Borrowed(entry), Cow::Owned))
    }
}

//! A Bundle whose entries stand for themselves: those that may not be seen are cut out.

use std::sync::Arc;

use bytes::Bytes;
use fireguard_access::resource::FoundEntry;
use fireguard_access::sieve::{Judges, Sieve, SieveError};
use fireguard_fhir::ResourceType;
use fireguard_fhir::bundle::envelope::Envelope;
use http::Response;

use super::Answered;
use super::sight::{Sight, hide};
use crate::failure::Failure;
use crate::transform::{Transform, transformed};

/// The answer without what is not for the caller.
///
/// # Errors
/// It is not a Bundle, or not the one that was asked for: it is withheld.
pub(super) async fn answer(sight: Sight, answer: Answered) -> Result<Answered, Failure> {
    let limit = sight.limit;
    sieved(Sieve::new(Search { sight: Arc::new(sight), nested: false }, limit), answer).await
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
pub(super) struct Search {
    sight: Arc<Sight>,
    /// It is an entry of another answer: what that one was narrowed by says nothing of it.
    nested: bool,
}

impl Search {
    /// Within another answer.
    pub(super) fn nested(sight: &Arc<Sight>) -> Self {
        Self { sight: Arc::clone(sight), nested: true }
    }
}

impl Judges for Search {
    fn envelope(&self, envelope: &Envelope) -> Result<(), SieveError> {
        let mut links = envelope.links.iter().filter(|(relation, _)| relation == "self").map(|(_, url)| url);
        let proved = match (links.next(), links.next()) {
            (Some(link), None) => self.sight.is_proved_by(link),
            _ => !self.sight.asks_for_proof(),
        };
        if proved || self.nested {
            return Ok(());
        }
        Err(SieveError::Unproved(
            "the answer is withheld: the FHIR server did not search as narrowly as it was told",
        ))
    }

    fn total(&self) -> bool {
        self.sight.countable && !self.nested
    }

    fn entry(&self, entry: Vec<u8>) -> Option<Vec<u8>> {
        let FoundEntry { resource, mode } = FoundEntry::of(&entry).ok()?;
        // What was deleted belongs to nobody any more. What the server remarks may quote what was found.
        let found = resource.filter(|found| found.outer.resource_type != ResourceType::OperationOutcome)?;
        let matched = !self.nested && mode.as_deref() == Some("match");
        let hidden = self.sight.shows(&found, matched)?;
        Some(hide(&entry, &hidden).ok()?.unwrap_or(entry))
    }
}

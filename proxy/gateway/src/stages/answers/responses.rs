//! The answer to a batch or transaction: each entry keeps its place, and says what its caller may know. Each is judged by
//! what that entry asked for, as the answer to a request of its own.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::vec::IntoIter;

use fireguard_access::confinement::Granted;
use fireguard_access::decision::Judge;
use fireguard_access::resource::{FoundEntry, Unclear};
use fireguard_access::sieve::{Judges, Sieve, SieveError};
use fireguard_fhir::bundle::envelope::Envelope;
use fireguard_fhir::interaction::{Id, Request};
use fireguard_fhir::json::{self, write_string};
use fireguard_fhir::outcome::OperationOutcome;
use fireguard_fhir::urls::{Rewrite, Scope, UrlRewriter};
use http::StatusCode;

use super::bundle::{self, sieved};
use super::sight::{Sight, hide};
use super::{Answered, Shown};
use crate::failure::Failure;
use crate::stages::plugins::shape::Shape;
use crate::stages::words;

/// What the answer to one entry is judged by.
pub(in crate::stages) struct Expected {
    /// None: nothing of it has to be looked at.
    judged: Option<(Sight, Shown)>,
    /// Seals links to further pages as those of a search that was proved.
    links: Option<Arc<Rewrite>>,
    /// It deletes what nobody has changed since it was looked at.
    unchanged: bool,
}

impl Expected {
    /// The answer is shown as it is.
    pub(in crate::stages) fn all() -> Self {
        Self { judged: None, links: None, unchanged: false }
    }

    /// The answer to this entry, which is put so that it can be judged. `around` is the sight of the whole.
    ///
    /// # Errors
    /// No answer to it could be.
    pub(in crate::stages) fn of(
        around: &Sight,
        judge: Arc<dyn Judge>,
        granted: Granted,
        request: &mut Request,
    ) -> Result<Self, Failure> {
        let sight = around.of_entry(judge, granted, &request.interaction);
        let shown = Shown::of(request, sight.counts())?;
        Ok(Self { judged: Some((sight, shown)), links: None, unchanged: false })
    }

    /// The same, with links to further pages that are sealed so.
    pub(in crate::stages) fn linked(self, links: Option<Arc<Rewrite>>) -> Self {
        Self { links, ..self }
    }

    /// The same of an entry that deletes only what nobody has changed.
    pub(in crate::stages) fn of_unchanged(self) -> Self {
        Self { unchanged: true, ..self }
    }

    fn shown<'e>(
        &self,
        entry: &'e [u8],
        found: Result<FoundEntry, Unclear>,
    ) -> Result<Cow<'e, [u8]>, Failure> {
        let status = status(entry);
        if !status.is_success() {
            return Err(words::refused(status));
        }
        if self.unchanged && entry.windows(NOTHING_DELETED.len()).any(|window| window == NOTHING_DELETED) {
            return Err(words::changed());
        }
        let Some((sight, shown)) = &self.judged else { return Ok(Cow::Borrowed(entry)) };
        if shown.shape == Shape::Bundle {
            return self.found(sight, shown, entry).map(Cow::Owned);
        }
        let found = found.map_err(|_| withheld())?.resource;
        let Some(found) = found else { return Ok(Cow::Owned(done(status))) };
        let seen = sight.shows(&found, true).and_then(|hidden| hide(entry, &hidden).ok());
        Ok(match seen {
            Some(_) if shown.is_known(version(entry).as_ref()) => Cow::Owned(done(StatusCode::NOT_MODIFIED)),
            Some(Some(changed)) => Cow::Owned(changed),
            Some(None) => Cow::Borrowed(entry),
            // As if it did not exist; of what was written nothing but that it was.
            None if shown.shape == Shape::Resource => return Err(words::not_found()),
            None => Cow::Owned(done(status)),
        })
    }

    /// The answer to a search, a history, or an operation that answers like a search.
    fn found(&self, sight: &Sight, shown: &Shown, entry: &[u8]) -> Result<Vec<u8>, Failure> {
        let member = |name| json::member(entry, name).and_then(|value| value.whole()).ok_or_else(withheld);
        let (bundle, response) = (member("resource")?, member("response")?);
        let mut bundle = bundle::whole(sight, shown.counted, bundle)?;
        if let Some(links) = &self.links {
            let mut linked = Vec::with_capacity(bundle.len());
            let mut urls = UrlRewriter::new(Arc::clone(links), Scope::Elements);
            urls.feed(&bundle, &mut linked).and_then(|()| urls.finish()).map_err(|_| withheld())?;
            bundle = linked;
        }
        Ok([br#"{"resource":"#, &*bundle, br#","response":"#, response, b"}"].concat())
    }
}

/// How HAPI says that it has deleted nothing.
const NOTHING_DELETED: &[u8] = b"SUCCESSFUL_DELETE_NOT_FOUND";

/// The answer as its caller may see it: `expected` for each entry that was sent, `id` of the exchange.
///
/// # Errors
/// It is not a Bundle.
pub(in crate::stages) async fn answer(
    expected: Vec<Expected>,
    id: &str,
    limit: usize,
    answer: Answered,
) -> Result<Answered, Failure> {
    let responses = Responses { expected: Mutex::new(expected.into_iter()), id: id.to_owned() };
    sieved(Sieve::new(responses, limit), answer).await
}

/// That every entry of an answer was judged.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judged;

/// Says of an answer that every entry of it was judged: none leaves without.
pub(in crate::stages) fn judged(mut answer: Answered) -> Answered {
    answer.extensions_mut().insert(Judged);
    answer
}

struct Responses {
    expected: Mutex<IntoIter<Expected>>,
    id: String,
}

impl Judges for Responses {
    fn envelope(&self, _: &Envelope) -> Result<(), SieveError> {
        Ok(())
    }

    fn total(&self) -> bool {
        false
    }

    /// Positions tell what is answered: so there is always something.
    fn show<'e>(&self, entry: &'e [u8], found: Result<FoundEntry, Unclear>) -> Option<Cow<'e, [u8]>> {
        let expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner).next();
        let shown = expected.ok_or_else(withheld).and_then(|expected| expected.shown(entry, found));
        Some(shown.unwrap_or_else(|failure| Cow::Owned(self.refused(failure))))
    }
}

impl Responses {
    fn refused(&self, failure: Failure) -> Vec<u8> {
        let mut out = br#"{"response":{"status":"#.to_vec();
        write_string(&mut out, &failure.status.to_string());
        out.extend_from_slice(br#","outcome":"#);
        let outcome = OperationOutcome::error(failure.code, failure.message.into_owned());
        out.extend_from_slice(&outcome.with_request_id(&self.id).to_json());
        out.extend_from_slice(b"}}");
        out
    }
}

fn done(status: StatusCode) -> Vec<u8> {
    let mut out = br#"{"response":{"status":"#.to_vec();
    write_string(&mut out, &status.to_string());
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

/// The version that an entry shows.
fn version(entry: &[u8]) -> Option<Id> {
    let meta = json::member(entry, "resource")?.member("meta")?;
    Id::parse(&meta.member("versionId")?.string()?)
}

fn withheld() -> Failure {
    Failure::upstream("the answer is withheld: it is not one that can be judged", "an entry")
}

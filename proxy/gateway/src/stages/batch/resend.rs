//! Asks again for entries of a batch that were throttled.

use std::time::Duration;

use bytes::Bytes;
use fireguard_fhir::bundle::parts::{Part, Parts};
use fireguard_fhir::interaction::BundleKind;
use fireguard_fhir::outcome::{IssueCode, OperationOutcome};
use fireguard_traffic::body::Begun;
use fireguard_traffic::retry::matrix::{Again, Fault, Kind};
use fireguard_traffic::retry::{RetryPolicy, asked_wait};
use http::StatusCode;
use tokio::time::{Instant, sleep};

use super::HELD;
use crate::exchange::{Ready, Upload};
use crate::failure::Source;
use crate::stage::{Answer, Next};
use crate::stages::retry::entries;

/// An entry of the answer that says 429 or 503.
pub(super) struct Throttled {
    /// Its place among the entries.
    pub(super) place: usize,
    /// Its status.
    pub(super) status: u16,
    /// It, as it came or as it came later.
    pub(super) bytes: Vec<u8>,
}

/// What is needed to ask again.
pub(super) struct Resend<N> {
    pub(super) ready: Ready,
    pub(super) next: N,
    pub(super) policy: RetryPolicy,
    pub(super) deadline: Instant,
    /// What the server asks to wait.
    pub(super) asked: Option<Duration>,
}

/// An entry that may be sent again.
struct Pending<'a> {
    throttled: &'a mut Throttled,
    kind: Kind,
    request: Vec<u8>,
}

/// What came of a smaller batch.
enum Outcome {
    /// An answer for each entry, its status first, and what the server asks to wait.
    Entries(Vec<(Option<u16>, Vec<u8>)>, Option<Duration>),
    /// The server did not begin.
    NotBegun,
    /// Nobody knows.
    Unknown,
}

impl<N: Next<Ready>> Resend<N> {
    /// Asks again for the throttled ones of `entries` until they are settled or it is enough. What cannot be settled
    /// stays.
    pub(super) async fn settle(mut self, entries_answered: usize, throttled: Vec<&mut Throttled>) {
        let Some(mut pending) = self.pending(entries_answered, throttled).await else { return };
        let mut done = 1;
        while !pending.is_empty() {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let wait = self.policy.wait(self.asked, done, left);
            let Some(wait) = wait.filter(|_| self.ready.route.server.repeats.repeat()) else { return };
            metrics::counter!("fireguard_retried_entries_total", "route" => self.ready.route.name.clone())
                .increment(pending.len() as u64);
            sleep(wait).await;
            done += 1;
            match self.ask(&pending).await {
                Outcome::Entries(answers, asked) => {
                    self.asked = asked;
                    pending = settled(pending, answers);
                }
                Outcome::NotBegun => return,
                Outcome::Unknown => return pending.into_iter().for_each(Pending::lose),
            }
        }
    }

    /// Those that may be sent again by their own rows. None: which answer belongs to which entry is not certain.
    async fn pending<'a>(
        &mut self,
        entries_answered: usize,
        throttled: Vec<&'a mut Throttled>,
    ) -> Option<Vec<Pending<'a>>> {
        let places: Vec<usize> = throttled.iter().map(|throttled| throttled.place).collect();
        let (base, body) = (self.ready.face.base.clone(), self.ready.body.look().ok()?);
        let sheds = self.ready.route.server.sheds_before_working;
        let sent = entries(&base, body, &places).await.ok()?;
        if sent.kind != BundleKind::Batch || sent.rows.len() != entries_answered {
            return None;
        }
        let pending = throttled.into_iter().zip(sent.picked).filter_map(|(throttled, request)| {
            let kind = *sent.rows.get(throttled.place)?;
            let fault = if throttled.status == 429 { Fault::Throttled } else { Fault::Unavailable };
            let again = kind.after(fault);
            (again == Again::Yes || (again == Again::IfSheds && sheds)).then_some(Pending {
                throttled,
                kind,
                request,
            })
        });
        Some(pending.collect())
    }

    /// Sends a batch of just these.
    async fn ask(&mut self, pending: &[Pending<'_>]) -> Outcome {
        let requests: Vec<&[u8]> = pending.iter().map(|pending| &pending.request[..]).collect();
        let length = requests.len();
        let mut batch = br#"{"resourceType":"Bundle","type":"batch","entry":["#.to_vec();
        batch.extend_from_slice(&requests.join(&b','));
        batch.extend_from_slice(b"]}");
        let Some(mut ready) = self.ready.again() else { return Outcome::NotBegun };
        ready.body = Upload::whole(batch.into());
        let answer = self.next.call(ready).await;
        if let Some(outcome) = whole(&answer) {
            return outcome;
        }
        let Ok(response) = answer else { return Outcome::Unknown };
        let asked = asked_wait(response.headers());
        let Ok(begun) = Begun::read(response.into_body(), HELD + 1).await else { return Outcome::Unknown };
        match read(&begun.bytes) {
            Some(entries) if entries.len() == length => Outcome::Entries(entries, asked),
            _ => Outcome::Unknown,
        }
    }
}

/// What came of a batch that has no answers of its entries.
fn whole(answer: &Answer) -> Option<Outcome> {
    match answer {
        Ok(response) if response.status() == StatusCode::OK => None,
        Ok(response) if response.status().is_client_error() => Some(Outcome::NotBegun),
        Ok(_) => Some(Outcome::Unknown),
        // Nothing was asked of the server, or nothing that it could act on.
        Err(failure) if failure.fault == Some(Fault::Unsent) => Some(Outcome::NotBegun),
        Err(failure) if failure.fault.is_none() && failure.source == Source::Proxy => Some(Outcome::NotBegun),
        Err(_) => Some(Outcome::Unknown),
    }
}

/// The entries of a batch's answer.
fn read(answer: &Bytes) -> Option<Vec<(Option<u16>, Vec<u8>)>> {
    let mut parts = Parts::new(HELD);
    let entries = parts.feed(answer).ok()?.into_iter().filter_map(|part| match part {
        Part::Entry { bytes, status, .. } => Some((status, bytes)),
        _ => None,
    });
    let entries = entries.collect();
    parts.finish().ok()?;
    (parts.kind() == Some("batch-response")).then_some(entries)
}

/// Puts answers in their places; what is left is still throttled.
fn settled(pending: Vec<Pending<'_>>, answers: Vec<(Option<u16>, Vec<u8>)>) -> Vec<Pending<'_>> {
    let answered = pending.into_iter().zip(answers).filter_map(|(pending, (status, bytes))| {
        pending.throttled.bytes = bytes;
        let again = status == Some(429) || (status == Some(503) && pending.throttled.status == 503);
        again.then_some(pending)
    });
    answered.collect()
}

impl Pending<'_> {
    /// The server was asked, and did not say.
    fn lose(self) {
        if self.kind == Kind::Read {
            return;
        }
        let message = "the FHIR server did not say what became of it; the request may have been carried out";
        let outcome = OperationOutcome::error(IssueCode::Transient, message).to_json();
        let mut entry = br#"{"response":{"status":"502 Bad Gateway","outcome":"#.to_vec();
        entry.extend_from_slice(outcome.as_ref());
        entry.extend_from_slice(b"}}");
        self.throttled.bytes = entry;
    }
}

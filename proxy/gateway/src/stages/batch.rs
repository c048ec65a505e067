//! Sends the entries of a batch again that were throttled inside a 200, and puts what comes back in their places.
//!
//! What stands before the first of them goes to the client at once; the rest is held until they are settled.

mod resend;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fireguard_fhir::bundle::parts::{Part, Parts};
use fireguard_fhir::interaction::Interaction;
use fireguard_fhir::json;
use fireguard_traffic::retry::RetryPolicy;
use fireguard_traffic::retry::asked_wait;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use http::{Response, StatusCode};
use tokio::time::Instant;

use crate::exchange::Ready;
use crate::failure::Failure;
use crate::stage::{Answer, Next, Stage};
use crate::state::Shared;
use crate::transform::{Transform, transformed};
use resend::{Resend, Throttled};

/// The stage. Transactions pass: they succeed or fail as a whole.
pub struct Batch {
    policy: RetryPolicy,
    patience: Duration,
}

/// An entry that is longer is no refusal: it is not held.
const LONGEST_REFUSAL: usize = 64 << 10;
/// So much of an answer is held; of one that is longer the refusals stay.
const HELD: usize = 8 << 20;

impl Batch {
    /// As patient as the configuration says.
    pub fn new(shared: &Shared) -> Self {
        let limits = &shared.limits;
        let policy =
            RetryPolicy { attempts: limits.retry_attempts.get(), longest_wait: limits.retry_longest_wait.0 };
        Self { policy, patience: limits.bundle_answer_head.0 }
    }
}

impl Stage<Ready> for Batch {
    type Out = Ready;

    fn pass(&self, exchange: Ready) -> Result<Ready, Ready> {
        if matches!(exchange.request.interaction, Interaction::Bundle { .. }) {
            Err(exchange)
        } else {
            Ok(exchange)
        }
    }

    async fn handle<N: Next<Ready>>(self: Arc<Self>, ready: Ready, mut next: N) -> Answer {
        let spare = ready.again();
        let deadline = Instant::now() + self.patience;
        let answer = next.call(ready).await?;
        let Some(ready) = spare.filter(|_| answer.status() == StatusCode::OK && is_json(answer.headers()))
        else {
            return Ok(answer);
        };
        let (mut parts, body) = answer.into_parts();
        // Entries that come back need not be as long as those they replace.
        parts.headers.remove(CONTENT_LENGTH);
        let asked = asked_wait(&parts.headers);
        let resend = Resend { ready, next, policy: self.policy, deadline, asked };
        let splice = Splice {
            parts: Parts::new(LONGEST_REFUSAL),
            entries: 0,
            held: Vec::new(),
            bytes: 0,
            resend: Some(resend),
        };
        Ok(Response::from_parts(parts, transformed(body, splice).await?))
    }
}

/// What is put together from the answer and the answers to what was sent again.
struct Splice<N> {
    parts: Parts,
    /// So many entries have come.
    entries: usize,
    /// From the first throttled entry on.
    held: Vec<Held>,
    /// Bytes in `held`.
    bytes: usize,
    /// None: there is nothing to be sent again, or it would be too much to hold.
    resend: Option<Resend<N>>,
}

enum Held {
    /// As it came.
    Bytes(Vec<u8>),
    /// A refusal that may go away.
    Throttled(Throttled),
}

impl<N> Splice<N> {
    fn take(&mut self, part: Part, out: &mut Vec<u8>) {
        let place = self.entries;
        let held = match part {
            Part::Entry { bytes, status: Some(status @ (429 | 503)), .. } if self.resend.is_some() => {
                Held::Throttled(Throttled { place, status, bytes })
            }
            Part::End => return,
            Part::Entry { bytes, .. } | Part::Between(bytes) | Part::Rest(bytes) if self.held.is_empty() => {
                return out.extend_from_slice(&bytes);
            }
            Part::Entry { bytes, .. } | Part::Between(bytes) | Part::Rest(bytes) => Held::Bytes(bytes),
        };
        self.bytes += held.bytes().len();
        self.held.push(held);
        if self.bytes > HELD {
            self.resend = None;
            self.let_go(out);
        }
    }

    fn let_go(&mut self, out: &mut Vec<u8>) {
        for held in self.held.drain(..) {
            out.extend_from_slice(held.bytes());
        }
    }
}

impl Held {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) | Self::Throttled(Throttled { bytes, .. }) => bytes,
        }
    }
}

impl<N: Next<Ready>> Transform for Splice<N> {
    async fn feed(&mut self, chunk: Bytes, out: &mut Vec<u8>) -> Result<(), Failure> {
        for part in self.parts.feed(&chunk).map_err(not_json)? {
            let entry = matches!(part, Part::Entry { .. });
            self.take(part, out);
            self.entries += usize::from(entry);
        }
        Ok(())
    }

    async fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.parts.finish().map_err(not_json)?;
        if let Some(resend) = self.resend.take()
            && !self.held.is_empty()
            && self.parts.kind() == Some("batch-response")
        {
            let throttled = self.held.iter_mut().filter_map(|held| match held {
                Held::Throttled(throttled) => Some(throttled),
                Held::Bytes(_) => None,
            });
            resend.settle(self.entries, throttled.collect()).await;
        }
        self.let_go(out);
        Ok(())
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    ["application/fhir+json", "application/json"].iter().any(|json| media_type.eq_ignore_ascii_case(json))
}

fn not_json(error: json::Error) -> Failure {
    Failure::upstream("the FHIR server answered with something that is not FHIR", error.to_string())
}

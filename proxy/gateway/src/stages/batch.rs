//! Sends the entries of a batch again that were throttled inside a 200, and puts what comes back in their places.
//!
//! What stands before the first of them goes to the client at once; the rest is held until they are settled, in a
//! file if it is long.

mod resend;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fireguard_fhir::bundle::parts::{Part, Parts};
use fireguard_fhir::interaction::Interaction;
use fireguard_fhir::json;
use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::replay::{Full, Keep, Spool};
use fireguard_traffic::retry::RetryPolicy;
use fireguard_traffic::retry::asked_wait;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use http::{Response, StatusCode};
use tokio::time::Instant;

use crate::config::defaults;
use crate::exchange::Ready;
use crate::failure::{Failure, Source};
use crate::stage::{Answer, Next, Stage};
use crate::state::Shared;
use crate::transform::{Transform, transformed};
use resend::{Resend, Throttled};

/// The stage. Transactions pass: they succeed or fail as a whole.
pub struct Batch {
    policy: RetryPolicy,
    patience: Duration,
    /// How much of the rest of an answer is held; of one that is longer the refusals stay.
    keep: Keep,
}

/// An entry that is longer is no refusal: it is not held.
const LONGEST_REFUSAL: usize = 64 << 10;
/// So many bytes of refusals are held, and of what comes in their places.
const HELD: usize = 8 << 20;

impl Batch {
    /// As patient as the configuration says.
    pub fn new(shared: &Shared) -> Self {
        let limits = &shared.limits;
        let keep = Keep { memory: defaults::REPLAY_MEMORY, total: limits.replay.0 };
        let policy =
            RetryPolicy { attempts: limits.retry_attempts.get(), longest_wait: limits.retry_longest_wait.0 };
        Self { policy, patience: limits.bundle_answer_head.0, keep }
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
            held: VecDeque::new(),
            bytes: 0,
            spool: Spool::new(self.keep),
            giving: false,
            tail: Vec::new(),
            resend: Some(resend),
            due: None,
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
    held: VecDeque<Held>,
    /// Bytes of refusals.
    bytes: usize,
    spool: Spool,
    /// What is held goes to the client.
    giving: bool,
    /// What comes after it.
    tail: Vec<u8>,
    /// None: there is nothing to be sent again, or it would be too much to hold.
    resend: Option<Resend<N>>,
    /// The whole answer has come: it is sent now.
    due: Option<Resend<N>>,
}

enum Held {
    /// As it came: so many bytes, kept elsewhere.
    Bytes(u64),
    /// A refusal that may go away.
    Throttled(Throttled),
}

impl<N> Splice<N> {
    async fn take(&mut self, part: Part, out: &mut Vec<u8>) {
        let place = self.entries;
        let bytes = match part {
            Part::End => return,
            Part::Entry { bytes, .. } | Part::Between(bytes) | Part::Rest(bytes) if self.giving => {
                return self.tail.extend_from_slice(&bytes);
            }
            Part::Entry { bytes, status: Some(status @ (429 | 503)), .. } if self.resend.is_some() => {
                self.bytes += bytes.len();
                self.held.push_back(Held::Throttled(Throttled { place, status, bytes }));
                if self.bytes > HELD {
                    self.give();
                }
                return;
            }
            Part::Entry { bytes, .. } | Part::Between(bytes) | Part::Rest(bytes) => bytes,
        };
        if self.held.is_empty() {
            return out.extend_from_slice(&bytes);
        }
        let more = bytes.len() as u64;
        match self.spool.push(bytes.into()).await {
            Ok(()) => match self.held.back_mut() {
                Some(Held::Bytes(length)) => *length += more,
                _ => self.held.push_back(Held::Bytes(more)),
            },
            Err(Full(bytes)) => {
                self.tail.extend_from_slice(&bytes);
                self.give();
            }
        }
    }

    /// It is too much to hold: the refusals stay.
    fn give(&mut self) {
        self.resend = None;
        self.giving = true;
    }

    /// The next piece of what is held. False: that was all.
    async fn give_more(&mut self, out: &mut Vec<u8>) -> Result<bool, Failure> {
        match self.held.front_mut() {
            Some(Held::Throttled(throttled)) => {
                out.append(&mut throttled.bytes);
                self.held.pop_front();
            }
            Some(Held::Bytes(0)) => {
                self.held.pop_front();
            }
            Some(Held::Bytes(left)) => {
                let piece = self.spool.take(*left).await.map_err(not_kept)?;
                if piece.is_empty() {
                    return Err(not_kept(std::io::ErrorKind::UnexpectedEof.into()));
                }
                *left -= piece.len() as u64;
                out.extend_from_slice(&piece);
            }
            None => {
                self.giving = false;
                out.append(&mut self.tail);
            }
        }
        Ok(self.giving)
    }
}

impl<N: Next<Ready>> Transform for Splice<N> {
    async fn feed(&mut self, chunk: Bytes, out: &mut Vec<u8>) -> Result<(), Failure> {
        for part in self.parts.feed(&chunk).map_err(not_json)? {
            let entry = matches!(part, Part::Entry { .. });
            self.take(part, out).await;
            self.entries += usize::from(entry);
        }
        Ok(())
    }

    async fn finish(&mut self, _: &mut Vec<u8>) -> Result<(), Failure> {
        self.parts.finish().map_err(not_json)?;
        if let Some(resend) = self.resend.take()
            && !self.held.is_empty()
            && self.parts.kind() == Some("batch-response")
        {
            self.due = Some(resend);
        }
        self.giving = true;
        Ok(())
    }

    async fn more(&mut self, out: &mut Vec<u8>) -> Result<bool, Failure> {
        // What stands before does not wait.
        if self.due.is_some() && !out.is_empty() {
            return Ok(true);
        }
        if let Some(due) = self.due.take() {
            let throttled = self.held.iter_mut().filter_map(|held| match held {
                Held::Throttled(throttled) => Some(throttled),
                Held::Bytes(_) => None,
            });
            due.settle(self.entries, throttled.collect()).await;
        }
        if self.giving { self.give_more(out).await } else { Ok(false) }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    ["application/fhir+json", "application/json"].iter().any(|json| media_type.eq_ignore_ascii_case(json))
}

fn not_kept(error: std::io::Error) -> Failure {
    let (status, message) = (StatusCode::INTERNAL_SERVER_ERROR, "the answer was not kept");
    Failure::new(Source::Proxy, status, IssueCode::Exception, message).detail(error.to_string())
}

fn not_json(error: json::Error) -> Failure {
    Failure::upstream("the FHIR server answered with something that is not FHIR", error.to_string())
}

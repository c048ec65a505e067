//! Sends a request again, where the table in [`fireguard_traffic::retry::matrix`] allows it.

mod entries;
mod settle;

use std::sync::Arc;
use std::time::Duration;

use fireguard_fhir::base::Base;
use fireguard_fhir::interaction::Interaction;
use fireguard_traffic::body::{Begun, Body};
use fireguard_traffic::retry::matrix::{Again, Fault, Kind};
use fireguard_traffic::retry::{RetryPolicy, asked_wait};
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::exchange::{NotKept, Ready};
use crate::failure::Failure;
use crate::stage::{Answer, Next, Stage};
use crate::state::Shared;

pub(super) use entries::entries;

/// The stage.
pub struct Retry {
    policy: RetryPolicy,
    patience: Duration,
    bundle_patience: Duration,
}

/// How long what was done may take until it can be found.
const SETTLE: Duration = Duration::from_secs(1);

/// An answer that says that there was no database connection (`Fault::Overloaded`).
#[derive(Clone, Copy)]
pub(super) struct Overloaded;

impl Retry {
    /// As patient as the configuration says.
    pub fn new(shared: &Shared) -> Self {
        let limits = &shared.limits;
        Self {
            policy: RetryPolicy {
                attempts: limits.retry_attempts.get(),
                longest_wait: limits.retry_longest_wait.0,
            },
            patience: limits.answer_head.0,
            bundle_patience: limits.bundle_answer_head.0,
        }
    }

    fn deadline(&self, interaction: &Interaction) -> Instant {
        Instant::now()
            + match interaction {
                Interaction::Bundle { .. } => self.bundle_patience,
                _ => self.patience,
            }
    }
}

impl Stage<Ready> for Retry {
    type Out = Ready;

    async fn handle<N: Next<Ready>>(self: Arc<Self>, ready: Ready, mut next: N) -> Answer {
        let kind = Kind::of(&ready.request);
        let deadline = self.deadline(&ready.request.interaction);
        let server = Arc::clone(&ready.route.server);
        server.repeats.request();
        let _turn = match kind {
            Kind::ConditionalCreate => {
                let condition = ready.request.preconditions.if_none_exist.as_ref().map(|c| c.serialise());
                let key = (ready.request.interaction.resource_type().map(|ty| ty.as_str()), condition);
                timeout_at(deadline, server.conditional_creates.turn(key)).await.ok()
            }
            _ => None,
        };
        let mut done = 1;
        // Whether an attempt before this one may have been carried out.
        let mut unknown = false;
        let mut spare = ready.again();
        let mut answer = attempt(kind, &mut next, ready).await;
        while let Some(fault) = fault(&answer)
            && let Some(ready) = spare.take()
        {
            let allowed = match kind.after(fault) {
                _ if !ready.body.is_kept() => false,
                Again::Yes => true,
                Again::No => false,
                // A second outcome that is unknown ends it.
                Again::Once | Again::Settled => !unknown,
                Again::IfSheds => server.sheds_before_working,
                Again::IfEntriesMay => every_entry_may(fault, &ready.face.base, ready.body.look()).await,
            };
            if !allowed {
                spare = Some(ready);
                break;
            }
            let settled = kind.after(fault) == Again::Settled;
            let asked = asked(&answer).max(settled.then_some(SETTLE));
            let left = deadline.saturating_duration_since(Instant::now());
            let wait = self.policy.wait(asked, done, left).filter(|_| server.repeats.repeat());
            let Some(wait) = wait else {
                spare = Some(ready);
                break;
            };
            metrics::counter!("fireguard_retries_total", "route" => ready.route.name.clone(), "fault" => fault.as_str())
                .increment(1);
            unknown |= fault == Fault::Unknown;
            pause(answer, wait).await;
            spare = ready.again();
            answer = attempt(kind, &mut next, ready).await;
            done += 1;
        }
        match spare {
            Some(ready) if unknown && kind != Kind::Read => {
                settle::settle(kind, ready, &mut next, answer).await
            }
            _ => answer,
        }
    }
}

/// Whether each entry of a Bundle may be sent again by its own row.
async fn every_entry_may(fault: Fault, base: &Base, body: Result<Body, NotKept>) -> bool {
    let Ok(body) = body else { return false };
    let entries = entries(base, body, &[]).await;
    entries.is_ok_and(|entries| entries.rows.iter().all(|row| row.after(fault) == Again::Yes))
}

/// One attempt. An answer to what only reads counts when the first bytes of its body are there: nothing has gone to
/// the client before.
async fn attempt<N: Next<Ready>>(kind: Kind, next: &mut N, ready: Ready) -> Answer {
    let (parts, body) = next.call(ready).await?.into_parts();
    if kind != Kind::Read {
        return Ok(http::Response::from_parts(parts, body));
    }
    match Begun::read(body, 1).await {
        Ok(begun) => Ok(http::Response::from_parts(parts, begun.into_body())),
        Err(error) => {
            let failure = Failure::upstream("the FHIR server's answer broke off", error.to_string());
            Err(failure.fault(Fault::Unknown))
        }
    }
}

/// What is known of an attempt that did not succeed.
fn fault(answer: &Answer) -> Option<Fault> {
    match answer {
        Ok(response) if response.extensions().get::<Overloaded>().is_some() => Some(Fault::Overloaded),
        Ok(response) => Fault::of_answer(response.status(), response.headers()),
        Err(failure) => failure.fault,
    }
}

fn asked(answer: &Answer) -> Option<Duration> {
    answer.as_ref().ok().and_then(|response| asked_wait(response.headers()))
}

/// An answer of this many bytes is read to its end, for its connection; a longer one is not worth it.
const DISCARD: usize = 64 << 10;

/// Waits; meanwhile reads what nobody wants.
async fn pause(answer: Answer, wait: Duration) {
    let until = Instant::now() + wait;
    if let Ok(response) = answer {
        let _ = timeout_at(until.max(Instant::now() + SETTLE), discard(response.into_body())).await;
    }
    sleep_until(until).await;
}

async fn discard(mut body: Body) {
    let mut left = DISCARD;
    while let Some(Ok(frame)) = body.frame().await {
        match left.checked_sub(frame.data_ref().map_or(0, bytes::Bytes::len)) {
            Some(less) => left = less,
            None => return,
        }
    }
}

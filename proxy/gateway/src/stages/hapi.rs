//! Puts right where HAPI does otherwise than FHIR says; `docs/guide/hapi.md` has the list.
//!
//! HAPI deletes in spite of a stale `If-Match`, creates in spite of an `If-Match` on nothing, and passes over
//! `If-None-Match: *`. So the version is read before, one write of this kind at a time for each resource. It says 409
//! for a stale version where FHIR says 412, and may make one entry of two in a transaction.

mod entries;
mod version;

use std::sync::Arc;
use std::time::Duration;

use fireguard_fhir::interaction::Interaction;
use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::body::Begun;
use http::{Response, StatusCode, header};
use tokio::time::timeout;

use self::entries::AllAnswered;
use self::version::Condition;
pub(super) use self::version::{cannot, only_if_absent};
use crate::exchange::Ready;
use crate::failure::Failure;
use crate::stage::{Answer, Next, Stage};
use crate::state::Shared;
use crate::transform::transformed;

/// The stage. Answers 412 for a version that does not match, 502 for a transaction of which HAPI left out entries.
pub struct Hapi {
    patience: Duration,
}

/// An outcome is looked at so far.
const OUTCOME: usize = 64 << 10;
/// How HAPI says that a version is not the current one.
const STALE: [&[u8]; 2] = [b"HAPI-0989", b"HAPI-0974"];

impl Hapi {
    /// As patient as the configuration says.
    pub fn new(shared: &Shared) -> Self {
        Self { patience: shared.limits.answer_head.0 }
    }
}

impl Stage<Ready> for Hapi {
    type Out = Ready;

    fn pass(&self, exchange: Ready) -> Result<Ready, Ready> {
        let request = &exchange.request;
        let bundle = matches!(request.interaction, Interaction::Bundle { .. });
        let reads = request.interaction.is_safe() && !bundle && request.preconditions.if_match.is_none();
        if reads { Ok(exchange) } else { Err(exchange) }
    }

    async fn handle<N: Next<Ready>>(self: Arc<Self>, mut ready: Ready, mut next: N) -> Answer {
        let (hapi, syntax) = (ready.route.hapi, ready.request.format.syntax());
        let bundle = matches!(ready.request.interaction, Interaction::Bundle { .. });
        let facts = (hapi.check_transactions && bundle).then(|| Arc::clone(&ready.facts));
        let condition = if hapi.check_versions { Condition::of(&ready.request)? } else { None };
        let _turn = match condition {
            None => None,
            Some(condition) => {
                // A slow upload holds it; nobody waits for long.
                let server = Arc::clone(&ready.route.server);
                let turn = server.conditional_writes.turn(condition.resource());
                let turn = timeout(self.patience, turn).await.map_err(|_| busy())?;
                condition.hold(condition.look(&ready), &mut next).await?;
                if condition.is_of_absence() {
                    only_if_absent(&mut Arc::make_mut(&mut ready.request).preconditions);
                }
                Some(turn)
            }
        };
        let versions = hapi.check_versions && (bundle || ready.request.preconditions.if_match.is_some());
        let mut answer = next.call(ready).await?;
        if versions && answer.status() == StatusCode::CONFLICT {
            answer = stale_is_412(answer).await?;
        }
        match facts {
            Some(facts) if answer.status().is_success() => {
                let (mut parts, body) = answer.into_parts();
                parts.headers.remove(header::CONTENT_LENGTH);
                let body = transformed(body, AllAnswered::new(syntax, move || facts.asked_entries())).await?;
                Ok(Response::from_parts(parts, body))
            }
            _ => Ok(answer),
        }
    }
}

/// FHIR has 412 for a version that is not the current one.
async fn stale_is_412(answer: Response<fireguard_traffic::body::Body>) -> Answer {
    let (mut parts, body) = answer.into_parts();
    let begun = Begun::read(body, OUTCOME)
        .await
        .map_err(|error| Failure::upstream("the FHIR server's answer broke off", error.to_string()))?;
    if STALE.iter().any(|code| begun.bytes.windows(code.len()).any(|window| window == *code)) {
        parts.status = StatusCode::PRECONDITION_FAILED;
    }
    Ok(Response::from_parts(parts, begun.into_body()))
}

fn busy() -> Failure {
    let message = "another conditional write of this resource takes too long";
    Failure::client(StatusCode::CONFLICT, IssueCode::Conflict, message)
}

//! Limits how often one client may ask on one route, by what it asks for.

use std::sync::Arc;

use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::rate::{Class, EntryCharge, Key, RATE_LIMIT, RATE_LIMIT_POLICY, RateLimit, Standing};
use http::StatusCode;

use crate::exchange::Asked;
use crate::failure::Failure;
use crate::stage::{Answer, Next, Stage, headers_of};
use crate::state::Shared;

/// The stage. Answers 429 with `Retry-After`; every answer on a limited route says what the client has left.
pub struct Rate {
    ipv6_prefix: u8,
}

impl Rate {
    /// As the configuration tells clients apart.
    pub fn new(shared: &Shared) -> Self {
        Self { ipv6_prefix: shared.limits.rate_ipv6_prefix.0 }
    }
}

impl Stage<Asked> for Rate {
    type Out = Asked;

    async fn handle<N: Next<Asked>>(self: Arc<Self>, exchange: Asked, mut next: N) -> Answer {
        let class = Class::of(&exchange.request.interaction);
        let Some(limit) = exchange.route.rate.as_ref().and_then(|limits| limits.of(class)).cloned() else {
            return next.call(exchange).await;
        };
        let client = Key::address(exchange.client, self.ipv6_prefix);
        let (mut answer, standing) = match limit.check(&client) {
            Err(early) => {
                metrics::counter!("fireguard_rate_limited_total",
                    "route" => exchange.route.name.clone(), "class" => class.as_str())
                .increment(1);
                (Err(too_early(early)), early)
            }
            Ok(_) if class == Class::Batch => {
                // Its entries are counted as they are read, also if nobody waits for the answer.
                let charge = EntryCharge::new(Arc::clone(&limit), client.clone());
                let _ = exchange.facts.batch.set(charge);
                (next.call(exchange).await, limit.standing(&client))
            }
            Ok(standing) => (next.call(exchange).await, standing),
        };
        tell(&mut answer, &limit, standing);
        answer
    }
}

fn too_early(standing: Standing) -> Failure {
    let message = "too many requests from this client on this route";
    Failure::client(StatusCode::TOO_MANY_REQUESTS, IssueCode::Throttled, message).retry_after(standing.wait)
}

fn tell(answer: &mut Answer, limit: &RateLimit, standing: Standing) {
    let headers = headers_of(answer);
    headers.insert(RATE_LIMIT_POLICY, limit.policy());
    if let Some(field) = limit.field(standing) {
        headers.insert(RATE_LIMIT, field);
    }
}

//! Limits how many requests a route has at once, and how often one client may ask there, by what it asks for.

use std::sync::Arc;
use std::time::Duration;

use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::rate::{Class, EntryCharge, Key, RATE_LIMIT, RATE_LIMIT_POLICY, RateLimit, Standing};
use http::StatusCode;

use crate::exchange::Asked;
use crate::failure::{Failure, Source};
use crate::stage::{Answer, Next, Stage, headers_of};
use crate::state::{Route, Shared};

/// The stage. What entries of a batch cost is counted in the stage `body`. Answers 429 with `Retry-After`; every answer
/// on a limited route says what the client has left.
pub struct Rate {
    ipv6_prefix: u8,
}

/// When to come back to a route that is full.
const COME_BACK: Duration = Duration::from_secs(1);

impl Rate {
    /// As the configuration tells clients apart.
    pub fn new(shared: &Shared) -> Self {
        Self { ipv6_prefix: shared.limits.rate_ipv6_prefix.0 }
    }
}

impl Stage<Asked> for Rate {
    type Out = Asked;

    fn pass(&self, exchange: Asked) -> Result<Asked, Asked> {
        let limited = exchange.route.at_once.is_some() || exchange.route.rate.is_some();
        if limited { Err(exchange) } else { Ok(exchange) }
    }

    async fn handle<N: Next<Asked>>(self: Arc<Self>, exchange: Asked, mut next: N) -> Answer {
        // What a plugin asks on the same route belongs to the request that has a place already.
        let placed = exchange.facts.within.is_some_and(|within| within.same_route);
        if let Some((places, _)) = exchange.route.at_once.as_ref().filter(|_| !placed) {
            let Ok(place) = Arc::clone(places).try_acquire_owned() else {
                return Err(too_many(&exchange.route));
            };
            // It is free again when the exchange is over, a write's also if its client has left.
            let _ = exchange.facts.place.set(place);
        }
        let class = Class::of(&exchange.request.interaction);
        let Some(limits) = exchange.route.rate.clone() else { return next.call(exchange).await };
        // Who is known is counted wherever it comes from, and is not held up by others at its address.
        let client = match &exchange.caller.principal {
            Some(principal) => Key::holder(principal.holder()),
            None => Key::address(exchange.client, self.ipv6_prefix),
        };
        let checked = limits.of(class).map(|limit| (limit, limit.check(&client)));
        if let Some((limit, Err(early))) = checked {
            refused(&exchange.route, class);
            let mut answer = Err(too_early(early));
            tell(&mut answer, limit, early);
            return answer;
        }
        if class == Class::Batch {
            // Its entries are counted as they are read, also if nobody waits for the answer.
            let _ = exchange.facts.batch.set(EntryCharge::new(Arc::clone(&limits), client.clone()));
        }
        let mut answer = next.call(exchange).await;
        if let Some((limit, Ok(standing))) = checked {
            let standing = if class == Class::Batch { limit.standing(&client) } else { standing };
            tell(&mut answer, limit, standing);
        }
        answer
    }
}

fn too_many(route: &Route) -> Failure {
    metrics::counter!("fireguard_route_full_total", "route" => route.name.clone()).increment(1);
    let message = "this route has as many requests as it takes at once";
    Failure::new(Source::Proxy, StatusCode::SERVICE_UNAVAILABLE, IssueCode::Throttled, message)
        .detail("requests_at_once")
        .retry_after(COME_BACK)
}

/// Counts a request or an entry that came too early.
pub(super) fn refused(route: &Route, class: Class) {
    metrics::counter!("fireguard_rate_limited_total", "route" => route.name.clone(), "class" => class.as_str())
        .increment(1);
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

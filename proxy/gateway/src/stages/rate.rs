//! Limits how often one client may ask on one route.

use std::sync::Arc;

use fireguard_fhir::outcome::IssueCode;
use http::StatusCode;

use crate::exchange::Asked;
use crate::failure::Failure;
use crate::stage::{Answer, Next, Stage};

/// The stage. Answers 429 with `Retry-After`.
pub struct Rate;

impl Stage<Asked> for Rate {
    type Out = Asked;

    async fn handle<N: Next<Asked>>(self: Arc<Self>, exchange: Asked, mut next: N) -> Answer {
        if let Some(Err(wait)) = exchange.route.rate.as_ref().map(|limit| limit.check(exchange.client)) {
            metrics::counter!("fireguard_rate_limited_total", "route" => exchange.route.name.clone())
                .increment(1);
            let message = "too many requests from this client on this route";
            return Err(Failure::client(StatusCode::TOO_MANY_REQUESTS, IssueCode::Throttled, message)
                .retry_after(wait));
        }
        next.call(exchange).await
    }
}

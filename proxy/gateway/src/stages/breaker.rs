//! Leaves a server alone that fails most of what it is asked, each class of interactions for itself.

use std::sync::Arc;

use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::rate::Class;
use http::StatusCode;

use crate::exchange::Ready;
use crate::failure::{Failure, Source};
use crate::stage::{Answer, Next, Stage};

/// The stage. Answers 503 with `Retry-After` while it is open.
pub struct Breaker;

impl Stage<Ready> for Breaker {
    type Out = Ready;

    async fn handle<N: Next<Ready>>(self: Arc<Self>, ready: Ready, mut next: N) -> Answer {
        let class = Class::of(&ready.request.interaction);
        let pass = ready.route.server.breakers[class as usize].pass().map_err(|wait| {
            metrics::counter!("fireguard_shed_total", "upstream" => ready.route.upstream_name.clone(),
                "class" => class.as_str(), "cause" => "breaker")
            .increment(1);
            let message = "the FHIR server fails most of what it is asked and is left alone for a moment";
            Failure::new(Source::Proxy, StatusCode::SERVICE_UNAVAILABLE, IssueCode::Transient, message)
                .retry_after(wait)
        })?;
        let answer = next.call(ready).await;
        if let Some(fault) = fault(&answer) {
            pass.report(fault);
        }
        answer
    }
}

/// Whether the server failed; none: it was not asked. A 500 is as often about the request as about the server, a 429
/// about the client, and a 503 that says when to come back about the moment.
fn fault(answer: &Answer) -> Option<bool> {
    match answer {
        Ok(response) => Some(match response.status() {
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => true,
            StatusCode::SERVICE_UNAVAILABLE => !response.headers().contains_key(http::header::RETRY_AFTER),
            _ => false,
        }),
        Err(failure) => failure.fault.map(|_| true),
    }
}

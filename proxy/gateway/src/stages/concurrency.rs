//! Lets as many requests to a server at once as it can work on. The others wait, reads by id first.
//!
//! A permit is held to the end of the answer's body; a write holds its own in the task that follows it.

use std::sync::Arc;
use std::time::Duration;

use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::body::{Begun, Body, Outgoing};
use fireguard_traffic::concurrency::Shed;
use fireguard_traffic::rate::Class;
use fireguard_traffic::retry::matrix::Fault;
use fireguard_traffic::retry::overload::{LOOK, says_overloaded};
use http::{Response, StatusCode};
use tokio::time::{Instant, timeout};

use super::retry::Overloaded;
use crate::exchange::Ready;
use crate::failure::{Failure, Source};
use crate::stage::{Answer, Next, Stage};
use crate::state::{Route, Shared};

/// The stage. Answers 503 with `Retry-After` to what would wait for too long.
pub struct Concurrency {
    /// How long a client may send nothing of a body.
    patience: Duration,
}

/// When to come back: the queue is not empty at once.
const COME_BACK: Duration = Duration::from_secs(1);

impl Concurrency {
    /// As the configuration says.
    pub fn new(shared: &Shared) -> Self {
        Self { patience: shared.limits.answer_head.0 }
    }

    /// Waits for the body, so that a client that sends slowly keeps no place at the server. Only what is too long for
    /// memory is waited for there.
    async fn body(&self, ready: &mut Ready) -> Result<(), Failure> {
        let Outgoing::Kept(body) = &ready.body.body else { return Ok(()) };
        let (body, watch) = (body.clone(), ready.body.watch.clone());
        while timeout(self.patience, body.more()).await.map_err(|_| super::body::too_slow())? {}
        watch.fault().map_or(Ok(()), Err)
    }
}

impl Stage<Ready> for Concurrency {
    type Out = Ready;

    async fn handle<N: Next<Ready>>(self: Arc<Self>, mut ready: Ready, mut next: N) -> Answer {
        self.body(&mut ready).await?;
        let class = Class::of(&ready.request.interaction);
        let route = Arc::clone(&ready.route);
        let concurrency = &route.server.concurrency;
        let permit = if ready.facts.within.is_some_and(|within| within.holds) {
            // Who has a place at a server does not wait for another: it could wait for itself.
            concurrency.try_permit(class)
        } else {
            Some(concurrency.permit(class).await.map_err(|shed| too_many(shed, class, &route))?)
        };
        ready.facts.has_place();
        let began = Instant::now();
        let mut answer = next.call(ready).await;
        if let Ok(response) = answer {
            answer = looked_at(response).await;
        }
        let overloaded = match &answer {
            Ok(response) => is_overloaded(response),
            Err(failure) => failure.status == StatusCode::GATEWAY_TIMEOUT,
        };
        let limit = match (&answer, &permit) {
            (_, Some(permit)) if overloaded => permit.overloaded(),
            (Ok(_), Some(permit)) => permit.answered(began.elapsed()),
            _ => None,
        };
        if let Some(limit) = limit {
            metrics::gauge!("fireguard_concurrency_limit", "upstream" => route.upstream_name.clone())
                .set(limit as f64);
        }
        Ok(answer?.map(|body| match permit {
            Some(permit) => permit.held_by(body),
            None => body,
        }))
    }
}

fn too_many(shed: Shed, class: Class, route: &Route) -> Failure {
    let cause = match shed {
        Shed::Full => "full",
        Shed::TooLong => "queue-time",
    };
    metrics::counter!("fireguard_shed_total", "upstream" => route.upstream_name.clone(), "class" => class.as_str(), "cause" => cause)
        .increment(1);
    let message = "the FHIR server has too much to do";
    Failure::new(Source::Proxy, StatusCode::SERVICE_UNAVAILABLE, IssueCode::Throttled, message)
        .detail(cause)
        .retry_after(COME_BACK)
}

fn is_overloaded(response: &Response<Body>) -> bool {
    matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
        || response.extensions().get::<Overloaded>().is_some()
}

/// Marks a 500 that says that there was no database connection.
async fn looked_at(response: Response<Body>) -> Answer {
    if response.status() != StatusCode::INTERNAL_SERVER_ERROR {
        return Ok(response);
    }
    let (mut parts, body) = response.into_parts();
    let begun = Begun::read(body, LOOK).await.map_err(|error| {
        Failure::upstream("the FHIR server's answer broke off", error.to_string()).fault(Fault::Unknown)
    })?;
    if says_overloaded(&begun.bytes) {
        parts.extensions.insert(Overloaded);
    }
    Ok(Response::from_parts(parts, begun.into_body()))
}

//! A write that went to the server outlives its client, and its body is kept until the server has taken it.
//!
//! hyper drops a request's future when the client goes away, but HAPI commits all the same (measured): so what
//! changes something runs in a task of its own, and its answer is read to the end whether anybody wants it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::body::{Body, BodyError, Outgoing};
use fireguard_traffic::replay::Keep;
use http::StatusCode;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

use crate::config::defaults;
use crate::exchange::Ready;
use crate::failure::{Failure, Source};
use crate::stage::{Answer, Next, Stage};
use crate::state::Shared;

/// The stage.
pub struct OwnWrites {
    keep: Keep,
}

impl OwnWrites {
    /// With the limits of the configuration.
    pub fn new(shared: &Shared) -> Self {
        Self { keep: Keep { memory: defaults::REPLAY_MEMORY, total: shared.limits.replay.0 } }
    }
}

impl Stage<Ready> for OwnWrites {
    type Out = Ready;

    fn pass(&self, exchange: Ready) -> Result<Ready, Ready> {
        let here = matches!(exchange.body.body, Outgoing::Whole(_));
        if here && exchange.request.interaction.is_safe() { Ok(exchange) } else { Err(exchange) }
    }

    async fn handle<N: Next<Ready>>(self: Arc<Self>, mut ready: Ready, mut next: N) -> Answer {
        ready.body = ready.body.kept(self.keep);
        if ready.request.interaction.is_safe() {
            return next.call(ready).await;
        }
        let work = tokio::spawn(async move {
            let response = next.call(ready).await?;
            Ok(response.map(|body| ReadToEnd { body: Some(body) }.boxed_unsync()))
        });
        work.await.unwrap_or_else(|error| {
            let message = "the request could not be finished; it may have been carried out";
            let failure =
                Failure::new(Source::Proxy, StatusCode::INTERNAL_SERVER_ERROR, IssueCode::Exception, message);
            Err(failure.detail(error.to_string()))
        })
    }
}

/// Reads what is left of a body when it is dropped before its end.
struct ReadToEnd {
    body: Option<Body>,
}

impl http_body::Body for ReadToEnd {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), http_body::Body::size_hint)
    }
}

impl Drop for ReadToEnd {
    fn drop(&mut self) {
        if let (Some(mut body), Ok(runtime)) = (self.body.take(), tokio::runtime::Handle::try_current())
            && !http_body::Body::is_end_stream(&body)
        {
            runtime.spawn(async move { while let Some(Ok(_)) = body.frame().await {} });
        }
    }
}

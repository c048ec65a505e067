//! Watches an exchange to its end; [`crate::facts::Facts`] writes down what was seen.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fireguard_traffic::body::{Body, BodyError};
use http::{HeaderName, HeaderValue};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

use crate::exchange::Arrived;
use crate::facts::{End, Facts};
use crate::stage::{Answer, Next, Stage, headers_of};

/// The stage.
pub struct Observe;

/// How often the server was asked, if more than once.
const ATTEMPTS: HeaderName = HeaderName::from_static("x-fireguard-attempts");

impl Stage<Box<Arrived>> for Observe {
    type Out = Box<Arrived>;

    async fn handle<N: Next<Box<Arrived>>>(self: Arc<Self>, arrived: Box<Arrived>, mut next: N) -> Answer {
        let facts = Arc::clone(&arrived.facts);
        let head_only = arrived.parts.method == http::Method::HEAD;
        let mut answer = next.call(arrived).await;
        if facts.attempts() > 1 {
            headers_of(&mut answer).insert(ATTEMPTS, HeaderValue::from(facts.attempts()));
        }
        match answer {
            Ok(response) => {
                facts.answered(response.status());
                // A body that is empty, or that a HEAD does not want, is never asked for.
                if head_only || http_body::Body::is_end_stream(response.body()) {
                    facts.ended(End::Complete);
                }
                Ok(response.map(|body| Observed { body, facts }.boxed_unsync()))
            }
            Err(failure) => {
                facts.failed(&failure);
                Err(failure)
            }
        }
    }
}

/// An answer's body that is watched to its end.
struct Observed {
    body: Body,
    facts: Arc<Facts>,
}

impl http_body::Body for Observed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.facts.sent(frame.data_ref().map_or(0, Bytes::len));
                if self.body.is_end_stream() {
                    self.facts.ended(End::Complete);
                }
            }
            Poll::Ready(Some(Err(error))) => {
                self.facts.ended(End::Aborted);
                let _ = self.facts.abort.set(error.to_string());
            }
            Poll::Ready(None) => self.facts.ended(End::Complete),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

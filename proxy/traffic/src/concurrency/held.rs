//! An answer's body that holds a permit to its end.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::Instant;

use super::Permit;
use crate::body::{Body, BodyError};

/// A client that has not asked for more for so long keeps nobody waiting.
const IDLE: Duration = Duration::from_secs(1);

/// See the module's text.
pub struct HeldBody {
    body: Body,
    streaming: Arc<Streaming>,
}

/// An answer on its way to a client.
pub(super) struct Streaming(Mutex<Holding>);

struct Holding {
    permit: Option<Permit>,
    /// Since when the client has not asked for more; none: the server is asked.
    idle: Option<Instant>,
}

impl Permit {
    /// The body, which holds the permit until it is over.
    pub fn held_by(self, body: Body) -> Body {
        if http_body::Body::is_end_stream(&body) {
            return body;
        }
        let concurrency = Arc::clone(&self.concurrency);
        let holding = Holding { permit: Some(self), idle: Some(Instant::now()) };
        let streaming = Arc::new(Streaming(Mutex::new(holding)));
        let mut state = concurrency.state();
        // As many as hold a permit, and some that have ended.
        if state.streaming.len() > 2 * state.in_flight + 16 {
            state.streaming.retain(|streaming| streaming.strong_count() > 0);
        }
        state.streaming.push(Arc::downgrade(&streaming));
        drop(state);
        HeldBody { body, streaming }.boxed_unsync()
    }
}

impl Streaming {
    /// The permit, if the client is idle.
    pub(super) fn take_if_idle(&self, now: Instant) -> Option<Permit> {
        let mut holding = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = holding.idle.is_some_and(|since| now.saturating_duration_since(since) >= IDLE);
        holding.permit.take_if(|_| idle)
    }

    fn note(&self, idle: Option<Instant>, over: bool) {
        let permit = {
            let mut holding = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            holding.idle = idle;
            holding.permit.take_if(|_| over)
        };
        drop(permit);
    }
}

impl http_body::Body for HeldBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        match &polled {
            Poll::Pending => self.streaming.note(None, false),
            Poll::Ready(Some(Ok(_))) => self.streaming.note(Some(Instant::now()), self.body.is_end_stream()),
            Poll::Ready(Some(Err(_)) | None) => self.streaming.note(None, true),
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

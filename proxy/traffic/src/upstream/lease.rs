//! An answer's body that gives its connection back when it has been read.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use super::pool::{Connection, Idle};
use crate::body::BodyError;

/// The body of an answer from a [`super::Pool`]. Trailers are not passed on.
pub struct LeasedBody {
    incoming: Incoming,
    /// The connection, to be given back at the end of the body; none if the server will close it.
    lease: Option<(Connection, Arc<Idle>)>,
    /// How long the server may stay silent.
    patience: Duration,
    silence: Pin<Box<Sleep>>,
    /// When the timer must be looked at; moving a timer for every frame would cost more than a clock.
    last_frame: Instant,
}

/// The server stopped in the middle of its answer.
#[derive(Debug, thiserror::Error)]
#[error("the server sent nothing for {0:?} in the middle of its answer")]
struct Silent(Duration);

impl LeasedBody {
    pub(super) fn new(
        incoming: Incoming,
        lease: Option<(Connection, Arc<Idle>)>,
        patience: Duration,
    ) -> Self {
        let mut body = Self {
            incoming,
            lease,
            patience,
            silence: Box::pin(sleep(patience)),
            last_frame: Instant::now(),
        };
        body.give_back_if_done();
        body
    }

    fn give_back_if_done(&mut self) {
        if self.incoming.is_end_stream()
            && let Some((connection, idle)) = self.lease.take()
        {
            idle.put(connection);
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Silent> {
        loop {
            ready!(self.silence.as_mut().poll(cx));
            let until = self.last_frame + self.patience;
            if until <= Instant::now() {
                return Poll::Ready(Silent(self.patience));
            }
            self.silence.as_mut().reset(until);
        }
    }
}

impl Body for LeasedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            let frame = match Pin::new(&mut this.incoming).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending => return this.poll_silence(cx).map(|silent| Some(Err(silent.into()))),
            };
            match frame {
                Some(Ok(frame)) if frame.is_trailers() => {}
                Some(Ok(frame)) => {
                    this.last_frame = Instant::now();
                    this.give_back_if_done();
                    return Poll::Ready(Some(Ok(frame)));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => {
                    if let Some((connection, idle)) = this.lease.take() {
                        idle.put(connection);
                    }
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

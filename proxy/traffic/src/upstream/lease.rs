//! An answer's body that gives its connection back when it has been read.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::idle::Idle;
use super::pool::Sender;
use super::silence::Silence;
use crate::body::BodyError;

/// The body of an answer from a [`super::Pool`]. Trailers are not passed on.
pub struct LeasedBody {
    incoming: Incoming,
    /// The connection, to be given back at the end of the body; none if the server will close it.
    lease: Option<(Sender, Arc<Idle<Sender>>)>,
    silence: Silence,
}

impl LeasedBody {
    pub(super) fn new(
        incoming: Incoming,
        lease: Option<(Sender, Arc<Idle<Sender>>)>,
        patience: Duration,
    ) -> Self {
        let mut body = Self { incoming, lease, silence: Silence::new(patience) };
        if body.incoming.is_end_stream() {
            body.give_back();
        }
        body
    }

    fn give_back(&mut self) {
        if let Some((sender, idle)) = self.lease.take() {
            idle.put(sender);
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
            let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(cx) else {
                return this.silence.poll(cx).map(|silent| Some(Err(silent.into())));
            };
            this.silence.broken();
            match frame {
                Some(Ok(frame)) if frame.is_trailers() => {}
                Some(Ok(frame)) => {
                    if this.incoming.is_end_stream() {
                        this.give_back();
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => {
                    this.give_back();
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

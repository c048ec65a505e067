//! A request body that is checked on its way.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fireguard_traffic::body::BodyError;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::inspect::Inspect;
use super::plain::Plain;
use super::{not_read, too_long, too_slow};
use crate::exchange::Watch;
use crate::failure::Failure;

/// The client's body as the server gets it, broken off where something is wrong with it.
pub(super) struct Checked {
    pub(super) body: Plain,
    pub(super) inspect: Inspect,
    /// The bytes that may still come.
    pub(super) left: u64,
    /// Who sends a little now and then is never silent for long, and never through.
    pub(super) deadline: Pin<Box<Sleep>>,
    pub(super) watch: Watch,
    pub(super) done: bool,
}

/// The body was broken off here; the reason went another way.
#[derive(Debug, thiserror::Error)]
#[error("the request body was refused")]
struct Refused;

impl Checked {
    fn check(&mut self, data: Bytes) -> Result<Bytes, Failure> {
        self.left = self.left.checked_sub(data.len() as u64).ok_or_else(too_long)?;
        self.inspect.feed(data)
    }

    fn refuse(&mut self, failure: Failure) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.watch.broke_off(failure);
        self.done = true;
        Poll::Ready(Some(Err(Refused.into())))
    }
}

impl Body for Checked {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if this.done {
            return Poll::Ready(None);
        }
        if this.deadline.as_mut().poll(cx).is_ready() {
            return this.refuse(too_slow());
        }
        loop {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers go no further.
                    let Ok(data) = frame.into_data() else { continue };
                    let arrived = data.len();
                    match this.check(data) {
                        Ok(out) => {
                            this.watch.passed(arrived);
                            // A token that was cut is sent with what follows.
                            if out.is_empty() {
                                continue;
                            }
                            return Poll::Ready(Some(Ok(Frame::data(out))));
                        }
                        Err(failure) => return this.refuse(failure),
                    }
                }
                Some(Err(error)) => return this.refuse(not_read(error)),
                None => {
                    this.done = true;
                    return match this.inspect.finish() {
                        Ok(()) => {
                            this.watch.ended();
                            Poll::Ready(None)
                        }
                        Err(failure) => this.refuse(failure),
                    };
                }
            }
        }
    }

    // The end of the body is a finding: it must be asked for, not foretold.
    fn is_end_stream(&self) -> bool {
        self.done
    }

    fn size_hint(&self) -> SizeHint {
        // A length told ahead would let the server take the last byte for the end, before it was checked.
        SizeHint::default()
    }
}

//! How long a server may stay silent inside an answer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Watches the time in which a body is asked for and nothing comes. The time in which nobody asks is the
/// client's and does not count.
pub(super) struct Silence {
    patience: Duration,
    asked: Option<Instant>,
    /// None until the first wait. It is moved only when it rings: for every frame, a clock is cheaper.
    timer: Option<Pin<Box<Sleep>>>,
}

/// The server stopped in the middle of its answer.
#[derive(Debug, thiserror::Error)]
#[error("the server sent nothing for {0:?} in the middle of its answer")]
pub(super) struct Silent(Duration);

impl Silence {
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, asked: None, timer: None }
    }

    /// Something came.
    pub(super) fn broken(&mut self) {
        self.asked = None;
    }

    /// Nothing is there: ready when that has lasted too long.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Silent> {
        let until = *self.asked.get_or_insert_with(Instant::now) + self.patience;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        loop {
            ready!(timer.as_mut().poll(cx));
            if until <= Instant::now() {
                return Poll::Ready(Silent(self.patience));
            }
            timer.as_mut().reset(until);
        }
    }
}

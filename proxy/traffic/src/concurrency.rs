//! How many requests are at a server at once.
//!
//! More than it can work on only wait there, where nobody chooses between them: so they wait here, and who only
//! reads goes first. The limit is found by watching how long answers take ([`limit`]).

mod held;
mod limit;
mod queue;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::rate::Class;
use held::Streaming;
use limit::Limit;
use queue::Queue;

pub use held::HeldBody;
pub use limit::Bounds;

/// How long a request may wait, and with how many others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// The longest wait.
    pub time: Duration,
    /// So many may wait.
    pub length: usize,
}

/// See the module's text. One for each server, shared by all cores.
pub struct Concurrency {
    waiting: Waiting,
    state: Mutex<State>,
}

struct State {
    limit: Limit,
    in_flight: usize,
    queue: Queue,
    /// Answers on their way to clients.
    streaming: Vec<std::sync::Weak<Streaming>>,
}

/// One of those that may be at the server.
pub struct Permit {
    concurrency: Arc<Concurrency>,
    class: Class,
}

/// There are too many already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shed {
    /// So many wait that this one need not begin to.
    Full,
    /// It waited its time.
    TooLong,
}

/// Who waits longer looks for answers that no client reads.
const PATIENCE: Duration = Duration::from_millis(500);

impl Concurrency {
    /// With nobody at the server.
    pub fn new(bounds: Bounds, waiting: Waiting) -> Self {
        let state =
            State { limit: Limit::new(bounds), in_flight: 0, queue: Queue::default(), streaming: Vec::new() };
        Self { waiting, state: Mutex::new(state) }
    }

    /// Waits for its turn.
    ///
    /// # Errors
    /// There are too many already.
    pub async fn permit(self: &Arc<Self>, class: Class) -> Result<Permit, Shed> {
        let mut turn = {
            let mut state = self.state();
            if state.take() {
                return Ok(self.hand_out(class));
            }
            if state.queue.len() >= self.waiting.length {
                return Err(Shed::Full);
            }
            let (waker, turn) = oneshot::channel();
            state.queue.push(class, waker);
            turn
        };
        let until = Instant::now() + self.waiting.time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if let Ok(permit) = timeout(left.min(PATIENCE), &mut turn).await {
                return permit.map_err(|_| Shed::TooLong);
            }
            if left <= PATIENCE {
                return Err(Shed::TooLong);
            }
            self.take_from_idle_clients();
        }
    }

    /// A place that is free now; those who wait come first.
    pub fn try_permit(self: &Arc<Self>, class: Class) -> Option<Permit> {
        let taken = self.state().take();
        taken.then(|| self.hand_out(class))
    }

    fn hand_out(self: &Arc<Self>, class: Class) -> Permit {
        Permit { concurrency: Arc::clone(self), class }
    }

    fn release(self: &Arc<Self>) {
        let mut turns = Vec::new();
        {
            let mut state = self.state();
            state.in_flight -= 1;
            while state.in_flight < state.limit.now()
                && let Some((class, waker)) = state.queue.pop()
            {
                state.in_flight += 1;
                turns.push((class, waker));
            }
        }
        for (class, waker) in turns {
            // Whoever has stopped waiting gives it back by dropping it.
            let _ = waker.send(self.hand_out(class));
        }
    }

    /// An answer that its client does not read needs nothing of the server any more.
    fn take_from_idle_clients(&self) {
        let streaming = {
            let mut state = self.state();
            state.streaming.retain(|streaming| streaming.strong_count() > 0);
            state.streaming.clone()
        };
        let now = Instant::now();
        let permits = streaming.iter().filter_map(|streaming| streaming.upgrade()?.take_if_idle(now));
        permits.for_each(drop);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a place that is free, if nobody waits for it.
    fn take(&mut self) -> bool {
        let free = self.in_flight < self.limit.now() && self.queue.is_empty();
        self.in_flight += usize::from(free);
        free
    }
}

impl Permit {
    /// The head of the answer came after this time. The limit, if it moved.
    pub fn answered(&self, after: Duration) -> Option<usize> {
        let mut state = self.concurrency.state();
        let in_flight = state.in_flight;
        state.limit.answered(self.class, after, in_flight).then(|| state.limit.now())
    }

    /// The server says, or shows, that it has too much to do. The limit, if it moved.
    pub fn overloaded(&self) -> Option<usize> {
        let mut state = self.concurrency.state();
        state.limit.overloaded(Instant::now()).then(|| state.limit.now())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.concurrency.release();
    }
}

#[cfg(test)]
mod tests;

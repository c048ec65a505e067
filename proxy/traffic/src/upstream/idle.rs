//! The connections of one core at rest.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::PoolSettings;

/// Connections between two requests, the one used last at the end.
pub(super) struct Idle<C> {
    resting: Mutex<Vec<(Instant, C)>>,
    keep: Duration,
    max: usize,
}

/// What can be done with a connection at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fitness {
    /// It can carry a request.
    Fit,
    /// It is still finishing; it stays for a later request.
    NotYet,
    /// It is over.
    Dead,
}

impl<C> Idle<C> {
    pub(super) fn new(settings: &PoolSettings) -> Self {
        Self { resting: Mutex::default(), keep: settings.keep_idle, max: settings.max_idle }
    }

    /// Keeps a connection, unless there are enough.
    pub(super) fn put(&self, connection: C) {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        if resting.len() < self.max {
            resting.push((Instant::now(), connection));
        }
    }

    /// The connection used last, if it is fit: the server is least likely to be closing it.
    pub(super) fn take(&self, mut fitness: impl FnMut(&mut C) -> Fitness) -> Option<C> {
        let mut resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let expired = resting.partition_point(|(since, _)| now.duration_since(*since) >= self.keep);
        resting.drain(..expired);
        for at in (0..resting.len()).rev() {
            match fitness(&mut resting[at].1) {
                Fitness::Fit => return Some(resting.remove(at).1),
                Fitness::NotYet => {}
                Fitness::Dead => drop(resting.remove(at)),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle(keep: Duration) -> Idle<u32> {
        Idle { resting: Mutex::default(), keep, max: 3 }
    }

    #[test]
    fn the_last_fit_one_is_taken_and_dead_ones_leave() {
        let idle = idle(Duration::MAX);
        for connection in [1, 2, 3, 4] {
            idle.put(connection);
        }
        let fitness = |connection: &mut u32| match connection {
            3 => Fitness::Dead,
            2 => Fitness::NotYet,
            _ => Fitness::Fit,
        };
        assert_eq!(idle.take(fitness), Some(1), "4 was one too many");
        assert_eq!(idle.take(fitness), None);
        assert_eq!(idle.take(|_| Fitness::Fit), Some(2), "3 has left");
    }

    #[test]
    fn old_ones_leave() {
        let idle = idle(Duration::ZERO);
        idle.put(1);
        assert_eq!(idle.take(|_| Fitness::Fit), None);
    }
}

//! Whether every core goes on: each says so twice a second, as long as nothing blocks it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often.
const EVERY: Duration = Duration::from_millis(500);

/// The cores' signs of life.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Vec<Arc<AtomicBool>>);

/// One core's.
pub(super) struct Beat(Arc<AtomicBool>);

impl Pulse {
    /// One core more.
    pub(super) fn beat(&mut self) -> Beat {
        let beat = Arc::new(AtomicBool::new(true));
        self.0.push(Arc::clone(&beat));
        Beat(beat)
    }

    /// Whether every core has given one since this was asked before. Ask less often than once a second.
    pub fn felt(&self) -> bool {
        let still = self.0.iter().filter(|beat| !beat.swap(false, Ordering::Relaxed));
        still.count() == 0
    }
}

impl Beat {
    /// Goes on for ever.
    pub(super) async fn go_on(&self) {
        let mut turns = tokio::time::interval(EVERY);
        loop {
            turns.tick().await;
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_core_that_stands_still_is_noticed() {
        let mut pulse = Pulse::default();
        let (one, other) = (pulse.beat(), pulse.beat());
        assert!(pulse.felt() && !pulse.felt());
        // The first sign is given at once.
        let moment = Duration::from_millis(1);
        assert!(
            tokio::time::timeout(moment, async { tokio::join!(one.go_on(), other.go_on()) }).await.is_err()
        );
        assert!(pulse.felt());
        assert!(tokio::time::timeout(moment, one.go_on()).await.is_err());
        assert!(!pulse.felt());
    }
}

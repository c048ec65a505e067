//! One at a time for each key.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

/// Above this many keys, those that nobody holds are forgotten.
const FORGET_ABOVE: usize = 1024;

/// Lets those with the same key through one after another. Keys are kept as hashes only: two that collide wait for
/// each other, which does no harm.
#[derive(Default)]
pub struct Serial {
    hasher: RandomState,
    held: Mutex<HashMap<u64, Weak<AsyncMutex<()>>>>,
}

impl Serial {
    /// Waits for its turn, which lasts until the guard is dropped.
    pub async fn turn(&self, key: impl Hash) -> OwnedMutexGuard<()> {
        self.lock_of(self.hasher.hash_one(key)).lock_owned().await
    }

    fn lock_of(&self, key: u64) -> Arc<AsyncMutex<()>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = held.get(&key).and_then(Weak::upgrade) {
            return lock;
        }
        if held.len() > FORGET_ABOVE {
            held.retain(|_, lock| lock.strong_count() > 0);
        }
        let lock = Arc::default();
        held.insert(key, Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn the_same_key_waits_and_another_does_not() {
        let serial = Serial::default();
        let first = serial.turn("a").now_or_never();
        assert!(first.is_some());
        assert!(serial.turn("a").now_or_never().is_none());
        assert!(serial.turn("b").now_or_never().is_some());
        drop(first);
        assert!(serial.turn("a").now_or_never().is_some());
    }

    #[test]
    fn keys_nobody_holds_are_forgotten() {
        let serial = Serial::default();
        for key in 0..10 * FORGET_ABOVE {
            assert!(serial.turn(key).now_or_never().is_some());
        }
        assert!(serial.held.lock().unwrap().len() <= FORGET_ABOVE + 1);
    }
}

//! What was found out of tokens, by their digests: bounded in number and time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

/// Parts that are locked by themselves, so that cores seldom meet.
const PARTS: usize = 16;
/// Entries of one part.
const ENTRIES: usize = 256;

/// What stands for a token: who reads the cache learns none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Digest([u8; 32]);

/// Values by digests. Some thousands at most; of more, any goes.
#[derive(Debug)]
pub(super) struct Cache<T>([Mutex<HashMap<Digest, Entry<T>>>; PARTS]);

#[derive(Debug)]
struct Entry<T> {
    value: T,
    until: Instant,
}

impl Digest {
    /// Of parts that cannot run into each other.
    pub(super) fn of<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

impl<T> Default for Cache<T> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl<T: Clone> Cache<T> {
    /// What is known, if it may still be believed.
    pub(super) fn get(&self, digest: &Digest) -> Option<T> {
        let part = self.part(digest);
        part.get(digest).filter(|entry| Instant::now() < entry.until).map(|entry| entry.value.clone())
    }

    /// Keeps a value for a while.
    pub(super) fn put(&self, digest: Digest, value: T, time: Duration) {
        let now = Instant::now();
        let mut part = self.part(&digest);
        if part.len() >= ENTRIES {
            part.retain(|_, entry| now < entry.until);
        }
        if part.len() >= ENTRIES {
            let any = part.keys().next().copied();
            any.map(|any| part.remove(&any));
        }
        if let Some(until) = now.checked_add(time) {
            part.insert(digest, Entry { value, until });
        }
    }

    fn part(&self, digest: &Digest) -> MutexGuard<'_, HashMap<Digest, Entry<T>>> {
        let place = usize::from(digest.0[0]) % PARTS;
        self.0[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded_in_number_and_time() {
        let cache = Cache::default();
        for n in 0..100_000_u32 {
            cache.put(Digest::of([&n.to_be_bytes()[..]]), n, Duration::from_secs(60));
        }
        let entries: usize = cache.0.iter().map(|part| part.lock().unwrap().len()).sum();
        assert_eq!(entries, PARTS * ENTRIES);
        let last = Digest::of([&99_999_u32.to_be_bytes()[..]]);
        assert_eq!(cache.get(&last), Some(99_999));
        cache.put(last, 1, Duration::ZERO);
        assert_eq!(cache.get(&last), None);
        assert_ne!(Digest::of([&b"ab"[..], b"c"]), Digest::of([&b"a"[..], b"bc"]));
    }
}

//! How many connections there may be at once: on the listener, and from one client.
//!
//! One connection too many is told so, 503 to its first request, and closed; of those there are a few at once, and
//! what comes on top is closed unheard. Accepting is never paused: who waits in the kernel's queue learns nothing.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fireguard_traffic::rate::Key;

use super::refused::Step;

/// So many connections are told at once that they are too many.
const TOLD: u32 = 256;

/// What the configuration allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// At once, on all cores.
    pub(super) connections: u32,
    /// From one client.
    pub(super) per_client: Option<u32>,
    /// What of an IPv6 address names a client.
    pub(super) ipv6_prefix: u8,
}

/// Counts the connections of all cores; it outlives reloads.
#[derive(Debug, Default)]
pub(super) struct Admission {
    serving: AtomicU32,
    telling: AtomicU32,
    clients: Mutex<HashMap<Key, u32>>,
}

/// A connection's place; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    admission: Arc<Admission>,
    client: Option<Key>,
    /// Which limit it is over.
    over: Option<Step>,
}

impl Admission {
    /// Takes a connection in. One that is over the limit is to be told. None: it is to be closed.
    pub(super) fn enter(self: &Arc<Self>, limits: Limits) -> Option<Place> {
        let over = if take(&self.serving, limits.connections) {
            None
        } else if take(&self.telling, TOLD) {
            Some(Step::Full)
        } else {
            return None;
        };
        Some(Place { admission: Arc::clone(self), client: None, over })
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<Key, u32>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Which limit the connection is over.
    pub(super) fn over(&self) -> Option<Step> {
        self.over
    }

    /// It is this client's. If that has enough, it is to be told; none: it is to be closed.
    pub(super) fn of(mut self, client: IpAddr, limits: Limits) -> Option<Self> {
        let Some(most) = limits.per_client.filter(|_| self.over.is_none()) else { return Some(self) };
        let key = Key::address(client, limits.ipv6_prefix);
        let enough = {
            let mut clients = self.admission.clients();
            let count = clients.entry(key.clone()).or_default();
            let enough = *count >= most;
            *count += u32::from(!enough);
            enough
        };
        if !enough {
            self.client = Some(key);
        } else if take(&self.admission.telling, TOLD) {
            self.admission.serving.fetch_sub(1, Ordering::Relaxed);
            self.over = Some(Step::Client);
        } else {
            return None;
        }
        Some(self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let count = if self.over.is_some() { &self.admission.telling } else { &self.admission.serving };
        count.fetch_sub(1, Ordering::Relaxed);
        if let Some(key) = self.client.take()
            && let Entry::Occupied(mut count) = self.admission.clients().entry(key)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// One more, if there are fewer than `most`.
fn take(count: &AtomicU32, most: u32) -> bool {
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < most).then_some(now + 1)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(connections: u32, per_client: Option<u32>) -> Limits {
        Limits { connections, per_client, ipv6_prefix: 64 }
    }

    fn client(n: u8) -> IpAddr {
        [192, 0, 2, n].into()
    }

    #[test]
    fn places_are_taken_told_and_given_back() {
        let admission = Arc::new(Admission::default());
        let limits = limits(2, None);
        let mut places: Vec<Place> = (0..2 + TOLD).filter_map(|_| admission.enter(limits)).collect();
        let over = places.iter().filter(|place| matches!(place.over(), Some(Step::Full)));
        assert_eq!((places.len(), over.count()), (2 + TOLD as usize, TOLD as usize));
        assert!(admission.enter(limits).is_none(), "closed unheard");
        drop(places.remove(0));
        let next = admission.enter(limits).unwrap();
        assert!(next.over().is_none());
        drop((places, next));
        assert_eq!(admission.serving.load(Ordering::Relaxed), 0);
        assert_eq!(admission.telling.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_client_does_not_take_the_places_of_others() {
        let admission = Arc::new(Admission::default());
        let limits = limits(10, Some(2));
        let enter = |n| admission.enter(limits).unwrap().of(client(n), limits).unwrap();
        let mut places: Vec<Place> = (0..5).map(|_| enter(1)).collect();
        let over: Vec<bool> = places.iter().map(|place| place.over().is_some()).collect();
        assert_eq!(over, [false, false, true, true, true]);
        assert_eq!(admission.serving.load(Ordering::Relaxed), 2, "those that are told serve nobody");
        assert!(enter(2).over().is_none());
        drop(places.remove(0));
        assert!(enter(1).over().is_none());
        drop(places);
        assert!(admission.clients().is_empty());
        assert_eq!(admission.serving.load(Ordering::Relaxed), 0);
        assert_eq!(admission.telling.load(Ordering::Relaxed), 0);
    }
}

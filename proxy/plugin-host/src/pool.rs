//! Instances that wait to serve another exchange, of plugins whose operator chose that.
//!
//! An instance is here or with one exchange, never both; one whose call failed or was dropped never comes back. What
//! a guest keeps in its memory it keeps for the next exchange: that is the price, and why this is not the default.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::instance::Instance;
use crate::plugin::Loaded;
use crate::spec::Reuse;

/// The instances of one plugin that serve nobody at the moment.
pub(crate) struct Pool {
    reuse: Reuse,
    /// One shelf for each core: what another core used last has to be fetched from its caches.
    shelves: Box<[Mutex<Vec<Waiting>>]>,
    /// Whether somebody looks after them.
    tended: AtomicBool,
}

struct Waiting {
    instance: Instance,
    since: Instant,
}

impl Pool {
    pub(crate) fn new(reuse: Reuse) -> Pool {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shelves = (0..cores).map(|_| Mutex::default()).collect();
        Pool { reuse, shelves, tended: AtomicBool::new(false) }
    }

    /// The instance that came last, of this core if there is one.
    pub(crate) fn take(&self) -> Option<Instance> {
        let own = shelf();
        let shelves = (0..self.shelves.len()).map(|step| &self.shelves[(own + step) % self.shelves.len()]);
        for shelf in shelves {
            let waiting = lock(shelf).pop();
            if let Some(waiting) = waiting.filter(|waiting| waiting.since.elapsed() < self.reuse.idle) {
                return Some(waiting.instance);
            }
        }
        None
    }

    /// Keeps an instance, if it may serve once more.
    pub(crate) fn put(&self, mut instance: Instance, plugin: &Arc<Loaded>) {
        instance.end_exchange();
        if instance.uses() >= self.reuse.uses || instance.memory() > self.reuse.memory {
            return;
        }
        let mut shelf = lock(&self.shelves[shelf() % self.shelves.len()]);
        if shelf.len() >= self.reuse.kept.div_ceil(self.shelves.len()) {
            return;
        }
        shelf.push(Waiting { instance, since: Instant::now() });
        drop(shelf);
        self.tend(plugin);
    }

    /// Sees to it that what nobody takes goes in time.
    fn tend(&self, plugin: &Arc<Loaded>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.tended.swap(true, Ordering::AcqRel) {
            return;
        }
        let (plugin, pause) = (Arc::downgrade(plugin), self.reuse.idle.max(Duration::from_millis(10)));
        runtime.spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                // The instances hold the plugin: none is left.
                let Some(plugin) = plugin.upgrade() else { return };
                let Some(pool) = &plugin.pool else { return };
                if pool.clear() == 0 {
                    pool.tended.store(false, Ordering::Release);
                    // One that came meanwhile, and saw that somebody looks after it.
                    if pool.is_empty() || pool.tended.swap(true, Ordering::AcqRel) {
                        return;
                    }
                }
            }
        });
    }

    /// Drops what has waited too long; answers how many still wait.
    fn clear(&self) -> usize {
        let clear = |shelf: &Mutex<Vec<Waiting>>| {
            let mut shelf = lock(shelf);
            // The oldest come first.
            let old = shelf.iter().take_while(|waiting| waiting.since.elapsed() >= self.reuse.idle).count();
            let gone: Vec<Waiting> = shelf.drain(..old).collect();
            let left = shelf.len();
            drop(shelf);
            drop(gone);
            left
        };
        self.shelves.iter().map(clear).sum()
    }

    fn is_empty(&self) -> bool {
        self.shelves.iter().all(|shelf| lock(shelf).is_empty())
    }
}

/// Nothing is done under the lock that could leave a shelf half changed.
fn lock(shelf: &Mutex<Vec<Waiting>>) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number for this thread: the same each time, and in turns for others.
fn shelf() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    OWN.with(|own| *own)
}

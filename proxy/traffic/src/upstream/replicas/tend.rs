//! Looks after replicas in the background: where they are, and how they are.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep, timeout};

use super::{Placed, Replicas, health, resolve};

/// How long a lookup may take.
const LOOKUP: Duration = Duration::from_secs(5);
/// Looks that were asked for are so far apart at the least.
const BREATH: Duration = Duration::from_secs(1);

impl Replicas {
    /// Looks up names and checks health, again and again, until nobody else holds the replicas any more. Once for each
    /// process, on a runtime that serves no requests.
    pub fn tend(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let (names, health) = (Arc::downgrade(self), Arc::downgrade(self));
        async move {
            tokio::join!(keep_looking(names), keep_checking(health));
        }
    }

    /// Looks up every name. Those whose lookup fails stay where they were.
    async fn look_up(&self) {
        let names = self.settings.endpoints.iter().enumerate();
        let found = join_all(names.map(async |(index, endpoint)| {
            let lookup = self.resolver.resolve(&endpoint.host, endpoint.port);
            let found = match timeout(LOOKUP, lookup).await {
                Ok(Ok(found)) => resolve::replicas(&found),
                Ok(Err(error)) => {
                    tracing::debug!(upstream = &*self.settings.name, host = endpoint.host, %error, "lookup failed");
                    Vec::new()
                }
                Err(_) => Vec::new(),
            };
            (index, found)
        }))
        .await;
        let (before, now) = (self.now.load_full(), Instant::now());
        let is_in = |placed: &Placed| placed.replica.standing(now).is_in();
        let mut after = Vec::with_capacity(before.len());
        for (index, places) in found {
            let known = || before.iter().filter(|placed| placed.endpoint == index);
            if places.is_empty() {
                after.extend(known().cloned());
                continue;
            }
            let several = places.len();
            for addresses in places {
                let same = known().find(|placed| placed.replica.addresses() == addresses).cloned();
                after.push(same.unwrap_or_else(|| {
                    // What has only got an address is not new.
                    let named = |placed: &Placed| placed.replica.addresses().is_empty() && is_in(placed);
                    let believed = known().any(named) || before.len() == 1;
                    let endpoint = &self.settings.endpoints[index];
                    let replica = self.settings.replica(endpoint, addresses, several, believed);
                    Placed { endpoint: index, replica: Arc::new(replica) }
                }));
            }
        }
        let same = |(a, b): (&Placed, &Placed)| Arc::ptr_eq(&a.replica, &b.replica);
        if before.len() != after.len() || !before.iter().zip(&after).all(same) {
            let replicas: Vec<_> = after.iter().map(|placed| placed.replica.label()).collect();
            tracing::info!(upstream = &*self.settings.name, replicas = replicas.join(", "), "replicas found");
            self.now.store(Arc::new(after));
            self.check.notify_one();
        }
    }

    /// Checks every replica, where there is a choice, or was one when the last was left out.
    async fn check_all(&self) {
        let (all, now) = (self.all(), Instant::now());
        let settings = &self.settings;
        let alone = all.len() < 2 && all.iter().all(|replica| replica.standing(now).is_in());
        if alone && !settings.health.alone {
            return;
        }
        let credentials = settings.credentials.as_deref();
        join_all(all.iter().map(async |replica| {
            let found = health::check(&settings.health, replica, credentials).await;
            replica.checked(&settings.name, found, settings.rules);
        }))
        .await;
    }
}

async fn keep_looking(replicas: Weak<Replicas>) {
    loop {
        let Some(now) = replicas.upgrade() else { return };
        now.look_up().await;
        let (interval, look) = (now.settings.resolve_interval, Arc::clone(&now.look));
        // Not held while nothing is done: the last to let go of it may have gone.
        drop(now);
        let _ = timeout(interval, async {
            sleep(BREATH).await;
            look.notified().await;
        })
        .await;
    }
}

async fn keep_checking(replicas: Weak<Replicas>) {
    loop {
        let Some(now) = replicas.upgrade() else { return };
        now.check_all().await;
        let (interval, check) = (now.settings.health.interval, Arc::clone(&now.check));
        drop(now);
        // Sooner only if there is something new to check.
        let _ = timeout(interval, check.notified()).await;
    }
}

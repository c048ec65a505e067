//! One server process among several: how to reach it, what it works on now, and what is known of it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderValue;
use tokio::time::Instant;

use super::standing::{Record, Rules, Standing};
use crate::upstream::{Fused, PoolSettings};

/// One of several that are the same server to clients. Shared by all cores.
pub struct Replica {
    label: String,
    /// What it is called in `Host`.
    pub(super) authority: HeaderValue,
    pub(super) pool: PoolSettings,
    /// The connection of its health checks.
    pub(super) checks: Fused,
    in_flight: AtomicUsize,
    requests: AtomicU64,
    /// A copy of what the record says, so that a choice need not lock: it is asked like any other.
    serving: AtomicBool,
    /// Another: its failures in a row.
    faults: AtomicU32,
    /// A success would make something good.
    troubled: AtomicBool,
    record: Mutex<Record>,
}

/// What one replica looks like from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Its name in logs and metrics: host and port, with the address where a name has several.
    pub label: String,
    /// Whether it is asked.
    pub standing: Standing,
    /// Requests that it works on now.
    pub in_flight: usize,
    /// Requests that it was sent.
    pub requests: u64,
}

/// A request that a replica works on, to the end of its answer.
pub(super) struct InFlight(Arc<Replica>);

impl Replica {
    /// One that is believed to be well, or one that a health check must find well first.
    pub(super) fn new(label: String, authority: HeaderValue, pool: PoolSettings, believed: bool) -> Self {
        Self {
            label,
            authority,
            checks: Fused::new(PoolSettings { max_idle: 1, ..pool.clone() }),
            pool,
            in_flight: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            serving: AtomicBool::new(believed),
            faults: AtomicU32::new(0),
            troubled: AtomicBool::new(false),
            record: Mutex::new(Record::new(believed)),
        }
    }

    /// Its name in logs and metrics.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Where it is, in the order to try.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.pool.addresses
    }

    pub(super) fn seen(&self) -> Seen {
        Seen {
            label: self.label.clone(),
            standing: self.standing(Instant::now()),
            in_flight: self.in_flight(),
            requests: self.requests.load(Ordering::Relaxed),
        }
    }

    /// Whether it is asked. Costs a lock only while it is not asked like any other.
    pub(super) fn standing(&self, now: Instant) -> Standing {
        if self.serving.load(Ordering::Relaxed) {
            return Standing::Serving;
        }
        self.change(|record| record.standing(now))
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The more, the worse: what it works on, and the more so the more of it failed in a row.
    pub(super) fn burden(&self) -> usize {
        let faults = self.faults.load(Ordering::Relaxed).min(8) as usize;
        (self.in_flight() + 1) * (1 + faults)
    }

    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// It was sent a request.
    pub(super) fn sent(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn succeeded(&self) {
        if self.troubled.load(Ordering::Relaxed) {
            self.change(|record| record.succeeded(Instant::now()));
        }
    }

    /// A request failed; whether that is enough to eject it.
    pub(super) fn failed(&self, unreachable: bool, rules: Rules) -> bool {
        self.change(|record| record.failed(unreachable, rules))
    }

    /// Leaves it out for a while.
    pub(super) fn eject(&self, upstream: &str, unreachable: bool) {
        let time = self.change(|record| record.eject(Instant::now()));
        let seconds = time.as_secs();
        let reason = if unreachable { "no connection can be made" } else { "its requests fail" };
        tracing::warn!(upstream, replica = self.label, reason, seconds, "a replica is left out for a while");
    }

    /// A health check ended.
    pub(super) fn checked(&self, upstream: &str, found: Result<(), String>, rules: Rules) {
        if !self.change(|record| record.checked(found.is_ok(), rules, Instant::now())) {
            return;
        }
        match found {
            Ok(()) => tracing::info!(upstream, replica = self.label, "a replica is healthy"),
            Err(reason) => {
                tracing::warn!(upstream, replica = self.label, reason, "a replica is unhealthy and left out");
            }
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Record) -> T) -> T {
        let mut record: MutexGuard<'_, Record> = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = change(&mut record);
        let serving = record.standing(Instant::now()) == Standing::Serving;
        self.serving.store(serving, Ordering::Relaxed);
        self.faults.store(record.faults(), Ordering::Relaxed);
        self.troubled.store(record.is_troubled(), Ordering::Relaxed);
        changed
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

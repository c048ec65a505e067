//! The clock that interrupts guests, and the meter of what one call has used.
//!
//! A thread advances the engines' epoch every [`TICK`]; compiled code compares the epoch at loop heads and
//! function entries and calls back when it has moved. The callback charges the call and yields, so that the
//! other tasks of the thread go on.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use std::{io, thread};

use wasmtime::{StoreContextMut, UpdateDeadline};

use crate::host::HostState;

/// How long a guest may keep its thread before it yields. CPU budgets are counted in it.
pub const TICK: Duration = Duration::from_millis(1);

/// Advances the epoch of its engines until it is dropped.
pub(crate) struct Clock {
    ticks: Arc<AtomicU64>,
    /// The thread ends when this end of the channel is gone.
    _stop: Sender<()>,
}

impl Clock {
    /// Starts the thread.
    pub(crate) fn start(engines: Vec<wasmtime::Engine>) -> io::Result<Clock> {
        let (stop, stopped) = channel();
        let ticks = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&ticks);
        let started = Instant::now();
        thread::Builder::new().name("plugin-clock".to_owned()).spawn(move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                // Time and not wake-ups are counted: a thread that was woken late catches up.
                let elapsed = started.elapsed().as_micros() / TICK.as_micros();
                counter.store(u64::try_from(elapsed).unwrap_or(u64::MAX), Ordering::Relaxed);
                engines.iter().for_each(wasmtime::Engine::increment_epoch);
            }
        })?;
        Ok(Clock { ticks, _stop: stop })
    }

    /// A meter for calls that may use `budget` of CPU time each.
    pub(crate) fn meter(&self, budget: Duration) -> Arc<Meter> {
        let ticks = budget.as_micros().div_ceil(TICK.as_micros());
        Arc::new(Meter {
            ticks: Arc::clone(&self.ticks),
            budget: u64::try_from(ticks).unwrap_or(u64::MAX),
            spent: AtomicU64::new(0),
            since: AtomicU64::new(0),
        })
    }
}

/// A call has used up its CPU budget.
#[derive(Debug, thiserror::Error)]
#[error("the call has used its CPU budget")]
pub(crate) struct CpuSpent;

/// Counts the ticks in which one call was being polled: its own time and that of the host functions it
/// called, but not the time it waited.
#[derive(Debug)]
pub(crate) struct Meter {
    ticks: Arc<AtomicU64>,
    budget: u64,
    spent: AtomicU64,
    since: AtomicU64,
}

impl Meter {
    /// Runs one call with a fresh budget.
    pub(crate) async fn run<F: Future>(&self, call: F) -> F::Output {
        self.spent.store(0, Ordering::Relaxed);
        let mut call = pin!(call);
        poll_fn(|cx| {
            self.since.store(self.ticks.load(Ordering::Relaxed), Ordering::Relaxed);
            let answer = call.as_mut().poll(cx);
            self.charge();
            answer
        })
        .await
    }

    /// Charges the ticks since the poll began, or since the last charge; answers what the call has spent.
    fn charge(&self) -> u64 {
        // One thread at a time polls a call, so that plain loads and stores are enough.
        let now = self.ticks.load(Ordering::Relaxed);
        let since = self.since.swap(now, Ordering::Relaxed);
        let spent = self.spent.load(Ordering::Relaxed) + now.saturating_sub(since);
        self.spent.store(spent, Ordering::Relaxed);
        spent
    }
}

/// What a store does when the epoch has moved on: charge the call, then yield or end it.
pub(crate) fn on_tick(store: StoreContextMut<'_, HostState>) -> wasmtime::Result<UpdateDeadline> {
    let meter = &store.data().meter;
    if meter.charge() > meter.budget { Err(CpuSpent.into()) } else { Ok(UpdateDeadline::Yield(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(budget: u64) -> (Arc<AtomicU64>, Meter) {
        let ticks = Arc::new(AtomicU64::new(7));
        let meter =
            Meter { ticks: Arc::clone(&ticks), budget, spent: AtomicU64::new(0), since: AtomicU64::new(0) };
        (ticks, meter)
    }

    #[tokio::test]
    async fn waiting_is_not_charged() {
        let (ticks, meter) = meter(10);
        meter
            .run(async {
                ticks.fetch_add(3, Ordering::Relaxed);
                let waited = Arc::clone(&ticks);
                tokio::spawn(async move { waited.fetch_add(1000, Ordering::Relaxed) }).await.unwrap();
                ticks.fetch_add(2, Ordering::Relaxed);
                assert_eq!(meter.charge(), 5);
            })
            .await;
        assert_eq!(meter.spent.load(Ordering::Relaxed), 5);
        meter.run(async {}).await;
        assert_eq!(meter.spent.load(Ordering::Relaxed), 0, "each call starts afresh");
    }

    #[test]
    fn the_clock_stops_with_its_owner() {
        let engine = wasmtime::Engine::default();
        let weak = engine.weak();
        let clock = Clock::start(vec![engine]).unwrap();
        drop(clock);
        // The thread holds the last engine: it is gone when the thread is.
        let deadline = Instant::now() + Duration::from_secs(10);
        while weak.upgrade().is_some() {
            assert!(Instant::now() < deadline, "the thread goes on");
            thread::yield_now();
        }
    }
}

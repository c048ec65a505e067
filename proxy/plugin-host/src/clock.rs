//! The clock that interrupts guests, and the meter of what one call has used.
//!
//! A thread advances the engines' epoch every [`TICK`]; compiled code compares the epoch at loop heads and
//! function entries and calls back when it has moved. The callback charges the call and yields, so that the
//! other tasks of the thread go on. While nothing runs, the thread sleeps.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use std::{io, thread};

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{StoreContextMut, UpdateDeadline};

use crate::host::HostState;

/// How long a guest may keep its thread before it yields. CPU budgets are about as exact as it.
pub const TICK: Duration = Duration::from_millis(1);

/// Ticks without a call or a callback until the thread sleeps. A guest that runs calls back at each tick.
const IDLE_TICKS: u32 = 100;

/// Advances the epoch of its engines until it is dropped.
#[derive(Clone)]
pub(crate) struct Clock {
    activity: Arc<Activity>,
    /// Wakes the thread; it ends when all clones of this end of the channel are gone.
    wake: Sender<()>,
}

/// How guests and the clock's thread learn of each other. With both orders sequentially consistent, either
/// the thread sees that there is activity before it sleeps, or the guest sees that it sleeps.
#[derive(Default)]
struct Activity {
    seen: AtomicBool,
    asleep: AtomicBool,
}

impl Clock {
    /// Starts the thread.
    pub(crate) fn start(engines: Vec<wasmtime::Engine>) -> io::Result<Clock> {
        let (wake, woken) = channel();
        let activity = Arc::new(Activity::default());
        let clock = Clock { activity: Arc::clone(&activity), wake };
        thread::Builder::new()
            .name("plugin-clock".to_owned())
            .spawn(move || tick(&engines, &activity, &woken))?;
        Ok(clock)
    }

    /// A meter for calls that may use `budget` of CPU time each.
    pub(crate) fn meter(&self, budget: Duration) -> Arc<Meter> {
        let budget = u64::try_from(budget.as_nanos()).unwrap_or(u64::MAX);
        let (measured, spent, since) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Meter { clock: self.clone(), budget, measured, spent, since })
    }

    /// Keeps the thread awake. Nearly always a single load.
    fn touch(&self) {
        if !self.activity.seen.load(Ordering::Relaxed) {
            self.activity.seen.store(true, Ordering::SeqCst);
            if self.activity.asleep.swap(false, Ordering::SeqCst) {
                // It cannot have ended: it waits for this very sender.
                let _ = self.wake.send(());
            }
        }
    }
}

fn tick(engines: &[wasmtime::Engine], activity: &Activity, woken: &Receiver<()>) {
    let mut idle = 0;
    loop {
        if woken.recv_timeout(TICK) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
        engines.iter().for_each(wasmtime::Engine::increment_epoch);
        idle = if activity.seen.swap(false, Ordering::SeqCst) { 0 } else { idle + 1 };
        if idle >= IDLE_TICKS {
            activity.asleep.store(true, Ordering::SeqCst);
            if !activity.seen.load(Ordering::SeqCst) && woken.recv().is_err() {
                return;
            }
            activity.asleep.store(false, Ordering::SeqCst);
            idle = 0;
        }
    }
}

/// A call has used up its CPU budget.
#[derive(Debug, thiserror::Error)]
#[error("the call has used its CPU budget")]
pub(crate) struct CpuSpent;

/// Counts the CPU time of one call: its own and that of the host functions it called, but neither the time
/// it waited nor that in which its thread had to wait for a processor.
///
/// Reading a thread's CPU time is a system call and dearer than most calls of a plugin. So it is read only
/// for calls that have met a tick; what they did before is charged as one tick.
pub(crate) struct Meter {
    clock: Clock,
    /// All in nanoseconds. One thread at a time polls a call, so that plain loads and stores are enough.
    budget: u64,
    measured: AtomicBool,
    spent: AtomicU64,
    since: AtomicU64,
}

impl Meter {
    /// Runs one call with a fresh budget.
    pub(crate) async fn run<F: Future>(&self, call: F) -> F::Output {
        self.measured.store(false, Ordering::Relaxed);
        self.spent.store(0, Ordering::Relaxed);
        let mut call = pin!(call);
        poll_fn(|cx| {
            self.clock.touch();
            if self.measured.load(Ordering::Relaxed) {
                self.since.store(thread_time(), Ordering::Relaxed);
            }
            let answer = call.as_mut().poll(cx);
            if self.measured.load(Ordering::Relaxed) && answer.is_pending() {
                self.charge();
            }
            answer
        })
        .await
    }

    /// Charges what the call has done since the poll began, or since the last charge. Answers whether
    /// anything of its budget is left.
    fn charge(&self) -> bool {
        let now = thread_time();
        let since = self.since.swap(now, Ordering::Relaxed);
        let done = if self.measured.swap(true, Ordering::Relaxed) {
            now.saturating_sub(since)
        } else {
            u64::try_from(TICK.as_nanos()).unwrap_or(u64::MAX)
        };
        let spent = self.spent.load(Ordering::Relaxed).saturating_add(done);
        self.spent.store(spent, Ordering::Relaxed);
        spent <= self.budget
    }
}

/// What a store does when the epoch has moved on: charge the call, then yield or end it.
pub(crate) fn on_tick(store: StoreContextMut<'_, HostState>) -> wasmtime::Result<UpdateDeadline> {
    let meter = &store.data().meter;
    meter.clock.touch();
    if meter.charge() { Ok(UpdateDeadline::Yield(1)) } else { Err(CpuSpent.into()) }
}

/// CPU time of this thread in nanoseconds.
fn thread_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let nanos = Duration::try_from(time).map_or(0, |time| time.as_nanos());
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    const MS: u64 = 1_000_000;

    fn work(nanos: u64) {
        let started = thread_time();
        while thread_time() - started < nanos {}
    }

    /// Waits for something that another thread does.
    fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !done() {
            assert!(Instant::now() < deadline, "{what}");
            thread::yield_now();
        }
    }

    #[tokio::test]
    async fn work_is_charged_and_waiting_is_not() {
        let clock = Clock::start(Vec::new()).unwrap();
        let meter = clock.meter(Duration::from_millis(10));
        let spent = || meter.spent.load(Ordering::Relaxed);
        meter
            .run(async {
                assert!(meter.charge());
                assert_eq!(spent(), MS, "the first charge is one tick");
                work(4 * MS);
                // The same thread works for somebody else while this call waits.
                tokio::spawn(async { work(50 * MS) }).await.unwrap();
                assert!((5 * MS..15 * MS).contains(&spent()), "{} ns", spent());
                work(20 * MS);
                assert!(!meter.charge(), "the budget is spent");
            })
            .await;
        meter.run(async {}).await;
        assert_eq!(spent(), 0, "each call starts afresh");
    }

    #[test]
    fn the_thread_sleeps_while_nothing_runs_and_wakes_when_something_does() {
        let clock = Clock::start(Vec::new()).unwrap();
        for _ in 0..3 {
            wait_for("the thread goes to sleep", || clock.activity.asleep.load(Ordering::SeqCst));
            clock.touch();
            assert!(!clock.activity.asleep.load(Ordering::SeqCst));
            wait_for("the thread ticks", || !clock.activity.seen.load(Ordering::SeqCst));
        }
    }

    #[test]
    fn the_thread_ends_with_its_last_owner() {
        let asleep = |clock: &Clock| clock.activity.asleep.load(Ordering::SeqCst);
        for wait in [false, true] {
            let engine = wasmtime::Engine::default();
            let weak = engine.weak();
            let clock = Clock::start(vec![engine]).unwrap();
            if wait {
                wait_for("the thread goes to sleep", || asleep(&clock));
            }
            drop(clock);
            // The thread holds the last engine: it is gone when the thread is.
            wait_for("the thread goes on", || weak.upgrade().is_none());
        }
    }
}

//! A circuit breaker: when most of what is asked of a server fails, it is left alone for a while.
//!
//! Closed, it counts. Open, it turns everything away. After a while it is half open: one request at a time is let
//! through, and a few that succeed close it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// When it opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// At least so many requests must have failed within ten seconds, and at least half of all.
    pub faults: u32,
}

/// How far back is counted: between one and two of these.
const SPAN: Duration = Duration::from_secs(5);
/// How long it is open for the first time; each further time twice as long.
const FIRST_OPEN: Duration = Duration::from_secs(1);
const LONGEST_OPEN: Duration = Duration::from_secs(30);
/// So many requests in a row must succeed until it closes.
const PROBES: u32 = 3;

/// See the module's text. One for each server and class of interactions.
pub struct Breaker {
    policy: BreakerPolicy,
    state: Mutex<State>,
}

/// The right to send one request. Dropped without a report it counts as neither success nor fault.
pub struct Pass {
    breaker: Arc<Breaker>,
    probe: bool,
}

enum State {
    Closed { began: Instant, now: Count, before: Count },
    Open { until: Instant, time: Duration },
    HalfOpen { probing: bool, succeeded: u32, time: Duration },
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    all: u32,
    faults: u32,
}

impl Breaker {
    /// A closed one.
    pub fn new(policy: BreakerPolicy) -> Self {
        Self { policy, state: Mutex::new(closed(Instant::now())) }
    }

    /// Lets one request through.
    ///
    /// # Errors
    /// It is open, and for how long.
    pub fn pass(self: &Arc<Self>) -> Result<Pass, Duration> {
        self.pass_at(Instant::now())
    }

    fn pass_at(self: &Arc<Self>, now: Instant) -> Result<Pass, Duration> {
        let mut state = self.state();
        if let State::Open { until, time } = *state {
            if now < until {
                return Err(until - now);
            }
            *state = State::HalfOpen { probing: false, succeeded: 0, time };
        }
        let probe = match &mut *state {
            State::HalfOpen { probing: true, .. } => return Err(FIRST_OPEN),
            State::HalfOpen { probing, .. } => {
                *probing = true;
                true
            }
            State::Closed { .. } | State::Open { .. } => false,
        };
        Ok(Pass { breaker: Arc::clone(self), probe })
    }

    fn count(&self, probe: bool, fault: bool, at: Instant) {
        let mut state = self.state();
        match &mut *state {
            State::Closed { began, now, before } => {
                let spans = at.saturating_duration_since(*began).as_secs() / SPAN.as_secs();
                if spans > 0 {
                    *before = if spans == 1 { *now } else { Count::default() };
                    (*began, *now) = (at, Count::default());
                }
                now.all += 1;
                now.faults += u32::from(fault);
                let (all, faults) = (now.all + before.all, now.faults + before.faults);
                if fault && faults >= self.policy.faults && faults * 2 >= all {
                    *state = open(at, FIRST_OPEN);
                }
            }
            State::HalfOpen { time, .. } if probe && fault => {
                *state = open(at, (*time * 2).min(LONGEST_OPEN));
            }
            State::HalfOpen { probing, succeeded, .. } if probe => {
                *probing = false;
                *succeeded += 1;
                if *succeeded >= PROBES {
                    *state = closed(at);
                }
            }
            // Sent before it opened: known already.
            State::HalfOpen { .. } | State::Open { .. } => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn closed(now: Instant) -> State {
    State::Closed { began: now, now: Count::default(), before: Count::default() }
}

fn open(now: Instant, time: Duration) -> State {
    State::Open { until: now + time, time }
}

impl Pass {
    /// The server answered, or it failed.
    pub fn report(self, fault: bool) {
        self.report_at(fault, Instant::now());
    }

    fn report_at(mut self, fault: bool, now: Instant) {
        self.breaker.count(self.probe, fault, now);
        self.probe = false;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.probe
            && let State::HalfOpen { probing, .. } = &mut *self.breaker.state()
        {
            *probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Clock {
        breaker: Arc<Breaker>,
        now: Instant,
    }

    impl Clock {
        fn new(faults: u32) -> Self {
            Self { breaker: Arc::new(Breaker::new(BreakerPolicy { faults })), now: Instant::now() }
        }

        fn after(&mut self, milliseconds: u64) -> &mut Self {
            self.now += Duration::from_millis(milliseconds);
            self
        }

        /// So many that succeed or fail; how many were let through.
        fn send(&self, times: u32, fault: bool) -> u32 {
            let passes = (0..times).filter_map(|_| self.breaker.pass_at(self.now).ok());
            passes.map(|pass| pass.report_at(fault, self.now)).count() as u32
        }
    }

    #[test]
    fn it_opens_when_half_fail_and_enough_do() {
        for (good, bad, opens) in
            [(0, 10, true), (10, 10, true), (11, 10, false), (0, 9, false), (1000, 0, false)]
        {
            let clock = Clock::new(10);
            assert_eq!((clock.send(good, false), clock.send(bad, true)), (good, bad));
            assert_eq!(clock.send(1, false) == 0, opens, "{good} good, {bad} bad");
        }
    }

    #[test]
    fn what_is_long_ago_does_not_count() {
        let mut clock = Clock::new(10);
        clock.send(9, true);
        clock.after(5_000).send(1, false);
        assert_eq!(clock.send(1, true), 1);
        assert_eq!(clock.send(1, true), 0, "eleven within ten seconds");

        let mut clock = Clock::new(10);
        clock.send(9, true);
        clock.after(10_000).send(9, true);
        assert_eq!(clock.send(1, true), 1);
    }

    #[test]
    fn probes_close_it_one_after_another() {
        let mut clock = Clock::new(1);
        clock.send(1, true);
        assert_eq!(clock.after(999).send(1, false), 0);
        clock.after(1);
        let probe = clock.breaker.pass_at(clock.now).ok().unwrap();
        assert_eq!(clock.send(1, false), 0, "one at a time");
        drop(probe);
        assert_eq!(clock.send(1, false), 1, "one that was given up is none");
        assert_eq!(clock.send(2, false), 2);
        assert_eq!(clock.send(100, false), 100);
    }

    #[test]
    fn probes_that_fail_keep_it_open_for_longer_and_longer() {
        let mut clock = Clock::new(1);
        clock.send(1, true);
        for open in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            assert_eq!(clock.after(open - 1).send(1, true), 0);
            assert_eq!(clock.after(1).send(5, true), 1);
        }
    }

    #[test]
    fn answers_to_what_was_sent_before_it_opened_change_nothing() {
        let mut clock = Clock::new(1);
        let late = clock.breaker.pass_at(clock.now).ok().unwrap();
        clock.send(1, true);
        clock.after(1_000);
        let probe = clock.breaker.pass_at(clock.now).ok().unwrap();
        late.report_at(true, clock.now);
        probe.report_at(false, clock.now);
        assert_eq!(clock.send(2, false), 2);
    }
}

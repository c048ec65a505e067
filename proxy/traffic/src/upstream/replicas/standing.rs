//! Whether a replica is asked: what its answers and its health checks say of it, and for how long.
//!
//! Two judges, each for itself. Requests that fail in a row *eject* it for a while, longer each time. Health checks that
//! fail in a row make it *unhealthy* until others succeed. One that comes back gets a growing share at first.

use std::time::Duration;

use tokio::time::Instant;

/// How long a replica is left out for the first time; each further time twice as long.
const FIRST_EJECTION: Duration = Duration::from_secs(1);
const LONGEST_EJECTION: Duration = Duration::from_secs(60);
/// How long one that comes back is spared.
const WARM_UP: Duration = Duration::from_secs(10);
/// The share it begins with.
const FIRST_SHARE: f32 = 0.1;

/// Whether a replica is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Standing {
    /// Like every other.
    Serving,
    /// With this share of what it would get, below one.
    Warming(f32),
    /// Its requests failed: not for a while.
    Ejected,
    /// Its health checks fail, or the first has not succeeded yet: not until they do.
    Unhealthy,
}

/// How many in a row count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// So many requests that fail eject; a connection that cannot be made does at once.
    pub eject_after: u32,
    /// So many failed health checks make unhealthy.
    pub unhealthy_after: u32,
    /// So many good ones make healthy again.
    pub healthy_after: u32,
}

/// What is known of one replica.
#[derive(Debug)]
pub(super) struct Record {
    /// Requests that failed, without one that succeeded between.
    faults: u32,
    /// Ejections, without a time between in which it served like any other.
    ejections: u32,
    ejected_until: Option<Instant>,
    unhealthy: bool,
    /// Health checks in a row that contradict `unhealthy`.
    contradictions: u32,
    warm_at: Option<Instant>,
}

impl Standing {
    /// Whether it gets requests although others could have them.
    pub fn is_in(self) -> bool {
        matches!(self, Self::Serving | Self::Warming(_))
    }

    /// A word for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Warming(_) => "warming",
            Self::Ejected => "ejected",
            Self::Unhealthy => "unhealthy",
        }
    }

    /// All words.
    pub const WORDS: [&'static str; 4] = ["serving", "warming", "ejected", "unhealthy"];
}

impl Record {
    /// One that is believed to be well, or one that a health check must find well first.
    pub(super) fn new(believed: bool) -> Self {
        Self {
            faults: 0,
            ejections: 0,
            ejected_until: None,
            unhealthy: !believed,
            // The first good check is enough for one of which nothing bad is known.
            contradictions: if believed { 0 } else { u32::MAX - 1 },
            warm_at: None,
        }
    }

    pub(super) fn standing(&mut self, now: Instant) -> Standing {
        if self.ejected_until.is_some_and(|until| until <= now) {
            self.ejected_until = None;
            self.faults = 0;
            self.warm_at = Some(now + WARM_UP);
        }
        if self.unhealthy {
            return Standing::Unhealthy;
        }
        if self.ejected_until.is_some() {
            return Standing::Ejected;
        }
        match self.warm_at.map(|at| at.saturating_duration_since(now)) {
            None => Standing::Serving,
            Some(Duration::ZERO) => {
                self.warm_at = None;
                Standing::Serving
            }
            Some(left) => {
                let done = 1.0 - left.as_secs_f32() / WARM_UP.as_secs_f32();
                Standing::Warming(done.max(FIRST_SHARE))
            }
        }
    }

    /// Requests that failed in a row.
    pub(super) fn faults(&self) -> u32 {
        self.faults
    }

    /// Whether there is something that a success would make good.
    pub(super) fn is_troubled(&self) -> bool {
        self.faults > 0 || self.ejections > 0
    }

    /// A request succeeded.
    pub(super) fn succeeded(&mut self, now: Instant) {
        self.faults = 0;
        if self.standing(now) == Standing::Serving {
            self.ejections = 0;
        }
    }

    /// A request failed; whether that is enough to eject it.
    pub(super) fn failed(&mut self, unreachable: bool, rules: Rules) -> bool {
        self.faults = self.faults.saturating_add(1);
        unreachable || self.faults >= rules.eject_after
    }

    /// Leaves it out; for how long.
    pub(super) fn eject(&mut self, now: Instant) -> Duration {
        let time = FIRST_EJECTION.saturating_mul(1 << self.ejections.min(16)).min(LONGEST_EJECTION);
        self.ejections += 1;
        self.ejected_until = Some(now + time);
        time
    }

    /// A health check ended; whether it made a difference.
    pub(super) fn checked(&mut self, good: bool, rules: Rules, now: Instant) -> bool {
        if good != self.unhealthy {
            self.contradictions = 0;
            return false;
        }
        self.contradictions += 1;
        let enough = if good { rules.healthy_after } else { rules.unhealthy_after };
        if self.contradictions < enough {
            return false;
        }
        self.contradictions = 0;
        self.unhealthy = !good;
        if good {
            self.warm_at = Some(now + WARM_UP);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { eject_after: 3, unhealthy_after: 2, healthy_after: 2 };

    #[test]
    fn failures_in_a_row_eject_and_a_success_between_forgives() {
        let (mut record, now) = (Record::new(true), Instant::now());
        assert_eq!([(); 2].map(|()| record.failed(false, RULES)), [false, false]);
        record.succeeded(now);
        assert_eq!([(); 3].map(|()| record.failed(false, RULES)), [false, false, true]);
        assert!(Record::new(true).failed(true, RULES), "nobody is there");
    }

    #[test]
    fn each_ejection_is_longer_until_it_has_served_like_any_other() {
        let (mut record, mut now) = (Record::new(true), Instant::now());
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(record.eject(now), Duration::from_secs(seconds));
            now += Duration::from_secs(seconds);
            assert_eq!(record.standing(now - Duration::from_millis(1)), Standing::Ejected);
            assert!(matches!(record.standing(now), Standing::Warming(_)));
            record.succeeded(now);
        }
        now += WARM_UP;
        record.succeeded(now);
        assert!(!record.is_troubled());
        assert_eq!(record.eject(now), FIRST_EJECTION);
    }

    #[test]
    fn one_that_comes_back_gets_a_growing_share() {
        let (mut record, now) = (Record::new(false), Instant::now());
        assert_eq!(record.standing(now), Standing::Unhealthy);
        assert!(record.checked(true, RULES, now), "one good check is enough at first");
        let shares: Vec<_> = [0, 500, 2_000, 5_000, 9_000, 10_000]
            .into_iter()
            .map(|after| match record.standing(now + Duration::from_millis(after)) {
                Standing::Warming(share) => (share * 100.0).round(),
                standing => f32::from(u8::from(standing == Standing::Serving)) * 100.0,
            })
            .collect();
        assert_eq!(shares, [10.0, 10.0, 20.0, 50.0, 90.0, 100.0]);
    }

    #[test]
    fn only_checks_in_a_row_make_a_difference() {
        let (mut record, now) = (Record::new(true), Instant::now());
        let mut check = |good| record.checked(good, RULES, now);
        assert_eq!([false, true, false, false].map(&mut check), [false, false, false, true]);
        assert_eq!([false, true, false, true, true].map(&mut check), [false, false, false, false, true]);
        let mut fresh = Record::new(false);
        let mut check = |good| fresh.checked(good, RULES, now);
        assert_eq!([false, true, true].map(&mut check), [false, false, true]);
    }

    #[test]
    fn an_ejection_ends_while_it_is_unhealthy() {
        let (mut record, now) = (Record::new(true), Instant::now());
        record.eject(now);
        record.checked(false, RULES, now);
        record.checked(false, RULES, now);
        assert_eq!(record.standing(now + WARM_UP), Standing::Unhealthy);
    }
}

//! The limit: it grows while answers come as fast as usual, and shrinks when they do not (the gradient method of
//! Netflix's concurrency-limits).

use std::time::Duration;

use tokio::time::Instant;

use crate::rate::Class;

/// Between what the limit moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Where it starts.
    pub start: usize,
    /// Its least value.
    pub least: usize,
    /// Its greatest value.
    pub most: usize,
}

/// Answers may take so many times as long as usual before the limit shrinks.
const TOLERANCE: f64 = 2.0;
/// It shrinks to half of itself at the most, before smoothing.
const STEEPEST: f64 = 0.5;
/// How much of a new limit is taken over at once.
const SMOOTHING: f64 = 0.2;
/// The limit moves after so many answers, or after as many as it allows.
const LEAST_ANSWERS: u32 = 10;
/// What is usual follows faster answers sooner than slower ones.
const FASTER: f64 = 0.01;
const SLOWER: f64 = 0.002;
/// One odd answer counts no more than this.
const ODDEST: f64 = 4.0;
/// Differences below are noise, in seconds.
const NOISE: f64 = 0.001;
/// What is left after an overload, and how often that is done.
const CUT: f64 = 0.7;
const CUT_EVERY: Duration = Duration::from_secs(1);

/// The limit of one server.
pub(super) struct Limit {
    bounds: Bounds,
    limit: f64,
    /// What is usual, in seconds, for each class.
    usual: [Option<f64>; Class::ALL.len()],
    /// Since the limit was moved: answers, how many times as long as usual they took in all, and whether the limit
    /// was reached.
    answers: u32,
    ratios: f64,
    reached: bool,
    cut: Option<Instant>,
}

impl Limit {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            limit: bounds.start as f64,
            usual: [None; Class::ALL.len()],
            answers: 0,
            ratios: 0.0,
            reached: false,
            cut: None,
        }
    }

    /// So many may be at the server at once.
    pub(super) fn now(&self) -> usize {
        self.limit as usize
    }

    /// An answer came after this time, with so many at the server. Whether the limit moved.
    pub(super) fn answered(&mut self, class: Class, after: Duration, in_flight: usize) -> bool {
        let seconds = after.as_secs_f64();
        let usual = self.usual[class as usize].get_or_insert(seconds);
        self.ratios += ((seconds + NOISE) / (*usual + NOISE)).min(ODDEST);
        if seconds < *usual {
            *usual += (seconds - *usual) * FASTER;
        } else if in_flight <= self.bounds.start {
            // With more at the server, slower answers may come of just that.
            *usual += (seconds - *usual) * SLOWER;
        }
        self.answers += 1;
        self.reached |= in_flight >= self.now();
        let enough = self.answers >= LEAST_ANSWERS.max(self.now() as u32);
        if enough {
            self.adjust();
        }
        enough
    }

    fn adjust(&mut self) {
        let gradient = (TOLERANCE * f64::from(self.answers) / self.ratios).clamp(STEEPEST, 1.0);
        // Nobody knows whether more would be as fast if fewer were asked.
        if self.reached || gradient < 1.0 {
            let wanted = self.limit * gradient + if self.reached { self.limit.sqrt() } else { 0.0 };
            self.set(self.limit + (wanted - self.limit) * SMOOTHING);
        }
        (self.answers, self.ratios, self.reached) = (0, 0.0, false);
    }

    /// The server has too much to do. Whether the limit moved.
    pub(super) fn overloaded(&mut self, now: Instant) -> bool {
        let again = self.cut.is_none_or(|cut| now.saturating_duration_since(cut) >= CUT_EVERY);
        if again {
            self.cut = Some(now);
            self.set(self.limit * CUT);
        }
        again
    }

    fn set(&mut self, limit: f64) {
        self.limit = limit.clamp(self.bounds.least as f64, self.bounds.most as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { start: 8, least: 2, most: 100 };

    /// Against a server that works on `workers` at once, each for this long.
    fn settle(limit: &mut Limit, workers: usize, milliseconds: u64, answers: u32) -> usize {
        for _ in 0..answers {
            let in_flight = limit.now();
            let queueing = (in_flight as f64 / workers as f64).max(1.0);
            let after = Duration::from_millis(milliseconds).mul_f64(queueing);
            limit.answered(Class::Search, after, in_flight);
        }
        limit.now()
    }

    #[test]
    fn it_settles_where_answers_begin_to_queue() {
        for (workers, range) in [(5, 5..=25), (10, 10..=40), (1000, 100..=100)] {
            let mut limit = Limit::new(BOUNDS);
            let found = settle(&mut limit, workers, 30, 5_000);
            assert!(range.contains(&found), "{workers} workers: {found}");
        }
    }

    #[test]
    fn it_shrinks_when_the_server_becomes_slow() {
        let mut limit = Limit::new(BOUNDS);
        let before = settle(&mut limit, 1000, 10, 3_000);
        let after = settle(&mut limit, 1000, 80, 3_000);
        assert!(after < before / 2, "{before} to {after}");
    }

    #[test]
    fn it_does_not_grow_unless_it_is_needed() {
        let mut limit = Limit::new(BOUNDS);
        for _ in 0..1_000 {
            limit.answered(Class::Read, Duration::from_millis(5), 3);
        }
        assert_eq!(limit.now(), 8);
    }

    /// A search is no slow read.
    #[test]
    fn classes_are_compared_with_themselves() {
        let mut limit = Limit::new(BOUNDS);
        for n in 0..6_000 {
            let (class, after) = if n % 2 == 0 { (Class::Read, 2) } else { (Class::Batch, 3_000) };
            limit.answered(class, Duration::from_millis(after), limit.now());
        }
        assert_eq!(limit.now(), 100);
    }

    #[test]
    fn an_overload_cuts_it_once_a_second() {
        let (mut limit, now) = (Limit::new(BOUNDS), Instant::now());
        for _ in 0..10 {
            limit.overloaded(now);
        }
        assert_eq!(limit.now(), 5);
        for n in 1..10 {
            limit.overloaded(now + CUT_EVERY * n);
        }
        assert_eq!(limit.now(), 2);
    }
}

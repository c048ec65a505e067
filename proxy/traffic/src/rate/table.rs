//! What is remembered of clients, in memory of a fixed size.
//!
//! Of a client one number is kept: when its whole burst would be back (the theoretical arrival time of GCRA). A
//! full table forgets whoever is nearest to having it back, so that no flood of addresses frees a client that is
//! over its limit.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Quota, Standing};

/// A client's fingerprint (zero: nobody's place) and when its whole burst is back, in nanoseconds since the table
/// was made.
type Place = [u64; 2];

/// A client has these many places to be remembered in.
const WAYS: usize = 8;
/// Each has a lock of its own.
const SHARDS: usize = 64;

/// Remembers clients of any number of limits.
pub struct Table {
    shards: Box<[Mutex<Vec<Place>>]>,
    buckets: usize,
    hasher: RandomState,
    began: Instant,
    numbers: AtomicU64,
}

/// A quota as GCRA counts it; nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Between two requests on the long run.
    interval: u64,
    /// What a whole burst takes to come back.
    burst: u64,
}

impl Pace {
    pub(super) fn new(quota: &Quota) -> Self {
        // A cast from a float saturates.
        let interval = ((1e9 / quota.per_second).round() as u64).max(1);
        Self { interval, burst: interval.saturating_mul(quota.burst.get().into()) }
    }

    pub(super) fn window(self) -> Duration {
        Duration::from_nanos(self.burst)
    }

    /// What is left when the whole burst is back after so many nanoseconds.
    fn standing(self, busy: u64) -> Standing {
        let left = self.burst.saturating_sub(busy) / self.interval;
        Standing { left, wait: Duration::from_nanos(busy) }
    }
}

impl Table {
    /// For at least this many clients; [`Table::bytes`] says what that takes. The memory is touched only as
    /// clients come.
    pub fn new(clients: usize) -> Self {
        let buckets = clients.div_ceil(SHARDS * WAYS).next_power_of_two();
        let shards = (0..SHARDS).map(|_| Mutex::new(vec![[0; 2]; buckets * WAYS])).collect();
        Self {
            shards,
            buckets,
            hasher: RandomState::new(),
            began: Instant::now(),
            numbers: AtomicU64::new(0),
        }
    }

    /// The memory it takes at most.
    pub fn bytes(&self) -> usize {
        SHARDS * self.buckets * WAYS * size_of::<Place>()
    }

    /// A number that no other limit has.
    pub(super) fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn check(&self, who: &impl Hash, pace: Pace) -> Result<Standing, Standing> {
        self.check_at(self.now(), who, pace)
    }

    pub(super) fn charge(&self, who: &impl Hash, pace: Pace, cost: u64) {
        self.charge_at(self.now(), who, pace, cost);
    }

    pub(super) fn standing(&self, who: &impl Hash, pace: Pace) -> Standing {
        let now = self.now();
        self.with_place(who, |place, fingerprint| {
            let back = if place[0] == fingerprint { place[1] } else { 0 };
            pace.standing(back.saturating_sub(now))
        })
    }

    fn check_at(&self, now: u64, who: &impl Hash, pace: Pace) -> Result<Standing, Standing> {
        self.with_place(who, |place, fingerprint| {
            let back = if place[0] == fingerprint { place[1].max(now) } else { now };
            let busy = (back - now).saturating_add(pace.interval);
            if let Some(early) = busy.checked_sub(pace.burst).filter(|early| *early > 0) {
                return Err(Standing { left: 0, wait: Duration::from_nanos(early) });
            }
            *place = [fingerprint, now.saturating_add(busy)];
            Ok(pace.standing(busy))
        })
    }

    fn charge_at(&self, now: u64, who: &impl Hash, pace: Pace, cost: u64) {
        let cost = pace.interval.saturating_mul(cost);
        self.with_place(who, |place, fingerprint| {
            let back = if place[0] == fingerprint { place[1].max(now) } else { now };
            *place = [fingerprint, back.saturating_add(cost)];
        });
    }

    /// A client's place, or the one that may best be given to it.
    fn with_place<T>(&self, who: &impl Hash, act: impl FnOnce(&mut Place, u64) -> T) -> T {
        let hash = self.hasher.hash_one(who);
        let fingerprint = hash.max(1);
        let shard = &self.shards[(hash >> 58) as usize % SHARDS];
        let first = (hash as usize & (self.buckets - 1)) * WAYS;
        let mut places = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = &mut places[first..first + WAYS];
        let mut best = 0;
        for at in 0..WAYS {
            if bucket[at][0] == fingerprint {
                best = at;
                break;
            }
            if bucket[at][1] < bucket[best][1] {
                best = at;
            }
        }
        act(&mut bucket[best], fingerprint)
    }

    fn now(&self) -> u64 {
        // Overflows after 584 years.
        self.began.elapsed().as_nanos() as u64
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::num::NonZeroU32;

    const SECOND: u64 = 1_000_000_000;

    fn pace(per_second: f64, burst: u32) -> Pace {
        Pace::new(&Quota { per_second, burst: NonZeroU32::new(burst).unwrap() })
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let table = Table::new(1);
        let pace = pace(2.0, 3);
        let check = |now| table.check_at(now, &"x", pace).map(|s| s.left).map_err(|s| s.wait.as_millis());
        let mut steps = vec![(0, Ok(2)), (0, Ok(1)), (0, Ok(0)), (0, Err(500))];
        steps.extend([(SECOND / 4, Err(250)), (SECOND / 2, Ok(0)), (SECOND / 2, Err(500))]);
        // Never more than the burst, however long it was quiet.
        steps.extend([(100 * SECOND, Ok(2)), (100 * SECOND, Ok(1)), (100 * SECOND, Ok(0))]);
        for (now, expected) in steps {
            assert_eq!(check(now), expected, "at {now}");
        }
    }

    #[test]
    fn a_debt_is_waited_for() {
        let table = Table::new(1);
        let pace = pace(1.0, 2);
        table.charge_at(0, &"x", pace, 10);
        assert_eq!(table.check_at(0, &"x", pace).unwrap_err().wait, Duration::from_secs(9));
        assert!(table.check_at(9 * SECOND, &"x", pace).is_ok());
        table.charge_at(0, &"y", pace, u64::MAX);
        assert!(table.check_at(SECOND, &"y", pace).is_err(), "nothing overflows");
    }

    /// A million addresses neither take more memory nor free a client that is over its limit.
    #[test]
    fn a_flood_of_clients_takes_a_fixed_memory() {
        let table = Table::new(1 << 16);
        assert_eq!(table.bytes(), 1 << 20);
        assert_eq!(Table::new(1 << 20).bytes(), 16 << 20);
        let pace = pace(1.0, 10);
        table.charge_at(0, &"over", pace, 100);
        for client in 0..1_000_000_u32 {
            assert!(table.check_at(u64::from(client), &client, pace).is_ok());
        }
        assert!(table.check_at(1_000_000, &"over", pace).is_err());
        let places: usize = table.shards.iter().map(|shard| shard.lock().unwrap().capacity()).sum();
        assert_eq!(places * size_of::<Place>(), table.bytes(), "it did not grow");
    }

    #[test]
    fn a_table_that_is_not_full_forgets_nobody() {
        let table = Table::new(1 << 16);
        let pace = pace(0.001, 1);
        // Of so many no nine share a bucket but once in ten million runs.
        let clients = 0..2_000_u32;
        assert!(clients.clone().all(|client| table.check_at(0, &client, pace).is_ok()));
        assert!(clients.clone().all(|client| table.check_at(1, &client, pace).is_err()));
    }

    /// What a check costs: `cargo test --release -p fireguard-traffic cost -- --ignored --nocapture`.
    #[test]
    #[ignore = "a measurement"]
    fn cost_of_a_check() {
        let pace = pace(1e6, 1_000_000);
        for clients in [1, 1000, 1_000_000_u32] {
            let table = Table::new(1 << 20);
            let key = |n: u32| (1_u64, super::super::Key::address(n.to_be_bytes().into(), 64));
            let keys: Vec<_> = (0..clients).map(key).collect();
            let passes = 4_000_000 / clients;
            let began = Instant::now();
            for _ in 0..passes {
                for key in &keys {
                    std::hint::black_box(table.check(key, pace)).ok();
                }
            }
            let each = began.elapsed().as_nanos() / u128::from(passes * clients);
            eprintln!("{clients} clients: {each} ns a check, {} bytes at most", table.bytes());
        }
    }

    proptest! {
        /// In any time no more pass than the burst and what the rate gives.
        #[test]
        fn never_more_than_burst_and_rate(
            gaps in proptest::collection::vec(0..2 * SECOND, 1..200), burst in 1..20_u32, rate in 1..20_u32
        ) {
            let table = Table::new(1);
            let pace = pace(rate.into(), burst);
            let (mut now, mut passed) = (0, 0);
            for gap in gaps {
                now += gap;
                passed += u64::from(table.check_at(now, &"x", pace).is_ok());
                // Rounding of the interval gives or takes one.
                prop_assert!(passed <= u64::from(burst) + now * u64::from(rate) / SECOND + 1);
            }
        }
    }
}

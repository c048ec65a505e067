//! How often one client may ask on one route, by what it asks for (GCRA: a sustained rate and a burst).
//!
//! A request is charged before any work is done for it. What a batch costs is known only while its body streams:
//! its entries are charged as they are read, into debt if need be, so that the client's next requests wait. An entry
//! counts as a batch's, and as what it is where that has a quota of its own.

mod attempts;
mod class;
mod fields;
mod key;
mod refusals;
mod table;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;

pub use attempts::Attempts;
pub use class::Class;
pub use fields::{RATE_LIMIT, RATE_LIMIT_POLICY, delay_seconds};
pub use key::Key;
pub use refusals::Refusals;
pub use table::Table;

/// A sustained rate and a burst.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quota {
    /// Requests a second on the long run; finite and over zero.
    pub per_second: f64,
    /// Requests at once.
    pub burst: NonZeroU32,
}

/// What one route limits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Quotas {
    /// Shared by all classes that have none of their own.
    pub shared: Option<Quota>,
    /// Of single classes.
    pub own: BTreeMap<Class, Quota>,
}

/// One route's limits; shared by all cores.
#[derive(Debug)]
pub struct RateLimits {
    shared: Option<Arc<RateLimit>>,
    own: BTreeMap<Class, Arc<RateLimit>>,
}

/// One quota of one route, for every client.
#[derive(Debug)]
pub struct RateLimit {
    name: &'static str,
    table: Arc<Table>,
    /// Tells its clients in the table from those of other limits.
    number: u64,
    pace: table::Pace,
    policy: HeaderValue,
}

/// What a client has left of a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Requests that would be let in now.
    pub left: u64,
    /// Until the whole burst is back; of a request that came too early, until it would be let in.
    pub wait: Duration,
}

/// Charges a batch for its entries as they are read: the quota that batches go by, and those that classes of entries
/// have of their own.
#[derive(Debug)]
pub struct EntryCharge {
    limits: Arc<RateLimits>,
    key: Key,
    read: AtomicU64,
    /// Whether the first entry of a class was let in by the quota of that class.
    admitted: Mutex<BTreeMap<Class, Result<(), Standing>>>,
}

impl RateLimits {
    /// Limits that remember their clients in this table.
    pub fn new(table: &Arc<Table>, quotas: &Quotas) -> Self {
        let limit = |name, quota: &Quota| Arc::new(RateLimit::new(table, name, quota));
        Self {
            shared: quotas.shared.as_ref().map(|quota| limit("all", quota)),
            own: quotas.own.iter().map(|(class, quota)| (*class, limit(class.as_str(), quota))).collect(),
        }
    }

    /// The limit of a class, if it has one.
    pub fn of(&self, class: Class) -> Option<&Arc<RateLimit>> {
        self.own.get(&class).or(self.shared.as_ref())
    }
}

impl RateLimit {
    fn new(table: &Arc<Table>, name: &'static str, quota: &Quota) -> Self {
        let pace = table::Pace::new(quota);
        let policy = fields::policy(name, quota.burst, pace.window());
        Self { name, table: Arc::clone(table), number: table.number(), pace, policy }
    }

    /// The class it limits, or `all`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Takes one request into account.
    ///
    /// # Errors
    /// It came too early, and nothing was taken into account.
    pub fn check(&self, key: &Key) -> Result<Standing, Standing> {
        self.table.check(&(self.number, key), self.pace)
    }

    /// Takes one more into account, into debt if need be.
    fn charge(&self, key: &Key) {
        self.table.charge(&(self.number, key), self.pace, 1);
    }

    /// What the client has left.
    pub fn standing(&self, key: &Key) -> Standing {
        self.table.standing(&(self.number, key), self.pace)
    }

    /// The value of [`RATE_LIMIT_POLICY`].
    pub fn policy(&self) -> HeaderValue {
        self.policy.clone()
    }

    /// The value of [`RATE_LIMIT`].
    pub fn field(&self, standing: Standing) -> Option<HeaderValue> {
        fields::standing(self.name, standing)
    }
}

impl EntryCharge {
    /// For a request that the limit of batches has let in, if there is one.
    pub fn new(limits: Arc<RateLimits>, key: Key) -> Self {
        Self { limits, key, read: AtomicU64::new(0), admitted: Mutex::default() }
    }

    /// One entry more was read; without a class nobody knows what it asks for. The request itself has paid the quota
    /// of batches for the first. The first of a class with a quota of its own must be let in by it; those after it go
    /// into debt.
    ///
    /// # Errors
    /// The client has used up the quota of this class.
    pub fn entry(&self, class: Option<Class>) -> Result<(), Standing> {
        if self.read.fetch_add(1, Ordering::Relaxed) > 0
            && let Some(batch) = self.limits.of(Class::Batch)
        {
            batch.charge(&self.key);
        }
        // Who gives batches a quota beside the shared one does not want them to count there.
        let Some((class, limit)) = class.and_then(|class| self.limits.own.get_key_value(&class)) else {
            return Ok(());
        };
        let mut admitted = self.admitted.lock().unwrap_or_else(PoisonError::into_inner);
        match admitted.get(class) {
            Some(known) => {
                if known.is_ok() {
                    limit.charge(&self.key);
                }
                *known
            }
            None => {
                let first = limit.check(&self.key).map(|_| ());
                admitted.insert(*class, first);
                first
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(per_second: f64, burst: u32) -> Quota {
        Quota { per_second, burst: NonZeroU32::new(burst).unwrap() }
    }

    fn client(n: u8) -> Key {
        Key::address([192, 0, 2, n].into(), 64)
    }

    #[test]
    fn a_class_has_its_own_limit_or_the_shared_one() {
        let table = Arc::new(Table::new(1024));
        // So slow that no time passes.
        let own = BTreeMap::from([(Class::Search, quota(0.001, 2))]);
        let limits = RateLimits::new(&table, &Quotas { shared: Some(quota(0.001, 3)), own });
        let let_in = |class, key: &Key| {
            let limit = limits.of(class).unwrap();
            (0..10).filter(|_| limit.check(key).is_ok()).count()
        };
        assert_eq!(let_in(Class::Search, &client(1)), 2);
        assert_eq!(let_in(Class::Read, &client(1)), 3, "searches did not count");
        assert_eq!(let_in(Class::Write, &client(1)), 0, "reads did");
        assert_eq!(let_in(Class::Write, &client(2)), 3, "another client");

        let own = BTreeMap::from([(Class::Search, quota(0.001, 1))]);
        let limits = RateLimits::new(&table, &Quotas { shared: None, own });
        assert!(limits.of(Class::Read).is_none());
        assert!(limits.of(Class::Search).unwrap().check(&client(1)).is_ok(), "another route");
    }

    #[test]
    fn entries_are_charged_after_the_first_and_into_debt() {
        let table = Arc::new(Table::new(1024));
        let quotas = Quotas { shared: Some(quota(0.1, 5)), own: BTreeMap::default() };
        let limits = Arc::new(RateLimits::new(&table, &quotas));
        let limit = limits.of(Class::Batch).unwrap();
        assert_eq!(limit.check(&client(1)).unwrap().left, 4);
        let charge = EntryCharge::new(Arc::clone(&limits), client(1));
        for (more, left) in [(0, 4), (1, 4), (1, 3), (2, 1), (30, 0)] {
            for _ in 0..more {
                // They share one quota, and none is refused.
                assert!(charge.entry(Some(Class::Write)).is_ok());
            }
            assert_eq!(limit.standing(&client(1)).left, left, "{more} more");
        }
        // 34 entries at one in ten seconds, of which five were free.
        let wait = limit.check(&client(1)).unwrap_err().wait.as_secs();
        assert!((290..=300).contains(&wait), "{wait}");
        assert!(limit.check(&client(2)).is_ok());
    }

    #[test]
    fn a_batch_is_no_way_around_the_quotas_of_its_entries() {
        for (shared, batch) in
            [(None, None), (Some(1000), None), (None, Some(1000)), (Some(1000), Some(1000))]
        {
            let table = Arc::new(Table::new(1024));
            let mut own = BTreeMap::from([(Class::Write, quota(0.1, 3))]);
            own.extend(batch.map(|burst| (Class::Batch, quota(0.1, burst))));
            let shared = shared.map(|burst| quota(0.1, burst));
            let limits = Arc::new(RateLimits::new(&table, &Quotas { shared, own }));
            let write = limits.of(Class::Write).unwrap();
            let of = |class, entries| {
                let charge = EntryCharge::new(Arc::clone(&limits), client(1));
                (0..entries).map(|_| charge.entry(class)).filter(Result::is_ok).count()
            };
            // The first is let in, the others go into debt; then nothing is.
            assert_eq!(of(Some(Class::Read), 10), 10);
            assert_eq!(of(None, 10), 10);
            assert_eq!(write.standing(&client(1)).left, 3, "others are not writes");
            assert_eq!(of(Some(Class::Write), 10), 10);
            assert!(write.check(&client(1)).is_err());
            assert_eq!(of(Some(Class::Write), 10), 0);
            assert_eq!(of(Some(Class::Search), 10), 10);
        }
    }

    #[test]
    fn headers_say_what_is_left() {
        let table = Arc::new(Table::new(1024));
        let limits =
            RateLimits::new(&table, &Quotas { shared: Some(quota(0.1, 2)), own: BTreeMap::default() });
        let limit = limits.of(Class::Read).unwrap();
        assert_eq!(limit.policy(), "\"all\";q=2;w=20");
        let told = |standing| limit.field(standing).unwrap();
        assert_eq!(told(limit.check(&client(1)).unwrap()), "\"all\";r=1;t=10");
        assert_eq!(told(limit.check(&client(1)).unwrap()), "\"all\";r=0;t=20");
        let refused = limit.check(&client(1)).unwrap_err();
        assert_eq!(told(refused), format!("\"all\";r=0;t={}", delay_seconds(refused.wait)));
    }
}

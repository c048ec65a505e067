//! How often one client may come with a secret that is not taken: to look at one costs processor time.

use std::num::NonZeroU32;
use std::time::Duration;

use super::{Key, Quota, Table, table::Pace};

/// So many clients are remembered: 128 KiB.
const REMEMBERED: usize = 1 << 13;

/// A crowd behind one address whose tokens end at the same time, but no flood: to check one takes about 60 µs.
const QUOTA: Quota = Quota { per_second: 20.0, burst: NonZeroU32::MIN.saturating_add(199) };

/// Counts what was refused, in memory of a fixed size.
#[derive(Debug)]
pub struct Refusals {
    table: Table,
    pace: Pace,
}

impl Refusals {
    /// None yet.
    pub fn new() -> Self {
        Self { table: Table::new(REMEMBERED), pace: Pace::new(&QUOTA) }
    }

    /// How long nothing more of this client is looked at; none: it may come.
    pub fn wait(&self, client: &Key) -> Option<Duration> {
        (self.table.standing(client, self.pace).left == 0).then_some(Duration::from_secs(1))
    }

    /// One more of this client was refused.
    pub fn count(&self, client: &Key) {
        self.table.charge(client, self.pace, 1);
    }
}

impl Default for Refusals {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_stopped_and_nobody_else_is() {
        let (refusals, one, other) = (
            Refusals::new(),
            Key::address([192, 0, 2, 1].into(), 64),
            Key::address([192, 0, 2, 2].into(), 64),
        );
        for _ in 0..150 {
            refusals.count(&one);
        }
        assert_eq!(refusals.wait(&one), None, "not yet");
        for _ in 0..850 {
            refusals.count(&one);
        }
        assert!(refusals.wait(&one).is_some());
        assert_eq!(refusals.wait(&other), None);
        refusals.count(&other);
        assert_eq!(refusals.wait(&other), None);
    }
}

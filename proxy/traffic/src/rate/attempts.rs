//! How often a secret may be guessed: by the name it belongs to, by where the guess comes from, and by both.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::{Key, Quota, Table, table::Pace};

/// So many names and clients are remembered: 512 KiB.
const REMEMBERED: usize = 1 << 15;

/// One client with one name: a person who mistypes, and gets a try every 30 seconds after that.
const BOTH: Quota = Quota { per_second: 1.0 / 30.0, burst: five() };
/// One client: a ward behind one address, but nobody who tries names out.
const CLIENT: Quota = Quota { per_second: 1.0 / 5.0, burst: twenty() };
/// One name, from wherever: many machines that try one password each. Not so few that they keep its owner out for long.
const NAME: Quota = Quota { per_second: 1.0 / 10.0, burst: thirty() };

const fn five() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(4)
}

const fn twenty() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(19)
}

const fn thirty() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(29)
}

/// Counts guesses, in memory of a fixed size.
#[derive(Debug)]
pub struct Attempts {
    table: Arc<Table>,
    paces: [Pace; 3],
}

impl Attempts {
    /// None yet.
    pub fn new() -> Self {
        Self {
            table: Arc::new(Table::new(REMEMBERED)),
            paces: [BOTH, CLIENT, NAME].map(|quota| Pace::new(&quota)),
        }
    }

    /// Takes one guess into account.
    ///
    /// # Errors
    /// There were too many: how long to wait until the next counts.
    pub fn take(&self, name: &str, client: &Key) -> Result<(), Duration> {
        let [both, by_client, by_name] = self.paces;
        // The narrowest first: what it refuses costs others with the name or the address nothing.
        self.table.check(&(0_u8, name, client), both).map_err(|standing| standing.wait)?;
        self.table.check(&(1_u8, client), by_client).map_err(|standing| standing.wait)?;
        self.table.check(&(2_u8, name), by_name).map_err(|standing| standing.wait)?;
        Ok(())
    }
}

impl Default for Attempts {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u32) -> Key {
        Key::address(n.to_be_bytes().into(), 64)
    }

    #[test]
    fn one_who_mistypes_gets_five_tries() {
        let attempts = Attempts::new();
        let tries = (0..10).filter(|_| attempts.take("ann", &client(1)).is_ok()).count();
        assert_eq!(tries, 5);
        let wait = attempts.take("ann", &client(1)).unwrap_err();
        assert!((29..=30).contains(&wait.as_secs()), "{wait:?}");
        assert!(attempts.take("bob", &client(1)).is_ok() && attempts.take("ann", &client(2)).is_ok());
    }

    #[test]
    fn neither_many_names_nor_many_machines_are_a_way_around() {
        let attempts = Attempts::new();
        let names = (0..100).filter(|n: &u32| attempts.take(&n.to_string(), &client(1)).is_ok()).count();
        assert_eq!(names, 20);
        let machines = (0..100).filter(|n| attempts.take("ann", &client(1000 + n)).is_ok()).count();
        assert_eq!(machines, 30);
    }
}

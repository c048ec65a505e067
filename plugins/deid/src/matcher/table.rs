//! Where property names lead: one hash table for all states.

use fireguard_sdk::json::{Fingerprint, Key};

use super::states::{StateId, Target, TargetId};

/// Enough for the resources of one patient.
const FIRST_SLOTS: usize = 1024;

/// Open addressing over entries in the order they were made.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: Vec<Entry>,
    /// Indices into `entries`, plus one; a power of two of them, half of them free at least.
    slots: Vec<u32>,
}

#[derive(Debug)]
struct Entry {
    state: StateId,
    print: Fingerprint,
    /// Empty where the fingerprint says it all.
    name: Box<str>,
    target: Target,
}

impl Table {
    /// Where a name leads from a state, if that was found out before.
    #[inline]
    pub(super) fn get(&self, state: StateId, key: &Key<'_>) -> Option<TargetId> {
        let mask = self.slots.len().checked_sub(1)?;
        let print = key.fingerprint();
        let mut at = spread(state, key.hash()) & mask;
        loop {
            let index = self.slots[at].checked_sub(1)?;
            let entry = &self.entries[index as usize];
            if entry.state == state && entry.print == print && (print.is_exact() || key.is(&entry.name)) {
                return Some(index);
            }
            at = (at + 1) & mask;
        }
    }

    /// Remembers where a name leads.
    pub(super) fn insert(&mut self, state: StateId, key: &Key<'_>, target: Target) -> TargetId {
        let print = key.fingerprint();
        let name = if print.is_exact() { Box::default() } else { key.name().into() };
        self.entries.push(Entry { state, print, name, target });
        if self.entries.len() * 2 > self.slots.len() {
            self.slots = vec![0; (self.slots.len() * 2).max(FIRST_SLOTS)];
            for index in 0..self.entries.len() {
                self.place(index);
            }
        } else {
            self.place(self.entries.len() - 1);
        }
        (self.entries.len() - 1) as TargetId
    }

    #[inline]
    pub(super) fn target(&self, id: TargetId) -> Target {
        self.entries[id as usize].target
    }

    fn place(&mut self, index: usize) {
        let mask = self.slots.len() - 1;
        let mut at = spread(self.entries[index].state, self.entries[index].print.hash()) & mask;
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = index as u32 + 1;
    }
}

fn spread(state: StateId, hash: u32) -> usize {
    (hash ^ state.wrapping_mul(0x9e37_79b1)).wrapping_mul(0x85eb_ca6b) as usize >> 7
}

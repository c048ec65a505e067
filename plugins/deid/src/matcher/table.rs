//! Where property names lead: one hash table for all states.

use super::states::{StateId, Target, TargetId};

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
    hash: u32,
    name: Box<str>,
    target: Target,
}

impl Table {
    /// Where a name leads from a state, if that was found out before. `hash` is the hash of the name.
    #[inline]
    pub(super) fn get(&self, state: StateId, hash: u32, name: &[u8]) -> Option<TargetId> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = spread(state, hash) & mask;
        loop {
            let index = self.slots[at].checked_sub(1)?;
            let entry = &self.entries[index as usize];
            if entry.hash == hash && entry.state == state && entry.name.as_bytes() == name {
                return Some(index);
            }
            at = (at + 1) & mask;
        }
    }

    pub(super) fn target(&self, id: TargetId) -> Target {
        self.entries[id as usize].target
    }

    pub(super) fn insert(&mut self, state: StateId, hash: u32, name: &str, target: Target) -> TargetId {
        self.entries.push(Entry { state, hash, name: name.into(), target });
        if self.entries.len() * 2 > self.slots.len() {
            self.slots = vec![0; (self.slots.len() * 2).max(64)];
            for index in 0..self.entries.len() {
                self.place(index);
            }
        } else {
            self.place(self.entries.len() - 1);
        }
        (self.entries.len() - 1) as TargetId
    }

    fn place(&mut self, index: usize) {
        let mask = self.slots.len() - 1;
        let mut at = spread(self.entries[index].state, self.entries[index].hash) & mask;
        while self.slots[at] != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = index as u32 + 1;
    }
}

fn spread(state: StateId, hash: u32) -> usize {
    (hash ^ state.wrapping_mul(0x9e37_79b1)).wrapping_mul(0x85eb_ca6b) as usize >> 7
}

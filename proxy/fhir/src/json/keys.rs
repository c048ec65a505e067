//! Duplicate member names, found without an allocation per member.

use std::borrow::Cow;

use super::{Error, ErrorKind, unescape};

/// Up to this many members an object compares each name that may be a repeat with the ones before it; over
/// it, all of them are sorted once when the object closes.
const COMPARED_AT_ONCE: usize = 64;

/// The member names of every object that is open, innermost last.
#[derive(Debug)]
pub(super) struct Keys {
    entries: Vec<Entry>,
    objects: Vec<Object>,
}

/// A member name as it stands in the text, between its quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) hash: u32,
    pub(super) escaped: bool,
}

#[derive(Debug)]
struct Object {
    first: usize,
    /// One bit for each hash class seen: a clear bit proves that a name is new.
    seen: u64,
}

impl Default for Keys {
    /// With room for what a usual resource needs.
    fn default() -> Self {
        Self { entries: Vec::with_capacity(64), objects: Vec::with_capacity(16) }
    }
}

impl Entry {
    /// The decoded name.
    pub(super) fn name<'a>(&self, text: &'a [u8]) -> Result<Cow<'a, str>, Error> {
        let raw = &text[self.start as usize..self.end as usize];
        unescape(raw).map_err(|error| Error { offset: error.offset + u64::from(self.start), ..error })
    }

    fn same_name(&self, other: &Self, text: &[u8]) -> Result<bool, Error> {
        if self.hash != other.hash {
            return Ok(false);
        }
        if !self.escaped && !other.escaped {
            let raw = |entry: &Self| &text[entry.start as usize..entry.end as usize];
            return Ok(raw(self) == raw(other));
        }
        Ok(self.name(text)? == other.name(text)?)
    }
}

impl Keys {
    pub(super) fn open(&mut self) {
        self.objects.push(Object { first: self.entries.len(), seen: 0 });
    }

    /// Adds a name to the innermost object.
    pub(super) fn add(&mut self, entry: Entry, text: &[u8]) -> Result<(), Error> {
        let Some(object) = self.objects.last_mut() else { return Ok(()) };
        let class = 1 << (entry.hash >> 26);
        let siblings = &self.entries[object.first..];
        if object.seen & class != 0 && siblings.len() <= COMPARED_AT_ONCE {
            for sibling in siblings {
                if sibling.same_name(&entry, text)? {
                    return Err(duplicate(&entry));
                }
            }
        }
        object.seen |= class;
        self.entries.push(entry);
        Ok(())
    }

    /// Closes the innermost object.
    pub(super) fn close(&mut self, text: &[u8]) -> Result<(), Error> {
        let Some(object) = self.objects.pop() else { return Ok(()) };
        let members = &mut self.entries[object.first..];
        if members.len() > COMPARED_AT_ONCE {
            // Names that decode were checked by the lexer, so the default never stands for one.
            members.sort_unstable_by(|a, b| {
                let name = |entry: &Entry| entry.name(text).unwrap_or_default();
                a.hash.cmp(&b.hash).then_with(|| name(a).cmp(&name(b))).then(a.start.cmp(&b.start))
            });
            for pair in members.windows(2) {
                if pair[0].same_name(&pair[1], text)? {
                    return Err(duplicate(&pair[1]));
                }
            }
        }
        self.entries.truncate(object.first);
        Ok(())
    }
}

/// A fingerprint of a member name: its length, its first and its last eight bytes. Of names of up to sixteen
/// bytes no two share one; longer names may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    length: usize,
    head: u64,
    tail: u64,
}

impl Fingerprint {
    /// The fingerprint of a name.
    #[inline]
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        let length = name.len();
        let (head, tail) = if let (Some(head), Some(tail)) = (name.first_chunk::<8>(), name.last_chunk::<8>())
        {
            (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
        } else if let (Some(head), Some(tail)) = (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            (u64::from(u32::from_le_bytes(*head)), u64::from(u32::from_le_bytes(*tail)))
        } else {
            (name.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0)
        };
        Self { length, head, tail }
    }

    /// Whether names of this fingerprint are the same name.
    #[inline]
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.length <= 16
    }

    /// A fast hash for tables. Names that share it can be made at will, so nothing may rest on it.
    #[inline]
    #[must_use]
    pub fn hash(&self) -> u32 {
        let mixed = (self.head ^ (self.length as u64) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.tail;
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        (mixed >> 32) as u32
    }
}

fn duplicate(entry: &Entry) -> Error {
    Error { kind: ErrorKind::DuplicateKey, offset: u64::from(entry.start) }
}

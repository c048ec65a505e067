//! Values by their keys.

use std::time::Duration;

use crate::Answer;

/// Keeps values by their keys, in namespaces that know nothing of each other.
pub trait KeyValue: Send + Sync {
    /// The values of these keys, in the same order.
    fn get<'a>(&'a self, namespace: &'a str, keys: Vec<String>) -> Answer<'a, Vec<Option<Vec<u8>>>>;

    /// Sets all of these, or none. Of two with the same key the later counts.
    ///
    /// # Errors
    /// Also when the namespace would hold more than its quota afterwards.
    fn set<'a>(&'a self, namespace: &'a str, entries: Vec<Entry>, quota: Quota) -> Answer<'a, ()>;

    /// Deletes these, where they are.
    fn delete<'a>(&'a self, namespace: &'a str, keys: Vec<String>) -> Answer<'a, ()>;

    /// Sets the entry if what stands there is `expected` (none: nothing does), and tells whether it did.
    ///
    /// # Errors
    /// Also when the namespace would hold more than its quota afterwards.
    fn swap<'a>(
        &'a self,
        namespace: &'a str,
        entry: Entry,
        expected: Option<Vec<u8>>,
        quota: Quota,
    ) -> Answer<'a, bool>;
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// How long it stays; none: until it is deleted.
    pub stays: Option<Duration>,
}

/// What a namespace may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Entries.
    pub entries: u64,
    /// Bytes of keys and values together.
    pub bytes: u64,
}

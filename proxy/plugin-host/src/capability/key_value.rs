//! Capability: values that outlive the instance, of one plugin only. What keeps them is given with the grant.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{HasData, Linker};

use super::error;
use super::grant::{Allowance, Held};
use crate::contract::{Error, key_value};
use crate::host::HostState;

/// Bounds that the contract names.
const KEY_BYTES: usize = 256;
const VALUE_BYTES: usize = 64 << 10;
/// Keys in one question: with the largest values 16 MiB.
const KEYS: usize = 256;
/// Questions in one call of the guest.
const QUESTIONS: u32 = 256;

/// What is answered once the store has.
pub type Kept<'a, T> = Pin<Box<dyn Future<Output = Result<T, KeyValueFault>> + Send + 'a>>;

/// Keeps values by their keys, for one plugin and nobody else.
pub trait KeyValueStore: Send + Sync + fmt::Debug {
    /// The values of these keys, in the same order.
    fn get(&self, keys: Vec<String>) -> Kept<'_, Vec<Option<Vec<u8>>>>;

    /// Sets all of these, or none; what it answers for has reached the disk.
    fn set(&self, entries: Vec<KeyValueEntry>) -> Kept<'_, ()>;

    /// Deletes these, where they are.
    fn delete(&self, keys: Vec<String>) -> Kept<'_, ()>;

    /// Sets the entry if what stands there is `expected` (none: nothing does), and tells whether it did.
    fn swap(&self, entry: KeyValueEntry, expected: Option<Vec<u8>>) -> Kept<'_, bool>;
}

/// A key and its value.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyValueEntry {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// How long it stays; none: until it is deleted.
    pub stays: Option<Duration>,
}

/// Why something was not kept. Nothing of it stands here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyValueFault {
    /// There would be more than there may be; the text says of what.
    #[error("{0}")]
    Full(String),
    /// The store does not work.
    #[error("what keeps values does not work")]
    Unavailable,
}

/// `[plugins.<name>.grants.key_value]`.
#[derive(Debug)]
pub struct KeyValueGrant {
    /// The plugin's own.
    pub store: Arc<dyn KeyValueStore>,
}

/// Adds `fireguard:plugin/key-value`.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    key_value::add_to_linker::<HostState, KeyValue>(linker, |host| &mut host.capabilities.key_value)
}

/// The state of one instance of the plugin `name`.
pub(crate) fn prepare(granted: Option<&Arc<KeyValueGrant>>, name: &Arc<str>) -> State {
    State { granted: Held::new(name, "key_value", granted), questions: Allowance::new(QUESTIONS) }
}

/// Names the state's type for wasmtime.
pub(crate) struct KeyValue;

impl HasData for KeyValue {
    type Data<'a> = &'a mut State;
}

/// Answers the guest.
pub(crate) struct State {
    granted: Held<KeyValueGrant>,
    questions: Allowance,
}

impl State {
    pub(crate) fn begin_call(&mut self) {
        self.questions.begin_call();
    }

    fn store(&mut self) -> Result<&dyn KeyValueStore, Error> {
        let granted = self.granted.get()?;
        self.questions.take()?;
        Ok(&*granted.store)
    }
}

impl key_value::Host for State {
    async fn get(&mut self, keys: Vec<String>) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let store = self.store()?;
        bounded(keys.iter())?;
        store.get(keys).await.map_err(refused)
    }

    async fn set(&mut self, entries: Vec<key_value::Entry>) -> Result<(), Error> {
        let store = self.store()?;
        bounded(entries.iter().map(|entry| &entry.key))?;
        let entries = entries.into_iter().map(checked).collect::<Result<_, _>>()?;
        store.set(entries).await.map_err(refused)
    }

    async fn delete(&mut self, keys: Vec<String>) -> Result<(), Error> {
        let store = self.store()?;
        bounded(keys.iter())?;
        store.delete(keys).await.map_err(refused)
    }

    async fn swap(&mut self, entry: key_value::Entry, expected: Option<Vec<u8>>) -> Result<bool, Error> {
        let store = self.store()?;
        bounded([&entry.key].into_iter())?;
        store.swap(checked(entry)?, expected).await.map_err(refused)
    }
}

fn bounded<'a>(keys: impl ExactSizeIterator<Item = &'a String>) -> Result<(), Error> {
    if keys.len() > KEYS {
        return Err(error("too-much", format!("{} keys, of at most {KEYS}", keys.len())));
    }
    for (place, key) in keys.enumerate() {
        if key.is_empty() || key.len() > KEY_BYTES {
            return Err(error("invalid", format!("key {place} is not of 1 to {KEY_BYTES} bytes")));
        }
    }
    Ok(())
}

fn checked(entry: key_value::Entry) -> Result<KeyValueEntry, Error> {
    let key_value::Entry { key, value, expires_in } = entry;
    if value.len() > VALUE_BYTES {
        return Err(error("too-much", format!("a value has {VALUE_BYTES} bytes at most")));
    }
    Ok(KeyValueEntry { key, value, stays: expires_in.map(|seconds| Duration::from_secs(seconds.into())) })
}

fn refused(fault: KeyValueFault) -> Error {
    let code = match fault {
        KeyValueFault::Full(_) => "too-much",
        KeyValueFault::Unavailable => "unavailable",
    };
    error(code, fault.to_string())
}

impl fmt::Debug for KeyValueEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an entry of {} bytes", self.value.len())
    }
}

//! Values in memory, begun with `key-value.json`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fireguard_plugin_host::{Kept, KeyValueEntry, KeyValueStore};
use serde_json::{Map, Value};

use super::{readable, written};

pub(super) struct Values(Mutex<BTreeMap<String, Vec<u8>>>);

impl Values {
    pub(super) fn new(values: &Map<String, Value>) -> Self {
        Self(Mutex::new(values.iter().map(|(key, value)| (key.clone(), written(value))).collect()))
    }

    pub(super) fn tell(&self) -> Value {
        self.map().iter().map(|(key, value)| (key.clone(), readable(value))).collect::<Map<_, _>>().into()
    }

    fn map(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyValueStore for Values {
    fn get(&self, keys: Vec<String>) -> Kept<'_, Vec<Option<Vec<u8>>>> {
        Box::pin(async move {
            let map = self.map();
            Ok(keys.iter().map(|key| map.get(key).cloned()).collect())
        })
    }

    fn set(&self, entries: Vec<KeyValueEntry>) -> Kept<'_, ()> {
        Box::pin(async move {
            self.map().extend(entries.into_iter().map(|entry| (entry.key, entry.value)));
            Ok(())
        })
    }

    fn delete(&self, keys: Vec<String>) -> Kept<'_, ()> {
        Box::pin(async move {
            let mut map = self.map();
            keys.iter().for_each(|key| drop(map.remove(key)));
            Ok(())
        })
    }

    fn swap(&self, entry: KeyValueEntry, expected: Option<Vec<u8>>) -> Kept<'_, bool> {
        Box::pin(async move {
            let mut map = self.map();
            let fits = map.get(&entry.key) == expected.as_ref();
            if fits {
                map.insert(entry.key, entry.value);
            }
            Ok(fits)
        })
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} values", self.map().len())
    }
}

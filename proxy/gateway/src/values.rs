//! The values that one plugin keeps.

use std::sync::Arc;

use fireguard_plugin_host::{Kept, KeyValueEntry, KeyValueFault, KeyValueStore};
use fireguard_state::{Embedded, Entry, KeyValue, Quota, StateError};

/// A namespace of its own in what is kept durably.
#[derive(Debug)]
pub struct Values {
    /// None: nothing is kept, the configuration is only looked at.
    state: Option<Arc<Embedded>>,
    namespace: String,
    quota: Quota,
}

impl Values {
    /// Of the plugin of this name.
    pub fn new(state: Option<Arc<Embedded>>, plugin: &str, quota: Quota) -> Self {
        Self { state, namespace: format!("plugin/{plugin}"), quota }
    }

    fn state(&self) -> Result<&Embedded, KeyValueFault> {
        self.state.as_deref().ok_or(KeyValueFault::Unavailable)
    }
}

impl KeyValueStore for Values {
    fn get(&self, keys: Vec<String>) -> Kept<'_, Vec<Option<Vec<u8>>>> {
        Box::pin(async { self.state()?.get(&self.namespace, keys).await.map_err(fault) })
    }

    fn set(&self, entries: Vec<KeyValueEntry>) -> Kept<'_, ()> {
        let entries = entries.into_iter().map(entry).collect();
        Box::pin(async { self.state()?.set(&self.namespace, entries, self.quota).await.map_err(fault) })
    }

    fn delete(&self, keys: Vec<String>) -> Kept<'_, ()> {
        Box::pin(async { self.state()?.delete(&self.namespace, keys).await.map_err(fault) })
    }

    fn swap(&self, new: KeyValueEntry, expected: Option<Vec<u8>>) -> Kept<'_, bool> {
        let swap = async move {
            self.state()?.swap(&self.namespace, entry(new), expected, self.quota).await.map_err(fault)
        };
        Box::pin(swap)
    }
}

fn entry(entry: KeyValueEntry) -> Entry {
    Entry { key: entry.key, value: entry.value, stays: entry.stays }
}

fn fault(error: StateError) -> KeyValueFault {
    match error {
        StateError::Entries { .. } | StateError::Bytes { .. } => KeyValueFault::Full(error.to_string()),
        error => {
            tracing::error!(%error, "values of plugins cannot be kept");
            KeyValueFault::Unavailable
        }
    }
}

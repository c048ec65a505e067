//! Objects in memory, begun with `objects.json`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fireguard_plugin_host::{Object, ObjectStore, StoreFault, Stored};
use serde_json::{Map, Value};

use super::{readable, written};

pub(super) struct Objects(Mutex<BTreeMap<String, Vec<u8>>>);

impl Objects {
    pub(super) fn new(objects: &Map<String, Value>) -> Self {
        Self(Mutex::new(objects.iter().map(|(name, content)| (name.clone(), written(content))).collect()))
    }

    pub(super) fn tell(&self) -> Value {
        self.map()
            .iter()
            .map(|(name, content)| (name.clone(), readable(content)))
            .collect::<Map<_, _>>()
            .into()
    }

    fn map(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ObjectStore for Objects {
    fn put(&self, object: Object) -> Stored<'_, ()> {
        Box::pin(async move {
            self.map().insert(object.name, object.content);
            Ok(())
        })
    }

    fn get(&self, name: String, most: u64) -> Stored<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            let content = self.map().get(&name).cloned();
            if content.as_ref().is_some_and(|content| content.len() as u64 > most) {
                return Err(StoreFault::TooLarge { most });
            }
            Ok(content)
        })
    }

    fn delete(&self, name: String) -> Stored<'_, ()> {
        Box::pin(async move {
            self.map().remove(&name);
            Ok(())
        })
    }

    fn names(&self, prefix: String, after: String, most: usize) -> Stored<'_, Vec<String>> {
        Box::pin(async move {
            let map = self.map();
            let fits = |name: &&String| name.starts_with(&prefix) && **name > after;
            Ok(map.keys().filter(fits).take(most).cloned().collect())
        })
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} objects", self.map().len())
    }
}

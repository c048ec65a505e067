//! The objects of one plugin in a bucket.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fireguard_plugin_host::{Object, ObjectStore, StoreFault, Stored, is_object_name};
use fireguard_state::s3::{Bucket, BucketFault};
use tokio::sync::Mutex;

/// What is known of the room may be this old before more is refused for lack of it.
const COUNT_AGAIN: Duration = Duration::from_secs(10);
/// Names that are asked for at once.
const PAGE: usize = 1000;
const BYTES: &str = "application/octet-stream";

/// Keeps a plugin's objects below a prefix of its own, up to a quota. What is counted is what this process has put since
/// it last looked: several processes together may put a little more.
#[derive(Clone)]
pub struct BucketObjects {
    bucket: Bucket,
    /// Bytes of all objects together.
    quota: u64,
    room: Arc<Mutex<Room>>,
}

#[derive(Default)]
struct Room {
    used: u64,
    /// When the bucket was looked through; none: not yet.
    counted: Option<Instant>,
}

impl BucketObjects {
    /// Of this plugin. Nothing is asked yet.
    pub fn new(bucket: &Bucket, plugin: &str, quota: u64) -> Self {
        Self { bucket: bucket.within(&format!("plugins/{plugin}/")), quota, room: Arc::default() }
    }

    /// Takes room for so many bytes. What an object takes the place of is given back when it is counted again: before
    /// anything is refused, but not at every turn.
    async fn take(&self, bytes: u64) -> Result<(), StoreFault> {
        let fits = |room: &Room| room.used.saturating_add(bytes) <= self.quota;
        let mut room = Arc::clone(&self.room).lock_owned().await;
        let known = room.counted.is_some_and(|counted| fits(&room) || counted.elapsed() < COUNT_AGAIN);
        if !known {
            let this = self.clone();
            // To its end, also if the guest's time is up before: the next one will know.
            let counting = tokio::spawn(async move {
                *room = Room { used: this.count().await?, counted: Some(Instant::now()) };
                Ok::<_, BucketFault>(room)
            });
            room = counting.await.map_err(|_| StoreFault::Unavailable)?.map_err(|fault| self.told(&fault))?;
        }
        if !fits(&room) {
            return Err(StoreFault::Full { quota: self.quota });
        }
        room.used = room.used.saturating_add(bytes);
        Ok(())
    }

    async fn count(&self) -> Result<u64, BucketFault> {
        let (mut used, mut after) = (0_u64, String::new());
        loop {
            let page = self.bucket.list("", &after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(used) };
            used = page.iter().fold(used, |used, object| used.saturating_add(object.size));
            after.clone_from(&last.key);
        }
    }

    /// What the guest is told; the log says more.
    fn told(&self, fault: &BucketFault) -> StoreFault {
        if let BucketFault::TooLarge { most } = fault {
            return StoreFault::TooLarge { most: *most };
        }
        tracing::error!(bucket = self.bucket.name(), error = %fault, "the object store does not work");
        StoreFault::Unavailable
    }
}

impl ObjectStore for BucketObjects {
    fn put(&self, object: Object) -> Stored<'_, ()> {
        Box::pin(async move {
            self.take(object.content.len() as u64).await?;
            self.bucket.put(&object.name, object.content, BYTES).await.map_err(|fault| self.told(&fault))
        })
    }

    fn get(&self, name: String, most: u64) -> Stored<'_, Option<Vec<u8>>> {
        Box::pin(async move { self.bucket.get(&name, most).await.map_err(|fault| self.told(&fault)) })
    }

    fn delete(&self, name: String) -> Stored<'_, ()> {
        Box::pin(async move { self.bucket.delete(&name).await.map_err(|fault| self.told(&fault)) })
    }

    fn names(&self, prefix: String, after: String, most: usize) -> Stored<'_, Vec<String>> {
        Box::pin(async move {
            let (mut names, mut after) = (Vec::new(), after);
            while names.len() < most {
                let page =
                    self.bucket.list(&prefix, &after, most).await.map_err(|fault| self.told(&fault))?;
                let Some(last) = page.last() else { break };
                after.clone_from(&last.key);
                // What others have put there may have any name.
                names.extend(page.into_iter().map(|object| object.key).filter(|key| is_object_name(key)));
            }
            names.truncate(most);
            Ok(names)
        })
    }
}

impl fmt::Debug for BucketObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "objects in {}", self.bucket.name())
    }
}

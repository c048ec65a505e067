//! What keeps objects.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;

/// What is answered once the store has.
pub type Stored<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreFault>> + Send + 'a>>;

/// Keeps objects by their names. The names it is called with are checked: they lead nowhere else.
pub trait ObjectStore: Send + Sync + fmt::Debug {
    /// Keeps the object, in the place of one of the same name: all of it, or the one that was there.
    fn put(&self, object: Object) -> Stored<'_, ()>;

    /// The object of this name, if it has at most so many bytes.
    fn get(&self, name: String, most: u64) -> Stored<'_, Option<Vec<u8>>>;

    /// Deletes the object of this name, if there is one.
    fn delete(&self, name: String) -> Stored<'_, ()>;

    /// Up to `most` names that begin with `prefix` and come after `after`, in the order of their bytes.
    fn names(&self, prefix: String, after: String, most: usize) -> Stored<'_, Vec<String>>;
}

/// Something to be kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Object {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub content: Vec<u8>,
}

/// Why something was not kept, or not found out. Nothing of an object stands in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreFault {
    /// There would be more than there may be.
    #[error("there is room for {quota} bytes; delete some objects")]
    Full {
        /// Bytes of all objects together.
        quota: u64,
    },
    /// The object has more bytes than were asked for.
    #[error("the object has over {most} bytes")]
    TooLarge {
        /// As many.
        most: u64,
    },
    /// There are objects below this name.
    #[error("there are objects whose names begin with this one and a slash")]
    IsFolder,
    /// The name goes through another object's.
    #[error("a part of the name is the name of another object")]
    IsObject,
    /// A symbolic link leads out of the directory.
    #[error("the name leads out of the place that is granted")]
    Outside,
    /// What keeps objects does not work.
    #[error("the object store does not work")]
    Unavailable,
}

impl From<io::Error> for StoreFault {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::PermissionDenied {
            return Self::Outside;
        }
        tracing::error!(%error, "the object store does not work");
        Self::Unavailable
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.content.len())
    }
}

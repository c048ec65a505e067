//! What can go wrong.

use std::path::PathBuf;

/// Why something was not kept, or not found out. Nothing of what is kept stands in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The directory or the database in it cannot be used.
    #[error("cannot keep state in {}: {reason}", path.display())]
    Open {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The database was written by a later version of this program.
    #[error("the state in {} is of version {found}; this program knows versions up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The latest that is known here.
        known: i64,
    },
    /// The namespace would hold more entries than it may.
    #[error("there is room for {most} entries; delete some")]
    Entries {
        /// How many it may hold.
        most: u64,
    },
    /// The namespace would hold more bytes than it may, keys included.
    #[error("there is room for {most} bytes, keys included; delete some entries")]
    Bytes {
        /// How many it may hold.
        most: u64,
    },
    /// The database fails: the disk is full, or broken.
    #[error("the state cannot be read or written: {0}")]
    Failed(String),
    /// The process is stopping.
    #[error("the state is closed")]
    Closed,
}

impl From<rusqlite::Error> for StateError {
    fn from(error: rusqlite::Error) -> Self {
        // SQLite's messages name tables and columns, and never a value.
        Self::Failed(error.to_string())
    }
}

//! State on SQLite, in a directory of this process.
//!
//! All writes go through one thread, which puts those that wait into one transaction and one `fsync` ([`writer`]);
//! reads have connections of their own ([`readers`]) and see what is committed.

mod key_value;
mod queue;
mod readers;
mod schema;
mod writer;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;

use self::readers::Readers;
use self::writer::Writer;
use crate::{Clock, StateError};

/// The database's file in the directory.
const FILE: &str = "state.db";

/// A database in a directory. Cloning is cheap. Two processes may use one directory, as a program and its successor
/// do.
#[derive(Clone, Debug)]
pub struct Embedded {
    writer: Writer,
    readers: Arc<Readers>,
    clock: Clock,
}

impl Embedded {
    /// Opens the database in the directory, and makes both if they are not there. Nobody else than this user can
    /// look into a directory made here. Blocks.
    ///
    /// # Errors
    /// [`StateError::Open`], [`StateError::Newer`].
    pub fn open(directory: &Path) -> Result<Self, StateError> {
        Self::with_clock(directory, Clock::system())
    }

    /// The same by another clock.
    ///
    /// # Errors
    /// As [`Embedded::open`].
    pub fn with_clock(directory: &Path, clock: Clock) -> Result<Self, StateError> {
        let failed = |reason: String| StateError::Open { path: directory.to_owned(), reason };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|error| failed(error.to_string()))?;
        let path = directory.join(FILE);
        let writing = schema::prepare(&path)?;
        let writer = Writer::start(writing, clock.clone()).map_err(|error| failed(error.to_string()))?;
        Ok(Self { writer, readers: Arc::new(Readers::new(path)), clock })
    }

    /// Runs a question on a connection for reading.
    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection, i64) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let clock = self.clock.clone();
        self.readers.ask(move |connection| question(connection, clock.now())).await
    }
}

//! Connections for reading.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::schema;
use crate::StateError;

/// Questions at once; the others wait without a thread.
const AT_ONCE: usize = 4;

/// Keeps connections that nobody uses just now.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    places: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, places: Semaphore::new(AT_ONCE), idle: Mutex::default() }
    }

    /// Asks on a thread for blocking work.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let _place = self.places.acquire().await.map_err(|_| StateError::Closed)?;
        let known = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let path = self.path.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let connection = known.map_or_else(|| schema::reader(&path), Ok)?;
            let answer = question(&connection);
            Ok::<_, StateError>((answer, connection))
        });
        let (answer, connection) = asked.await.map_err(|_| StateError::Closed)??;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        answer
    }
}

//! What every implementation of the traits does; each test is a function of the trait, and runs against each.

#![expect(clippy::unwrap_used, reason = "that is how a test fails")]

mod key_value;
mod kill;
mod queue;
mod s3;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fireguard_state::{Clock, Embedded};
use tempfile::TempDir;

/// A store of its own, and the time it goes by.
pub(crate) struct Fresh {
    pub(crate) store: Embedded,
    pub(crate) time: Time,
    pub(crate) folder: TempDir,
}

/// The time, in milliseconds.
#[derive(Clone)]
pub(crate) struct Time(Arc<AtomicU64>);

impl Time {
    pub(crate) fn passes(&self, milliseconds: u64) {
        self.0.fetch_add(milliseconds, Ordering::SeqCst);
    }
}

pub(crate) fn fresh() -> Fresh {
    let folder = tempfile::tempdir().unwrap();
    let time = Time(Arc::new(AtomicU64::new(1_000_000)));
    let store = Embedded::with_clock(folder.path(), Clock::set_by(Arc::clone(&time.0))).unwrap();
    Fresh { store, time, folder }
}

//! What time it is, for expiry and leases.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Tells the time: the system's, or one that a test sets. Expiry and leases outlive the process, so that it is the
/// time of day.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    /// The system's.
    pub fn system() -> Self {
        Self(Arc::new(|| {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        }))
    }

    /// One that shows this many milliseconds, and is set by whoever holds the number.
    pub fn set_by(milliseconds: Arc<AtomicU64>) -> Self {
        Self(Arc::new(move || milliseconds.load(Ordering::SeqCst)))
    }

    /// Milliseconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        // SQLite's numbers have a sign; it is the year 292 million by then.
        i64::try_from((self.0)()).unwrap_or(i64::MAX)
    }
}

/// So many milliseconds, as SQLite counts.
pub(crate) fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

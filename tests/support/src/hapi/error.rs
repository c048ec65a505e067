//! Why there is no HAPI.

use std::io;
use std::path::PathBuf;

/// Why a server could not be built or started; each says on one line what to do or where to look.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No Java, or an old one.
    #[error("JDK 17 or newer is needed: {0}")]
    Jdk(String),
    /// No Maven, or an old one.
    #[error("Maven 3.6 or newer is needed: {0}")]
    Maven(String),
    /// Maven ran and failed.
    #[error("packaging HAPI failed: {reason} (whole output: {})", log.display())]
    Package {
        /// Maven's first error line.
        reason: String,
        /// Its output.
        log: PathBuf,
    },
    /// The server ended before it answered.
    #[error("HAPI ended before it was ready ({status}): {reason} (log: {})", log.display())]
    Ended {
        /// How it ended.
        status: String,
        /// The line of the log that tells most.
        reason: String,
        /// Its log.
        log: PathBuf,
    },
    /// The server did not answer in time.
    #[error("HAPI was not ready within {seconds} s (log: {})", log.display())]
    Slow {
        /// How long it had.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },
    /// PostgreSQL could not be set up or started.
    #[error("PostgreSQL does not start: {reason} (log: {})", log.display())]
    Database {
        /// The line of the log that tells most.
        reason: String,
        /// Its log.
        log: PathBuf,
    },
    /// The runtime went away while the server was starting.
    #[error("the start of HAPI was interrupted")]
    Interrupted,
    /// PostgreSQL could not be installed, or the package is being built elsewhere and cannot be waited for.
    #[error(transparent)]
    Install(#[from] crate::install::Error),
    /// A file or a process could not be handled.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What went wrong.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: says what was being done.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing: doing.into(), source }
    }
}

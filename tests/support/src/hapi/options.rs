//! How a server is started.

use std::path::PathBuf;
use std::time::Duration;

/// How a server is started. The default is a free port, H2 in memory, 512 MB of heap, and HAPI as its
/// official starter sets it up; `java -jar fireguard-hapi.jar help` lists the settings.
#[derive(Debug, Clone)]
pub struct Options {
    pub(crate) port: u16,
    pub(crate) heap: String,
    pub(crate) full_jit: bool,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) log: Option<PathBuf>,
    pub(crate) postgres: bool,
    pub(crate) fsync: bool,
    pub(crate) jobs: bool,
    pub(crate) ready_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            heap: "512m".into(),
            full_jit: false,
            settings: Vec::new(),
            log: None,
            postgres: false,
            fsync: true,
            jobs: true,
            // Four times what a start takes on two cores that compile at the same time.
            ready_within: Duration::from_secs(180),
        }
    }
}

impl Options {
    /// A property of HAPI's `JpaStorageSettings`, such as `("allowMultipleDelete", "true")`.
    #[must_use]
    pub fn storage(self, name: &str, value: &str) -> Self {
        self.setting(&format!("storage.{name}"), value)
    }

    /// A setting of the server, such as `("page.max", "500")` or `("jobs.every.ms", "1000")`.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A PostgreSQL of the server's own instead of H2 in memory. It keeps what was committed over
    /// [restarts](super::Hapi::restart) of the server, and ends with the [`Hapi`](super::Hapi).
    #[must_use]
    pub fn postgres(mut self) -> Self {
        self.postgres = true;
        self
    }

    /// Lets PostgreSQL answer before the disk has what it was given: faster, and nothing that a crash of HAPI
    /// or of PostgreSQL would lose; one of the machine might.
    #[must_use]
    pub fn without_fsync(mut self) -> Self {
        self.fsync = false;
        self
    }

    /// Without HAPI's own jobs, exports among them. With two connections it does not come up reliably beside them:
    /// they and the start wait for each other.
    #[must_use]
    pub fn without_jobs(mut self) -> Self {
        self.jobs = false;
        self
    }

    /// The port; 0, the default, takes a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The heap as Java writes it: `512m` is enough for behaviour, `1g` for load and large bodies.
    #[must_use]
    pub fn heap(mut self, heap: &str) -> Self {
        self.heap = heap.to_owned();
        self
    }

    /// Whether to compile hot code fully: a slower start, and the speed that measurements are about.
    #[must_use]
    pub fn full_jit(mut self, full_jit: bool) -> Self {
        self.full_jit = full_jit;
        self
    }

    /// The log file; the default is a new one under `target/hapi/logs`.
    #[must_use]
    pub fn log(mut self, log: PathBuf) -> Self {
        self.log = Some(log);
        self
    }
}

//! A real HAPI FHIR JPA server (R4), on H2 in memory or a PostgreSQL of its own, as many side by side as a test
//! wants.
//!
//! The first use packages the Java project under `tests/support/hapi` with Maven and makes a class-data
//! archive, which halves every start after it; later uses only compare a key. Logs are kept under
//! `target/hapi/logs`. A server and its PostgreSQL end with their [`Hapi`], and with the test process however that
//! ends.
//!
//! ```no_run
//! # async fn example() -> Result<(), fireguard_test_support::hapi::Error> {
//! use fireguard_test_support::hapi::{Hapi, Options};
//! let hapi = Hapi::start(Options::default().storage("allowMultipleDelete", "true")).await?;
//! let patients = format!("{}/Patient", hapi.base_url());
//! # Ok(())
//! # }
//! ```

mod error;
mod java;
mod options;
mod package;
mod postgres;
mod server;

pub use error::Error;
pub(crate) use java::find_java;
pub use options::Options;
pub use package::Package;
pub use postgres::{DetachedPostgres, Postgres};
pub use server::{Server, command_line, port_of, terminate};

/// The folder of everything that belongs to HAPI: packages, archives, logs, state.
pub fn directory() -> std::path::PathBuf {
    crate::repository::target().join("hapi")
}

/// A running server. Dropping it kills it, and ends and removes its PostgreSQL, if it has one.
#[cfg(feature = "async")]
#[derive(Debug)]
pub struct Hapi {
    // Before its database: fields are dropped in this order.
    server: Server,
    database: Option<Postgres>,
    package: Package,
    options: Options,
}

/// How a server ends that is to be started again.
#[cfg(feature = "async")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By SIGKILL, in the middle of whatever it does.
    Killed,
    /// As a service manager ends it: by its own shutdown.
    InOrder,
}

#[cfg(feature = "async")]
impl Hapi {
    /// Packages HAPI if that is due, starts it and waits until it answers.
    ///
    /// # Errors
    /// Java or Maven is missing or too old; the build failed; the server left or was too slow.
    pub async fn start(mut options: Options) -> Result<Self, Error> {
        blocking(move || {
            let progress = |step: &str| eprintln!("HAPI: {step}");
            let package = Package::ensure(&progress)?;
            let database = options.postgres.then(|| Postgres::start(options.fsync, &progress)).transpose()?;
            if let Some(database) = &database {
                options.settings.extend(database.settings());
            }
            let server = Server::start(&package, &options)?;
            Ok(Self { server, database, package, options })
        })
        .await
    }

    /// One server with default options for all tests of this process, whose jobs take a step each second instead of
    /// each minute; it lives until the process ends.
    ///
    /// # Errors
    /// As [`Hapi::start`]; the next call tries again.
    pub async fn shared() -> Result<&'static Self, Error> {
        static SHARED: tokio::sync::OnceCell<Hapi> = tokio::sync::OnceCell::const_new();
        let options = || Options::default().setting("jobs.every.ms", "1000");
        SHARED.get_or_try_init(|| Self::start(options())).await
    }

    /// Ends the server and starts it again as it was, at the same address. Its PostgreSQL runs on; what was in
    /// memory is gone.
    ///
    /// # Errors
    /// The server does not come back.
    pub async fn restart(self, end: End) -> Result<Self, Error> {
        blocking(move || {
            let Self { server, database, package, options } = self;
            let options = options.port(port_of(server.base_url()));
            match end {
                End::Killed => drop(server),
                End::InOrder => server.finish()?,
            }
            let server = Server::start(&package, &options)?;
            Ok(Self { server, database, package, options })
        })
        .await
    }

    /// Stops the server's clock: it accepts connections, as its kernel does, and answers nothing.
    pub fn freeze(&self) {
        self.server.signal(rustix::process::Signal::STOP);
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        self.server.signal(rustix::process::Signal::CONT);
    }

    /// The FHIR base without a slash at its end, such as `http://127.0.0.1:4711/fhir`.
    pub fn base_url(&self) -> &str {
        self.server.base_url()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// The server's log file.
    pub fn log(&self) -> &std::path::Path {
        self.server.log()
    }
}

#[cfg(feature = "async")]
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(Error::Interrupted))
}

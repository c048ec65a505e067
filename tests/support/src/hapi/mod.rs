//! A real HAPI FHIR JPA server (R4, H2 in memory), as many side by side as a test wants.
//!
//! The first use packages the Java project under `tests/support/hapi` with Maven and makes a class-data
//! archive, which halves every start after it; later uses only compare a key. Logs are kept under
//! `target/hapi/logs`. A server ends with its [`Hapi`], and with the test process however that ends.
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
mod server;

pub use error::Error;
pub use options::Options;
pub use package::Package;
pub use server::{Server, command_line, terminate};

/// The folder of everything that belongs to HAPI: packages, archives, logs, state.
pub fn directory() -> std::path::PathBuf {
    crate::repository::target().join("hapi")
}

/// A running server. Dropping it kills it: with H2 in memory there is nothing to save.
#[cfg(feature = "async")]
#[derive(Debug)]
pub struct Hapi {
    server: Server,
}

#[cfg(feature = "async")]
impl Hapi {
    /// Packages HAPI if that is due, starts it and waits until it answers.
    ///
    /// # Errors
    /// Java or Maven is missing or too old; the build failed; the server left or was too slow.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let start = tokio::task::spawn_blocking(move || {
            let package = Package::ensure(&|step| eprintln!("HAPI: {step}"))?;
            Server::start(&package, &options)
        });
        match start.await {
            Ok(server) => Ok(Self { server: server? }),
            Err(_) => Err(Error::Interrupted),
        }
    }

    /// One server with default options for all tests of this process; it lives until the process ends.
    ///
    /// # Errors
    /// As [`Hapi::start`]; the next call tries again.
    pub async fn shared() -> Result<&'static Self, Error> {
        static SHARED: tokio::sync::OnceCell<Hapi> = tokio::sync::OnceCell::const_new();
        SHARED.get_or_try_init(|| Self::start(Options::default())).await
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

//! A proxy that is measured: a process of its own on the cores it is given.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fireguard_test_support::hapi::terminate;
use fireguard_test_support::repository;
use tokio_rustls::TlsConnector;

use super::certificate::Certificate;
use super::usage::{self, Usage};
use crate::bench::load::Target;
use crate::error::Error;

/// How long a proxy may take to listen.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// What all proxies are told alike.
#[derive(Debug, Clone, Copy)]
pub(super) struct Front<'a> {
    /// The server behind it.
    pub(super) upstream: SocketAddr,
    /// The cores it may run on, as `taskset` writes them.
    pub(super) cores: &'a str,
    /// Threads or processes that serve.
    pub(super) workers: usize,
    /// Serve TLS with it.
    pub(super) certificate: Option<&'a Certificate>,
    /// Write a line for each request.
    pub(super) access_log: bool,
    /// Turn the server's addresses in bodies into the client's.
    pub(super) rewrite: bool,
}

impl<'a> Front<'a> {
    /// One worker on core 0 that passes on what it is given.
    pub(super) fn plain(upstream: SocketAddr) -> Self {
        Self { upstream, cores: "0", workers: 1, certificate: None, access_log: false, rewrite: false }
    }

    /// The certificate's client side, if there is one.
    fn connector(&self) -> Option<TlsConnector> {
        self.certificate.map(|certificate| certificate.connector.clone())
    }
}

/// A running proxy; dropped, it is killed.
pub(super) struct Proxy {
    child: Child,
    /// Where it listens.
    pub(super) target: Target,
}

impl Proxy {
    /// Runs a command on the front's cores, and waits until it listens.
    ///
    /// # Errors
    /// It ends, or is too slow; its log says why.
    pub(super) fn start(
        name: &str,
        address: SocketAddr,
        front: &Front<'_>,
        command: &Command,
    ) -> Result<Self, Error> {
        let log = folder()?.join(format!("{name}.log"));
        let stderr = File::create(&log).map_err(Error::io(log.display().to_string()))?;
        let mut pinned = Command::new("taskset");
        pinned.args(["--cpu-list", front.cores]).arg(command.get_program()).args(command.get_args());
        pinned.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        pinned.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let child = pinned.spawn().map_err(Error::io("starting taskset (package util-linux)"))?;
        let mut proxy = Self { child, target: Target { address, tls: front.connector() } };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = proxy.child.try_wait().map_err(Error::io("waiting for a proxy"))?;
            if ended.is_some() || began.elapsed() > READY_WITHIN {
                return Err(Error::Usage(format!("{name} does not listen: {}", log.display())));
            }
            std::thread::yield_now();
        }
        Ok(proxy)
    }

    /// Processor time of all its threads so far.
    ///
    /// # Errors
    /// It has ended.
    pub(super) fn usage(&self) -> Result<Usage, Error> {
        usage::of(self.child.id())
    }

    /// Its memory, in megabytes.
    ///
    /// # Errors
    /// It has ended.
    pub(super) fn memory(&self) -> Result<f64, Error> {
        usage::memory(self.child.id())
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub(super) fn stop(mut self) -> Result<(), Error> {
        terminate(self.child.id(), false);
        self.child.wait().map(drop).map_err(Error::io("waiting for a proxy"))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Free a moment ago; nobody else on this machine is after it.
///
/// # Errors
/// None is free.
pub(super) fn free_address() -> Result<SocketAddr, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(Error::io("looking for a free port"))?;
    listener.local_addr().map_err(Error::io("looking for a free port"))
}

/// Where benchmarks write: `target/bench`.
///
/// # Errors
/// It cannot be made.
pub(super) fn folder() -> Result<PathBuf, Error> {
    let folder = repository::target().join("bench");
    fs::create_dir_all(&folder).map_err(Error::io("creating target/bench"))?;
    Ok(folder)
}

/// Waits until no other benchmark runs: they would be in each other's way, and write the same files.
///
/// # Errors
/// The file that stands for it cannot be made.
pub(super) fn alone() -> Result<File, Error> {
    let path = folder()?.join("lock");
    let file = File::create(&path).map_err(Error::io(path.display().to_string()))?;
    file.lock().map_err(Error::io("waiting for another benchmark"))?;
    Ok(file)
}

/// Writes a file there.
///
/// # Errors
/// It cannot be written.
pub(super) fn write(name: &str, text: &str) -> Result<PathBuf, Error> {
    let file = folder()?.join(name);
    fs::write(&file, text).map_err(Error::io(file.display().to_string()))?;
    Ok(file)
}

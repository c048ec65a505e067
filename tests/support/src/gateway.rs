//! A Fireguard as its users run it: the binary, with a configuration file.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

use crate::repository;

/// How long it may take until it serves; compiling plugins is in it.
const READY_WITHIN: Duration = Duration::from_secs(240);
/// How long a line of the log may take, on a machine that does much else.
#[cfg(feature = "async")]
const LOGGED_WITHIN: Duration = Duration::from_secs(60);

/// Why there is no Fireguard.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Cargo did not build it.
    #[error("the binary `fireguard` does not build")]
    Build,
    /// A file or process could not be handled.
    #[error("{0}: {1}")]
    Io(&'static str, #[source] std::io::Error),
    /// It ended at once, or did not say in time that it serves.
    #[error("fireguard does not serve:\n{0}")]
    NotServing(String),
}

/// A running Fireguard. Dropping it kills it.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    listen: String,
    admin: String,
    log: PathBuf,
}

/// Builds the binary, once in a process, and tells where it is.
///
/// # Errors
/// It does not build.
pub fn binary() -> Result<PathBuf, Error> {
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(path) = &*built {
        return Ok(path.clone());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", "fireguard"]).current_dir(repository::root());
    let status = command.status().map_err(|e| Error::Io("starting cargo", e))?;
    if !status.success() {
        return Err(Error::Build);
    }
    Ok(built.insert(repository::target().join("debug/fireguard")).clone())
}

impl Gateway {
    /// Writes `config` into a new folder under `target/gateway`, runs Fireguard with it and waits until it
    /// serves. Let the configuration listen on port 0 twice; paths in it are best absolute.
    ///
    /// # Errors
    /// It does not build, or does not serve.
    pub fn start(config: &str) -> Result<Self, Error> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = repository::target().join(format!("gateway/{}-{number}", std::process::id()));
        Self::start_in(&folder, config)
    }

    /// The same with a folder of the caller's choice.
    ///
    /// # Errors
    /// As [`Gateway::start`].
    pub fn start_in(folder: &Path, config: &str) -> Result<Self, Error> {
        let binary = binary()?;
        fs::create_dir_all(folder).map_err(|e| Error::Io("creating a folder", e))?;
        let file = folder.join("fireguard.toml");
        fs::write(&file, config).map_err(|e| Error::Io("writing the configuration", e))?;
        let log = folder.join("log.ndjson");
        let stderr = File::create(&log).map_err(|e| Error::Io("creating the log", e))?;
        let child = Command::new(binary)
            .args(["run", "--dev", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            .process_group(0)
            .spawn()
            .map_err(|e| Error::Io("starting fireguard", e))?;
        let mut gateway = Self { child, listen: String::new(), admin: String::new(), log };
        gateway.wait_until_serving()?;
        Ok(gateway)
    }

    /// `http://address:port` of the listener, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// Address and port of the listener.
    pub fn listen(&self) -> &str {
        &self.listen
    }

    /// `http://address:port` of the admin listener.
    pub fn admin_url(&self) -> String {
        format!("http://{}", self.admin)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The log's lines so far. Lines of requests are written a moment after the answer: [`Self::logged`] waits.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The log, as soon as it holds this text.
    ///
    /// # Panics
    /// It does not come.
    #[cfg(feature = "async")]
    pub async fn logged(&self, text: &str) -> String {
        let begin = Instant::now();
        loop {
            let log = self.log();
            if log.contains(text) {
                return log;
            }
            assert!(begin.elapsed() < LOGGED_WITHIN, "the log does not say {text:?}:\n{log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks it to stop, as a service manager does, and waits until it has.
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub fn stop(mut self) -> Result<ExitStatus, Error> {
        self.terminate();
        self.child.wait().map_err(|e| Error::Io("waiting for fireguard", e))
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        Self::signal(self.child.id(), Signal::TERM);
    }

    /// Asks it to read its configuration again.
    pub fn hang_up(&self) {
        Self::signal(self.child.id(), Signal::HUP);
    }

    /// Asks the process of this id, which is this one or one of its successors, to start a successor. The line in
    /// the log says when it serves, and its process id.
    pub fn succeed(pid: u32) {
        Self::signal(pid, Signal::USR2);
    }

    /// Where it was started: its configuration is `fireguard.toml`.
    pub fn folder(&self) -> &Path {
        self.log.parent().unwrap_or(Path::new("."))
    }

    fn signal(pid: u32, signal: Signal) {
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    fn wait_until_serving(&mut self) -> Result<(), Error> {
        let begin = Instant::now();
        loop {
            let log = File::open(&self.log).map_err(|e| Error::Io("reading the log", e))?;
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
                if line["message"] == "serving" {
                    self.listen = line["listen"].as_str().unwrap_or_default().to_owned();
                    self.admin = line["admin"].as_str().unwrap_or_default().to_owned();
                    return Ok(());
                }
            }
            let ended = self.child.try_wait().map_err(|e| Error::Io("waiting for fireguard", e))?;
            if ended.is_some() || begin.elapsed() > READY_WITHIN {
                return Err(Error::NotServing(self.log()));
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "no runtime here, and the condition is asked again"
            )]
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Its successors are of its group.
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

//! A PostgreSQL for one HAPI: its own data folder, its own port, no root and nothing installed.
//!
//! PostgreSQL refuses to run as root; root runs it as `nobody`. Over TCP only HAPI's role reaches only HAPI's
//! database, so that other users of the machine find test data at the most.

mod detached;
mod setup;

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::{Error, command_line, directory};

pub use detached::DetachedPostgres;

/// Includes the recovery after a crash.
const READY_WITHIN: Duration = Duration::from_secs(60);
const LEAVE_WITHIN: Duration = Duration::from_secs(15);
/// A port that was free when it was looked for may be taken a moment later.
const PORTS: usize = 3;

/// Starts the server, and lets it leave at once when standard input ends: that is when the process that holds the
/// other end is gone, however it went.
const LIFELINE: &str =
    r#"exec 3<&0; "$@" </dev/null & server=$!; (cat <&3 >/dev/null; kill -QUIT $server) & wait $server"#;

/// A running PostgreSQL. Dropping it ends it and removes its data.
#[derive(Debug)]
pub struct Postgres {
    child: Child,
    port: u16,
    /// Holds the data folder.
    folder: PathBuf,
}

impl Postgres {
    /// Starts one with an empty database that ends with this process. Without `fsync` it is faster, and a crash of
    /// the machine may lose what was committed.
    ///
    /// # Errors
    /// It cannot be installed, set up or started.
    pub fn start(fsync: bool, progress: &dyn Fn(&str)) -> Result<Self, Error> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let programs = crate::install::postgres(progress)?;
        let all = directory().join("postgres");
        remove_abandoned(&all);
        let name = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = all.join(&name);
        let data = folder.join("data");
        let log = directory().join(format!("logs/{name}.postgres.log"));
        setup::create(&programs, &data, &log)?;
        let (child, port) = start_on_a_free_port(&programs, &data, &log, fsync, true)?;
        Ok(Self { child, port, folder })
    }

    /// HAPI's settings for this database.
    pub fn settings(&self) -> Vec<(String, String)> {
        settings(self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let group = Pid::from_child(&self.child);
        drop(self.child.stdin.take());
        if !left(|| matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))) {
            let _ = kill_process_group(group, Signal::KILL);
            let _ = self.child.wait();
        }
        // What cannot be removed only takes room, until the next start.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn settings(port: u16) -> Vec<(String, String)> {
    let url = format!("jdbc:postgresql://127.0.0.1:{port}/{}", setup::DATABASE);
    [("jdbc.url", url), ("jdbc.user", setup::ROLE.to_owned())]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
}

fn start_on_a_free_port(
    programs: &Path,
    data: &Path,
    log: &Path,
    fsync: bool,
    lifeline: bool,
) -> Result<(Child, u16), Error> {
    for _ in 1..PORTS {
        match start_once(programs, data, log, fsync, lifeline) {
            Err(Error::Database { reason, .. }) if reason.contains("could not bind") => {}
            other => return other,
        }
    }
    start_once(programs, data, log, fsync, lifeline)
}

fn start_once(
    programs: &Path,
    data: &Path,
    log: &Path,
    fsync: bool,
    lifeline: bool,
) -> Result<(Child, u16), Error> {
    let port = free_port().map_err(Error::io("looking for a free port"))?;
    let server = programs.join("bin/postgres");
    let mut command = if lifeline {
        let mut shell = Command::new("sh");
        shell.args(["-c", LIFELINE, "sh"]).arg(&server).stdin(Stdio::piped());
        shell
    } else {
        let mut plain = Command::new(&server);
        plain.stdin(Stdio::null());
        plain
    };
    command.arg("-D").arg(data);
    // TCP on loopback only; the log goes to standard error, which is a file.
    command.args(["-c", "listen_addresses=127.0.0.1", "-c", &format!("port={port}")]);
    command.args(["-c", "unix_socket_directories=", "-c", "logging_collector=off"]);
    if !fsync {
        command.args(["-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off"]);
    }
    let output = File::create(log).map_err(Error::io(log.display().to_string()))?;
    setup::as_unprivileged(&mut command, data);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(output)
        .process_group(0)
        .spawn()
        .map_err(Error::io(format!("starting {}", server.display())))?;
    match wait_until_ready(&mut child, log) {
        Ok(()) => Ok((child, port)),
        Err(error) => {
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            let _ = child.wait();
            Err(error)
        }
    }
}

fn wait_until_ready(child: &mut Child, log: &Path) -> Result<(), Error> {
    let begin = Instant::now();
    loop {
        // PostgreSQL speaks the language of its data folder, which is English.
        let text = fs::read_to_string(log).unwrap_or_default();
        if text.contains("database system is ready to accept connections") {
            return Ok(());
        }
        let ended = child.try_wait().map_err(Error::io("waiting for PostgreSQL"))?;
        if let Some(status) = ended {
            return Err(failed(log, status));
        }
        if begin.elapsed() > READY_WITHIN {
            let reason = format!("it was not ready within {} s", READY_WITHIN.as_secs());
            return Err(Error::Database { reason, log: log.to_owned() });
        }
        pause();
    }
}

/// What the log says of a failure.
fn failed(log: &Path, status: ExitStatus) -> Error {
    let text = fs::read_to_string(log).unwrap_or_default();
    let telling = |mark: &str| text.lines().find(|line| line.contains(mark));
    let line = ["could not bind", "FATAL", "PANIC", "ERROR", "error"].iter().find_map(|mark| telling(mark));
    let line = line.or_else(|| text.lines().last()).unwrap_or("it says nothing");
    Error::Database { reason: format!("{line} ({status})"), log: log.to_owned() }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Folders of processes that could not clean up.
fn remove_abandoned(all: &Path) {
    for entry in fs::read_dir(all).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.split('-').next()?.parse().ok());
        if owner.is_some_and(|pid| command_line(pid).is_none()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Asks until it is so; false: it took too long.
fn left(mut gone: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    while !gone() {
        if begin.elapsed() > LEAVE_WITHIN {
            return false;
        }
        pause();
    }
    true
}

#[expect(clippy::disallowed_methods, reason = "no runtime here, and the condition is asked again")]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

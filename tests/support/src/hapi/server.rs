//! One server process.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::{Error, Options, Package, directory};

/// A running server, for callers without an async runtime. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    /// None once it was detached or has finished.
    child: Option<Child>,
    base: String,
    log: PathBuf,
}

impl Server {
    /// Starts a server that ends with this process, and waits until it answers.
    ///
    /// # Errors
    /// It could not be started, ended too early, or took too long.
    pub fn start(package: &Package, options: &Options) -> Result<Self, Error> {
        Self::start_with(package, options, &[])
    }

    /// Starts a server that stays when this process ends, and returns it with its process id.
    /// `work` is a folder of its own, by which [`command_line`] tells it from a later process of that id.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_detached(package: &Package, options: &Options, work: &Path) -> Result<(String, u32), Error> {
        let mut command = java(package, options, &[]);
        command.arg(format!("work={}", work.display())).stdin(Stdio::null());
        let mut server = Self::spawn(command, options)?;
        let pid = server.child.take().map_or(0, |child| child.id());
        Ok((std::mem::take(&mut server.base), pid))
    }

    pub(super) fn start_with(package: &Package, options: &Options, flags: &[String]) -> Result<Self, Error> {
        let mut command = java(package, options, flags);
        command
            .arg(format!("work={}", directory().join("tomcat").display()))
            // The pipe closes with this process, however it ends; then the server leaves.
            .arg("lifeline=stdin")
            .stdin(Stdio::piped());
        Self::spawn(command, options)
    }

    /// Lets the server leave in good order, as a JVM must that is to write its archive.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        drop(child.stdin.take());
        let status = child.wait().map_err(Error::io("waiting for HAPI to leave"))?;
        if status.success() { Ok(()) } else { Err(ended(&self.log, status.to_string())) }
    }

    /// The FHIR base without a slash at its end.
    pub fn base_url(&self) -> &str {
        &self.base
    }

    /// Sends a signal to the server's whole group, because `java` may be a script of a version manager.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            let _ = kill_process_group(Pid::from_child(child), signal);
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// The log file.
    pub fn log(&self) -> &Path {
        &self.log
    }

    fn spawn(mut command: Command, options: &Options) -> Result<Self, Error> {
        let log = options.log.clone().unwrap_or_else(new_log);
        if let Some(logs) = log.parent() {
            fs::create_dir_all(logs).map_err(Error::io("creating the log's folder"))?;
        }
        let stderr = File::create(&log).map_err(Error::io(log.display().to_string()))?;
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(stderr)
            // A group of its own: Ctrl-C at the terminal is for whoever started us, and we can end it whole.
            .process_group(0)
            .spawn()
            .map_err(|e| Error::Jdk(format!("java does not start: {e}")))?;
        let stdout = child.stdout.take();
        let mut server = Self { child: Some(child), base: String::new(), log };
        server.base = server.wait_until_ready(stdout, options.ready_within)?;
        Ok(server)
    }

    fn wait_until_ready(&mut self, stdout: Option<ChildStdout>, within: Duration) -> Result<String, Error> {
        let (ready, wait) = mpsc::channel();
        if let Some(stdout) = stdout {
            std::thread::spawn(move || {
                // Read to the end, so that the server never writes into a closed pipe.
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if let Some(base) = base_of(&line) {
                        let _ = ready.send(base);
                    }
                }
            });
        }
        match wait.recv_timeout(within) {
            Ok(base) => Ok(base),
            Err(RecvTimeoutError::Timeout) => {
                Err(Error::Slow { seconds: within.as_secs(), log: self.log.clone() })
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.child.as_mut().map(Child::wait);
                let status = match status {
                    Some(Ok(status)) => status.to_string(),
                    _ => "status unknown".to_owned(),
                };
                Err(ended(&self.log, status))
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }
}

/// The port in a base URL, which our servers always name.
pub fn port_of(base: &str) -> u16 {
    let port = base.split(':').nth(2).and_then(|rest| rest.split('/').next()?.parse().ok());
    port.unwrap_or_default()
}

/// The command line of a process, its arguments joined by blanks; none: there is no such process.
pub fn command_line(pid: u32) -> Option<String> {
    let text = if Path::new("/proc/self/cmdline").exists() {
        String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/cmdline")).ok()?).replace('\0', " ")
    } else {
        let output = Command::new("ps").args(["-o", "args=", "-p", &pid.to_string()]).output().ok()?;
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    (!text.trim().is_empty()).then_some(text)
}

/// Asks a process to leave, or with `force` ends it. One that is gone already is no error.
pub fn terminate(pid: u32, force: bool) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, if force { Signal::KILL } else { Signal::TERM });
    }
}

fn java(package: &Package, options: &Options, flags: &[String]) -> Command {
    let mut command = Command::new(&package.java);
    // The JVM's own warnings belong into the log; standard output is for the ready line.
    command.args(["-Xlog:disable", "-Xlog:all=warning:stderr", "-XX:+UseSerialGC"]);
    command.arg(format!("-Xmx{}", options.heap));
    if !options.full_jit {
        command.arg("-XX:TieredStopAtLevel=1");
    }
    if !options.jobs {
        command.arg("-Dscheduling_disabled=true");
    }
    if let Some(archive) = &package.archive {
        command.arg(format!("-XX:SharedArchiveFile={}", archive.display()));
    }
    command.args(flags).arg("-jar").arg(&package.jar).arg(format!("port={}", options.port));
    command.args(options.settings.iter().map(|(name, value)| format!("{name}={value}")));
    command
}

/// The base in the ready line; none: it is some other line.
fn base_of(line: &str) -> Option<String> {
    let ready: serde_json::Value = serde_json::from_str(line).ok()?;
    if ready["ready"] != true {
        return None;
    }
    ready["base"].as_str().map(str::to_owned)
}

fn new_log() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    directory().join(format!("logs/{}-{number}.log", std::process::id()))
}

fn ended(log: &Path, status: String) -> Error {
    let text = fs::read_to_string(log).unwrap_or_default();
    // The innermost cause stands last in a Java stack trace.
    let telling = |mark: &str| text.lines().rev().find(|line| line.contains(mark));
    let reason = telling("fireguard-hapi: ")
        .or_else(|| telling("Caused by: "))
        .or_else(|| telling("Exception"))
        .or_else(|| text.lines().rev().find(|line| !line.trim().is_empty()))
        .unwrap_or("it says nothing");
    Error::Ended { status, reason: reason.trim().to_owned(), log: log.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ready_line_is_taken() {
        let ready = r#"{"ready":true,"base":"http://127.0.0.1:1/fhir","pid":2,"millis":3}"#;
        assert_eq!(base_of(ready).as_deref(), Some("http://127.0.0.1:1/fhir"));
        assert_eq!(base_of(r#"{"ready":false,"base":"x"}"#), None);
        assert_eq!(base_of("[warning][cds] …"), None);
    }

    #[test]
    fn a_process_is_known_by_its_command_line() {
        assert!(command_line(std::process::id()).is_some());
        // Above the largest id that Linux gives.
        assert_eq!(command_line(4_194_305), None);
    }
}

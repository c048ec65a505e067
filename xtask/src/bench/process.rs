//! The proxies that are measured: processes of their own on core 0, with one worker.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fireguard_test_support::repository;

use crate::error::Error;

/// How long a proxy may take to listen.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// A running proxy; dropped, it is killed.
pub(super) struct Proxy {
    child: Child,
    /// Where it listens.
    pub(super) address: SocketAddr,
}

impl Proxy {
    /// Fireguard before this server.
    pub(super) fn fireguard(upstream: SocketAddr, access_log: bool) -> Result<Self, Error> {
        let (address, admin) = (free_address()?, free_address()?);
        let level = if access_log { "info" } else { "error" };
        let config = format!(
            "[server]\nlisten = \"{address}\"\nworkers = 1\n[admin]\nlisten = \"{admin}\"\n\
             [log]\nlevel = \"{level}\"\n[upstreams.hapi]\nurl = \"http://{upstream}/fhir\"\n\
             [routes.fhir]\npath = \"/fhir\"\nupstream = \"hapi\"\n"
        );
        let file = write("fireguard.toml", &config)?;
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", "0"]).arg(repository::target().join("dist/fireguard"));
        command.args(["run", "--config"]).arg(file);
        Self::start(command, address, "fireguard.log")
    }

    /// nginx before this server; none: it is not installed.
    pub(super) fn nginx(upstream: SocketAddr, access_log: bool) -> Result<Option<Self>, Error> {
        let installed = Command::new("nginx").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !installed.is_ok_and(|status| status.success()) {
            return Ok(None);
        }
        let address = free_address()?;
        let folder = folder()?.display().to_string();
        let log = if access_log { format!("{folder}/nginx-access.log") } else { "off".to_owned() };
        let config = format!(
            "worker_processes 1;\ndaemon off;\nmaster_process off;\npid {folder}/nginx.pid;\n\
             error_log {folder}/nginx-error.log error;\nevents {{ worker_connections 1024; }}\n\
             http {{\n  access_log {log};\n  keepalive_requests 1000000000;\n  client_body_temp_path {folder};\n  \
             proxy_temp_path {folder};\n  fastcgi_temp_path {folder};\n  uwsgi_temp_path {folder};\n  \
             scgi_temp_path {folder};\n  \
             upstream hapi {{ server {upstream}; keepalive 128; keepalive_requests 1000000000; }}\n  \
             server {{\n    listen {address};\n    location / {{\n      proxy_pass http://hapi;\n      \
             proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n    }}\n  }}\n}}\n"
        );
        let file = write("nginx.conf", &config)?;
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", "0", "nginx", "-c"]).arg(file);
        Self::start(command, address, "nginx.log").map(Some)
    }

    /// Processor time of all its threads so far, in seconds (the first number of `schedstat`, nanoseconds).
    pub(super) fn cpu(&self) -> Result<f64, Error> {
        let tasks = format!("/proc/{}/task", self.child.id());
        let mut nanoseconds = 0_u64;
        for task in fs::read_dir(&tasks).map_err(Error::io(tasks.clone()))? {
            let path = task.map_err(Error::io(tasks.clone()))?.path().join("schedstat");
            let text = fs::read_to_string(&path).map_err(Error::io(path.display().to_string()))?;
            nanoseconds += text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(nanoseconds as f64 / 1e9)
    }

    fn start(mut command: Command, address: SocketAddr, log: &str) -> Result<Self, Error> {
        let log = folder()?.join(log);
        let stderr = File::create(&log).map_err(Error::io(log.display().to_string()))?;
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let child = command.spawn().map_err(Error::io("starting taskset (package util-linux)"))?;
        let mut proxy = Self { child, address };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = proxy.child.try_wait().map_err(Error::io("waiting for a proxy"))?;
            if ended.is_some() || began.elapsed() > READY_WITHIN {
                return Err(Error::Usage(format!("a proxy does not listen: {}", log.display())));
            }
            std::thread::yield_now();
        }
        Ok(proxy)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Free a moment ago; nobody else on this machine is after it.
fn free_address() -> Result<SocketAddr, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(Error::io("looking for a free port"))?;
    listener.local_addr().map_err(Error::io("looking for a free port"))
}

fn folder() -> Result<std::path::PathBuf, Error> {
    let folder = repository::target().join("bench");
    fs::create_dir_all(&folder).map_err(Error::io("creating target/bench"))?;
    Ok(folder)
}

fn write(name: &str, text: &str) -> Result<impl AsRef<Path> + AsRef<std::ffi::OsStr>, Error> {
    let file = folder()?.join(name);
    fs::write(&file, text).map_err(Error::io(file.display().to_string()))?;
    Ok(file)
}

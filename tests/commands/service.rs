//! As a service: what the manager is told, and sockets that it opens.

use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use fireguard_test_support::gateway::binary;
use rustix::process::{Pid, Signal, kill_process};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ends with the test.
struct Process(Child);

impl Process {
    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.unwrap(), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `fireguard run` before a server that is not there, in `folder`.
fn command(folder: &std::path::Path) -> Command {
    let config = "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 2\n[admin]\nlisten = \"127.0.0.1:0\"\n\
                  [upstreams.hapi]\nurl = \"http://127.0.0.1:9/fhir\"\n\
                  [routes.fhir]\npath = \"/fhir\"\nupstream = \"hapi\"\nauthentication = \"none\"\n";
    std::fs::write(folder.join("fireguard.toml"), config).unwrap();
    let mut command = Command::new(binary().unwrap());
    command.arg("run").current_dir(folder).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn the_manager_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let address = folder.path().join("notify");
    let manager = UnixDatagram::bind(&address).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = command(folder.path());
    let process = command.env("NOTIFY_SOCKET", &address).env("WATCHDOG_USEC", "4000000").spawn().unwrap();
    let mut process = Process(process);
    let told = |wanted: &str| {
        let mut bytes = [0; 1024];
        loop {
            let length = manager.recv(&mut bytes).unwrap();
            let message = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if message.lines().any(|line| line == wanted) {
                return message;
            }
        }
    };
    told("READY=1");
    process.signal(Signal::HUP);
    assert!(told("RELOADING=1").contains("MONOTONIC_USEC="));
    told("READY=1");
    // The first comes at once; for the second every core must have gone on.
    told("WATCHDOG=1");
    process.signal(Signal::USR2);
    let message = told("READY=1");
    let successor: u32 = match message.lines().find_map(|line| line.strip_prefix("MAINPID=")) {
        Some(pid) => pid.parse().unwrap(),
        // The successor has said the same before.
        None => {
            told("READY=1").lines().find_map(|line| line.strip_prefix("MAINPID=")).unwrap().parse().unwrap()
        }
    };
    assert_eq!(process.0.wait().unwrap().code(), Some(0));
    kill_process(Pid::from_raw(successor as i32).unwrap(), Signal::TERM).unwrap();
    told("STOPPING=1");
}

#[tokio::test]
async fn sockets_of_the_manager_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let (clients, admin) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let url = |socket: &TcpListener, path: &str| format!("http://{}{path}", socket.local_addr().unwrap());
    // Who connects before it runs is answered when it does.
    let early = tokio::spawn(reqwest::get(url(&clients, "/nowhere")));
    let mut command = command(folder.path());
    command.env("LISTEN_FDS", "2").env("LISTEN_FDNAMES", "clients:admin");
    let passed = [clients.try_clone().unwrap(), admin.try_clone().unwrap()];
    let mappings =
        (3..).zip(passed).map(|(child_fd, socket)| FdMapping { parent_fd: socket.into(), child_fd });
    let _process = Process(command.fd_mappings(mappings.collect()).unwrap().spawn().unwrap());
    let early = tokio::time::timeout(PATIENCE, early).await.unwrap().unwrap().unwrap();
    assert_eq!(early.status(), 404);
    assert_eq!(reqwest::get(url(&admin, "/live")).await.unwrap().text().await.unwrap(), "live\n");
}

//! The process after this one: the same command once more, with the sockets of this one.

use std::env;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use tokio::process::{Child, Command};
use tokio::time::sleep;

use super::sockets::{ADMIN, PREDECESSOR, SERVING, Sockets};

/// How long it may take until it serves; compiling plugins is in it.
const PATIENCE: Duration = Duration::from_secs(120);
/// The first descriptor that is passed on (`sd_listen_fds(3)`).
const FIRST: i32 = 3;

/// How to start a successor.
pub struct Succession {
    /// Taken at the start: later this file may have been replaced, which is what a successor is for.
    binary: PathBuf,
}

/// A successor that serves.
pub struct Successor {
    /// Its process id.
    pub pid: u32,
}

/// Why there is no successor; this process goes on.
#[derive(Debug, thiserror::Error)]
pub enum NoSuccessor {
    /// It was not started.
    #[error("it cannot be started")]
    Start(#[from] io::Error),
    /// It ended; its log says why.
    #[error("it ended before it served ({0})")]
    Ended(ExitStatus),
    /// It took too long, and was killed.
    #[error("it did not serve within {} s", PATIENCE.as_secs())]
    TooLong,
    /// This process was told to stop meanwhile; the successor was killed.
    #[error("this process stops")]
    NoNeed,
}

impl Succession {
    /// Of this process.
    ///
    /// # Errors
    /// The system does not say which file this is.
    pub fn new() -> io::Result<Self> {
        Ok(Self { binary: env::current_exe()? })
    }

    /// Starts a successor with these sockets, and waits until it serves or there is no need for it.
    ///
    /// # Errors
    /// It does not serve; it is gone.
    pub async fn start(
        &self,
        sockets: &Sockets,
        no_need: impl Future<Output = ()>,
    ) -> Result<Successor, NoSuccessor> {
        let (ours, theirs) = UnixDatagram::pair()?;
        let mut names = Vec::new();
        let mut passed: Vec<OwnedFd> = Vec::new();
        for client in &sockets.clients {
            names.push("clients");
            passed.push(client.try_clone()?.into());
        }
        names.extend([ADMIN, PREDECESSOR]);
        passed.extend([sockets.admin.try_clone()?.into(), theirs.into()]);
        let mut command = std::process::Command::new(&self.binary);
        command
            .args(env::args_os().skip(1))
            .env("LISTEN_FDS", passed.len().to_string())
            .env("LISTEN_FDNAMES", names.join(":"))
            // Which it will be is not known before; without them it is whoever reads them.
            .env_remove("LISTEN_PID")
            .env_remove("WATCHDOG_PID");
        let mappings = (FIRST..).zip(passed).map(|(child_fd, parent_fd)| FdMapping { parent_fd, child_fd });
        command.fd_mappings(mappings.collect()).map_err(io::Error::other)?;
        let mut child = Command::from(command).spawn()?;
        ours.set_nonblocking(true)?;
        let ours = tokio::net::UnixDatagram::from_std(ours)?;
        let reason = tokio::select! {
            serves = serves(&mut child, &ours) => return serves,
            () = sleep(PATIENCE) => NoSuccessor::TooLong,
            () = no_need => NoSuccessor::NoNeed,
        };
        child.kill().await?;
        Err(reason)
    }
}

async fn serves(child: &mut Child, ours: &tokio::net::UnixDatagram) -> Result<Successor, NoSuccessor> {
    let pid = child.id().unwrap_or_default();
    let mut said = [0; SERVING.len()];
    tokio::select! {
        biased;
        length = ours.recv(&mut said) => match said.get(..length?) {
            Some(SERVING) => Ok(Successor { pid }),
            _ => Err(io::Error::from(io::ErrorKind::InvalidData).into()),
        },
        ended = child.wait() => Err(NoSuccessor::Ended(ended?)),
    }
}

//! The listening sockets: opened here, or passed on by a service manager or by the process before this one.
//!
//! They outlive the process that opened them. A socket that is closed takes the connections in its queue with it,
//! so a successor gets the sockets themselves and opens none.

use std::env;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;

use listenfd::ListenFd;
use socket2::{Domain, Protocol, Socket, Type};

/// The names of passed sockets (`FileDescriptorName=` of a systemd socket unit); others are for clients.
pub(super) const ADMIN: &str = "admin";
/// Where a successor says that it serves.
pub(super) const PREDECESSOR: &str = "predecessor";
/// What it says there.
pub(super) const SERVING: &[u8] = b"serving";

/// The listening sockets of this process.
pub struct Sockets {
    /// For clients: one for each core, or as many as were passed on.
    pub clients: Vec<TcpListener>,
    /// For health and metrics.
    pub admin: TcpListener,
    /// The process before this one.
    predecessor: Option<UnixDatagram>,
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The address cannot be listened on.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// What was passed on is no such socket.
    #[error("socket {name:?}, which this process was started with, cannot be used")]
    Passed {
        /// Its name in `LISTEN_FDNAMES`.
        name: String,
        /// What the system says.
        source: io::Error,
    },
}

impl Sockets {
    /// Takes those that this process was started with (`LISTEN_FDS`), and opens what is missing: for clients one
    /// for each of `workers` cores.
    ///
    /// # Errors
    /// One cannot be used or opened.
    pub fn take_or_open(clients: SocketAddr, workers: usize, admin: SocketAddr) -> Result<Self, SocketError> {
        let passed = Passed::take()?;
        if !passed.clients.is_empty() {
            let addresses = passed.clients.iter().filter_map(|socket| socket.local_addr().ok());
            if let Some(at) = addresses.into_iter().find(|at| !meant(clients, *at)) {
                tracing::warn!(listen = %at, configured = %clients, "the sockets passed on are not those configured");
            }
        }
        let clients = match passed.clients {
            none if none.is_empty() => open(clients, workers)?,
            some => some,
        };
        let admin = passed.admin.map_or_else(|| open_one(admin), Ok)?;
        Ok(Self { clients, admin, predecessor: passed.predecessor })
    }

    /// Whether another process serves until this one does.
    pub fn succeed(&self) -> bool {
        self.predecessor.is_some()
    }

    /// Tells the process before this one that it may stop accepting.
    pub fn serving(&mut self) {
        if let Some(predecessor) = self.predecessor.take()
            && let Err(error) = predecessor.send(SERVING)
        {
            tracing::warn!(%error, "the process before this one does not hear that it is succeeded");
        }
    }
}

/// Sockets on one address for so many cores; the kernel spreads new connections over them.
///
/// # Errors
/// It cannot be listened on, or somebody does.
pub fn open(mut address: SocketAddr, workers: usize) -> Result<Vec<TcpListener>, SocketError> {
    let failed = move |error| SocketError::Listen(address, error);
    alone(address).map_err(failed)?;
    let mut sockets = Vec::new();
    for _ in 0..workers.max(1) {
        let socket = listen(address).map_err(failed)?;
        // With port 0 the first finds a port for all.
        address = socket.local_addr().map_err(failed)?;
        sockets.push(socket);
    }
    Ok(sockets)
}

fn open_one(address: SocketAddr) -> Result<TcpListener, SocketError> {
    let failed = |error| SocketError::Listen(address, error);
    let socket = TcpListener::bind(address).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    Ok(socket)
}

/// The cores share their address; another process, a second Fireguard for instance, would share it as well and
/// take half of the connections. So whether anybody listens is asked without sharing first.
fn alone(address: SocketAddr) -> io::Result<()> {
    if address.port() == 0 {
        return Ok(());
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

/// Whether a socket at `at` is one that the configuration asks for; port 0 asks for any.
fn meant(configured: SocketAddr, at: SocketAddr) -> bool {
    configured.ip() == at.ip() && (configured.port() == 0 || configured.port() == at.port())
}

#[derive(Default)]
struct Passed {
    clients: Vec<TcpListener>,
    admin: Option<TcpListener>,
    predecessor: Option<UnixDatagram>,
}

impl Passed {
    fn take() -> Result<Self, SocketError> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut sockets = ListenFd::from_env();
        let mut passed = Self::default();
        for index in 0..sockets.len() {
            let name = names.next().unwrap_or_default();
            let failed = |source| SocketError::Passed { name: name.to_owned(), source };
            if name == PREDECESSOR {
                passed.predecessor = sockets.take_unix_datagram(index).map_err(failed)?;
                continue;
            }
            let Some(socket) = sockets.take_tcp_listener(index).map_err(failed)? else { continue };
            socket.set_nonblocking(true).map_err(failed)?;
            match name {
                ADMIN => passed.admin = Some(socket),
                _ => passed.clients.push(socket),
            }
        }
        Ok(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_0_means_any_port() {
        for (configured, at, expected) in [
            ("127.0.0.1:0", "127.0.0.1:4711", true),
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("0.0.0.0:80", "127.0.0.1:80", false),
        ] {
            assert_eq!(
                meant(configured.parse().unwrap(), at.parse().unwrap()),
                expected,
                "{configured} {at}"
            );
        }
    }

    #[test]
    fn cores_share_one_port_and_nobody_else_does() {
        let sockets = open("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let address = sockets[0].local_addr().unwrap();
        assert!(sockets.iter().all(|socket| socket.local_addr().unwrap() == address));
        assert!(matches!(open(address, 1), Err(SocketError::Listen(at, _)) if at == address));
    }
}

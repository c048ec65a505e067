//! Serving: one single-threaded runtime on each core, each with a socket of its own on the same address; or one runtime
//! for all cores.

mod admission;
mod connection;
mod framing;
mod lent;
mod live;
mod patience;
mod proxy_protocol;
mod pulse;
mod refused;
mod sockets;
mod standing;
mod successor;
mod tls;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use fireguard_access::authentication::certificate::Certificate;
use futures_util::future::join_all;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use self::pulse::Beat;
use crate::access_log;
use crate::config;
pub use live::Live;
pub use pulse::Pulse;
pub use sockets::{SocketError, Sockets, open};
pub use successor::{NoSuccessor, Succession, Successor};
pub use tls::{TlsError, check as check_tls};

/// A connection as the pipeline sees it.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Who is at the other end of the socket; a trusted balancer's PROXY header has been taken into account.
    pub address: IpAddr,
    /// The client's connection is encrypted.
    pub tls: bool,
    /// The certificate that the client has shown on it; it was checked.
    pub certificate: Option<Arc<Certificate>>,
}

/// The running cores.
pub struct Server {
    address: SocketAddr,
    cores: Vec<JoinHandle<()>>,
    pulse: Pulse,
}

/// Why serving cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No socket.
    #[error("there is no socket to accept connections from")]
    NoSocket,
    /// No thread, no runtime.
    #[error("cannot start a core")]
    Core(#[from] io::Error),
}

impl Server {
    /// Serves what comes in over these sockets until `stop` says true. Every core has one at least; more cores than
    /// sockets share them.
    ///
    /// # Errors
    /// Nothing is served then.
    pub fn start(
        live: &Arc<Live>,
        sockets: &[TcpListener],
        stop: &watch::Receiver<bool>,
    ) -> Result<Self, StartError> {
        let address = sockets.first().ok_or(StartError::NoSocket)?.local_addr()?;
        let mut shares: Vec<Vec<TcpListener>> = Vec::new();
        shares.resize_with(live.cores(), Vec::new);
        for index in 0..shares.len().max(sockets.len()) {
            let core = index % shares.len();
            shares[core].push(sockets[index % sockets.len()].try_clone()?);
        }
        let (mut cores, mut pulse) = (Vec::new(), Pulse::default());
        for (core, listeners) in shares.into_iter().enumerate() {
            let (live, stop, beat) = (Arc::clone(live), stop.clone(), pulse.beat());
            let thread = std::thread::Builder::new().name(format!("core-{core}"));
            cores.push(thread.spawn(move || run_core(core, listeners, live, &stop, beat))?);
        }
        Ok(Self { address, cores, pulse })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the cores go on.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Waits until every core has drained.
    pub fn join(self) {
        for core in self.cores {
            if core.join().is_err() {
                tracing::error!("a core ended by a fault of its own");
            }
        }
    }
}

fn run_core(
    core: usize,
    listeners: Vec<TcpListener>,
    live: Arc<Live>,
    stop: &watch::Receiver<bool>,
    beat: Beat,
) {
    let runtime = match runtime(&live.shared().server) {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "cannot start a runtime"),
    };
    let stop = stop.clone();
    // A task like any other: who waits for it does not work in a shared runtime.
    let served = runtime.spawn(async move {
        let connections = TaskTracker::new();
        let serve = async {
            let accepting = listeners
                .into_iter()
                .map(|listener| accept(core, listener, &live, stop.clone(), &connections));
            join_all(accepting).await;
            connections.close();
            if tokio::time::timeout(live.settings().drain, connections.wait()).await.is_err() {
                tracing::warn!("requests were still running at the end of the drain time");
            }
        };
        tokio::select! {
            () = serve => {}
            () = beat.go_on() => {}
            () = live.tend(core) => {}
        }
    });
    if runtime.block_on(served).is_err() {
        tracing::error!("a core ended by a fault of its own");
    }
}

/// The runtime of one core, or the one of all.
fn runtime(server: &config::Server) -> io::Result<Runtime> {
    match server.runtime {
        config::Runtime::PerCore => {
            Builder::new_current_thread().on_thread_park(access_log::rest).enable_all().build()
        }
        config::Runtime::Shared => Builder::new_multi_thread()
            .worker_threads(server.workers.max(1))
            .thread_name("shared")
            .on_thread_park(access_log::rest)
            .enable_all()
            .build(),
    }
}

async fn accept(
    core: usize,
    listener: TcpListener,
    live: &Arc<Live>,
    mut stop: watch::Receiver<bool>,
    connections: &TaskTracker,
) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "cannot use the listener"),
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stopping| *stopping) => return,
        };
        match accepted {
            Ok((stream, address)) => {
                let work = connection::serve(stream, address.ip(), Arc::clone(live), core, stop.clone());
                connections.spawn(work);
            }
            // Out of descriptors, mostly: others must end before another can begin.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

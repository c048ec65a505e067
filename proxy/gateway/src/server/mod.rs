//! Serving: one single-threaded runtime on each core, each with its own listener on the same address.

mod connection;
mod lent;
mod patience;
mod proxy_protocol;
mod refused;
mod tls;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::pipeline;
use crate::state::Shared;
pub use tls::{TlsError, check as check_tls};

/// A connection as the pipeline sees it.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Who is at the other end of the socket; a trusted balancer's PROXY header has been taken into account.
    pub address: IpAddr,
    /// The client's connection is encrypted.
    pub tls: bool,
}

/// The running cores.
pub struct Server {
    address: SocketAddr,
    cores: Vec<JoinHandle<()>>,
}

/// What a core needs of the configuration.
struct Settings {
    tls: Option<tokio_rustls::TlsAcceptor>,
    patience: patience::Limits,
    drain: Duration,
    refused: refused::Refused,
    builder: Builder<TokioExecutor>,
}

/// Why serving cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The certificate or its key is not usable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No thread, no runtime.
    #[error("cannot start a core")]
    Core(#[source] io::Error),
}

impl Server {
    /// Listens and serves until `stop` says true.
    ///
    /// # Errors
    /// Nothing is served then.
    pub fn start(shared: &Arc<Shared>, stop: &watch::Receiver<bool>) -> Result<Self, StartError> {
        let tls = shared.server.tls.as_ref().map(tls::acceptor).transpose()?;
        let settings = Arc::new(Settings {
            tls,
            patience: patience::Limits {
                head: shared.limits.client_head.0,
                idle: shared.limits.client_idle.0,
                unread: shared.limits.client_unread.0,
            },
            drain: shared.limits.drain.0,
            refused: refused::Refused::default(),
            builder: builder(shared),
        });
        let mut address = shared.server.listen;
        alone(address).map_err(|e| StartError::Listen(address, e))?;
        let mut cores = Vec::new();
        for core in 0..shared.server.workers.max(1) {
            let listener = listen(address).map_err(|e| StartError::Listen(address, e))?;
            // With port 0 the first core finds a port for all.
            address = listener.local_addr().map_err(StartError::Core)?;
            let (settings, shared, stop) = (Arc::clone(&settings), Arc::clone(shared), stop.clone());
            let thread = std::thread::Builder::new().name(format!("core-{core}"));
            let run = move || run_core(listener, &settings, &shared, stop);
            cores.push(thread.spawn(run).map_err(StartError::Core)?);
        }
        Ok(Self { address, cores })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
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

fn builder(shared: &Shared) -> Builder<TokioExecutor> {
    // A head over our own limits arrives, to be refused in FHIR's words; only absurd ones end in hyper's.
    let head_bytes = u32::try_from(shared.limits.request_head.0.saturating_mul(4)).unwrap_or(u32::MAX);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The socket keeps this clock.
        .header_read_timeout(None)
        .max_buf_size((head_bytes as usize).max(64 << 10));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(shared.limits.h2_streams)
        .max_header_list_size(head_bytes);
    builder
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

/// A listener of its own for each core; the kernel spreads new connections over them.
fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    Ok(socket.into())
}

fn run_core(
    listener: std::net::TcpListener,
    settings: &Arc<Settings>,
    shared: &Arc<Shared>,
    stop: watch::Receiver<bool>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "cannot start a runtime"),
    };
    runtime.block_on(accept(listener, settings, shared, stop));
}

async fn accept(
    listener: std::net::TcpListener,
    settings: &Arc<Settings>,
    shared: &Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "cannot use the listener"),
    };
    let pipeline = pipeline::build(shared);
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stopping| *stopping) => break,
        };
        match accepted {
            Ok((stream, address)) => {
                let work = connection::serve(
                    stream,
                    address.ip(),
                    Arc::clone(settings),
                    Arc::clone(shared),
                    pipeline.clone(),
                    stop.clone(),
                );
                connections.spawn(work);
            }
            // Out of descriptors, mostly: others must end before another can begin.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(settings.drain, connections.wait()).await.is_err() {
        tracing::warn!("requests were still running at the end of the drain time");
    }
}

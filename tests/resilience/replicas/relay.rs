//! A way to a server that can be cut and mended, and may be encrypted.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Passes bytes on. Dropping it cuts all connections.
pub(super) struct Relay {
    address: SocketAddr,
    target: SocketAddr,
    tls: Option<TlsAcceptor>,
    passing: JoinSet<()>,
}

impl Relay {
    pub(super) fn to(target: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        let mut relay = Self { address: ([127, 0, 0, 1], 0).into(), target, tls, passing: JoinSet::new() };
        relay.mend();
        relay
    }

    /// Accepts connections, again at the same address.
    pub(super) fn mend(&mut self) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        let listener = socket.listen(128).unwrap();
        self.address = listener.local_addr().unwrap();
        self.passing.spawn(pass(listener, self.target, self.tls.clone()));
    }

    /// Cuts all connections; nobody listens any more when it returns.
    pub(super) async fn cut(&mut self) {
        self.passing.shutdown().await;
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn base_url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/fhir", self.address)
    }
}

async fn pass(listener: TcpListener, target: SocketAddr, tls: Option<TlsAcceptor>) {
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    while let Ok((mut near, _)) = listener.accept().await {
        let tls = tls.clone();
        connections.spawn(async move {
            let mut far = TcpStream::connect(target).await.unwrap();
            // How a connection ends is its own affair.
            match tls {
                None => drop(copy_bidirectional(&mut near, &mut far).await),
                Some(tls) => {
                    if let Ok(mut near) = tls.accept(near).await {
                        drop(copy_bidirectional(&mut near, &mut far).await);
                    }
                }
            }
        });
    }
}

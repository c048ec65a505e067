//! How connections to a server are made and kept.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::stream::Stream;
use super::{SendError, Tls};

/// How connections are made and kept.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    /// Host name or address, without brackets. Over TLS the certificate must name it.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Where the host is, in the order to try; empty: the name is looked up for each connection.
    pub addresses: Vec<SocketAddr>,
    /// Speak TLS.
    pub tls: Option<Tls>,
    /// How long connecting may take, the TLS handshake included.
    pub connect_timeout: Duration,
    /// How long the server may stay silent inside a body.
    pub body_idle_timeout: Duration,
    /// How long an unused connection is kept; less than the server's keep-alive.
    pub keep_idle: Duration,
    /// How many unused connections are kept.
    pub max_idle: usize,
}

impl PoolSettings {
    /// A new connection.
    pub(super) async fn connect(&self) -> Result<Stream, SendError> {
        timeout(self.connect_timeout, self.stream())
            .await
            .map_err(|_| SendError::ConnectTimeout)?
            .map_err(SendError::Connect)
    }

    /// Whether connections are accepted within this time.
    pub(super) async fn reach(&self, patience: Duration) -> Result<(), String> {
        match timeout(patience, self.tcp()).await {
            Ok(connected) => connected.map(drop).map_err(|error| error.to_string()),
            Err(_) => Err(format!("nothing within {patience:?}")),
        }
    }

    async fn tcp(&self) -> io::Result<TcpStream> {
        match &self.addresses[..] {
            [] => TcpStream::connect((self.host.as_str(), self.port)).await,
            addresses => TcpStream::connect(addresses).await,
        }
    }

    async fn stream(&self) -> io::Result<Stream> {
        let tcp = self.tcp().await?;
        tcp.set_nodelay(true)?;
        Ok(match &self.tls {
            None => Stream::Tcp(tcp),
            Some(tls) => Stream::Tls(Box::new(tls.encrypt(&self.host, tcp).await?)),
        })
    }
}

//! What clients ask, and whom.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::answer::{self, Answer};

/// Whom to ask.
#[derive(Clone)]
pub(in crate::bench) struct Target {
    pub(in crate::bench) address: SocketAddr,
    /// With it, connections use TLS.
    pub(in crate::bench) tls: Option<TlsConnector>,
}

/// What is asked, and how.
#[derive(Clone)]
pub(in crate::bench) struct Load {
    pub(in crate::bench) target: Target,
    pub(in crate::bench) clients: usize,
    /// Whole requests; the clients take turns in sending them.
    pub(in crate::bench) requests: Arc<[Bytes]>,
    /// The body that every answer must have.
    pub(in crate::bench) expected: Option<Bytes>,
    /// Requests a second of all clients together; none: as many as are answered.
    pub(in crate::bench) rate: Option<f64>,
}

impl Load {
    /// Sends the request of this turn, and reads its answer.
    pub(super) async fn ask(
        &self,
        stream: &mut Box<dyn Stream>,
        turn: usize,
        buffer: &mut Vec<u8>,
    ) -> std::io::Result<Answer> {
        stream.write_all(&self.requests[turn]).await?;
        stream.flush().await?;
        answer::read(stream, buffer, self.expected.as_deref()).await
    }
}

/// A connection, with TLS or without.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Target {
    /// A new connection.
    pub(super) async fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some(tls) => {
                let name = ServerName::IpAddress(self.address.ip().into());
                Ok(Box::new(tls.connect(name, stream).await?))
            }
        }
    }
}

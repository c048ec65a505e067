//! How connections to a server are made and kept.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::SendError;

/// How connections are made and kept.
#[derive(Debug, Clone)]
pub struct PoolSettings {
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How long connecting may take.
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
    pub(super) async fn connect(&self) -> Result<TcpStream, SendError> {
        let address = (self.host.as_str(), self.port);
        let stream = timeout(self.connect_timeout, TcpStream::connect(address))
            .await
            .map_err(|_| SendError::ConnectTimeout)?
            .map_err(SendError::Connect)?;
        stream.set_nodelay(true).map_err(SendError::Connect)?;
        Ok(stream)
    }
}

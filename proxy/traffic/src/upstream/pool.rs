//! A core's own pool of connections to one server.
//!
//! HAPI's Tomcat closes a connection after every 100th request and after each 400 and 500 answer, and keeps an
//! idle one for 60 seconds. So a connection is given back only if the answer does not say `close`; one that
//! is no longer ready is dropped when it would be taken; and an idle one is not kept long.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{CONNECTION, HeaderMap};
use http::{Request, Response};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::{LeasedBody, SendError, Upstream};
use crate::body::Body;

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

/// See the module's text. Cheap to clone; use one on each core.
#[derive(Clone)]
pub struct Pool {
    settings: Arc<PoolSettings>,
    idle: Arc<Idle>,
}

/// A connection between requests.
pub(super) struct Connection {
    sender: SendRequest<Body>,
    since: Instant,
}

/// The connections at rest.
pub(super) struct Idle {
    connections: Mutex<Vec<Connection>>,
    keep: Duration,
    max: usize,
}

impl Pool {
    /// An empty pool.
    pub fn new(settings: PoolSettings) -> Self {
        let idle = Idle { connections: Mutex::default(), keep: settings.keep_idle, max: settings.max_idle };
        Self { settings: Arc::new(settings), idle: Arc::new(idle) }
    }

    async fn connect(&self) -> Result<SendRequest<Body>, SendError> {
        let address = (self.settings.host.as_str(), self.settings.port);
        let stream = timeout(self.settings.connect_timeout, TcpStream::connect(address))
            .await
            .map_err(|_| SendError::ConnectTimeout)?
            .map_err(SendError::Connect)?;
        stream.set_nodelay(true).map_err(SendError::Connect)?;
        let (sender, connection) = http1::Builder::new()
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|source| SendError::Broken { reused: false, source })?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "upstream connection ended");
            }
        });
        Ok(sender)
    }

    fn leased(
        &self,
        response: Response<hyper::body::Incoming>,
        sender: SendRequest<Body>,
    ) -> Response<LeasedBody> {
        let lease = (!says_close(response.headers()))
            .then(|| (Connection { sender, since: Instant::now() }, Arc::clone(&self.idle)));
        response.map(|incoming| LeasedBody::new(incoming, lease, self.settings.body_idle_timeout))
    }
}

impl Upstream for Pool {
    type Body = LeasedBody;

    async fn send(&self, mut request: Request<Body>) -> Result<Response<LeasedBody>, SendError> {
        while let Some(mut connection) = self.idle.take() {
            match connection.sender.try_send_request(request).await {
                Ok(response) => return Ok(self.leased(response, connection.sender)),
                Err(mut failed) => match failed.take_message() {
                    // It never left: any other connection may carry it.
                    Some(unsent) => request = unsent,
                    None => return Err(SendError::Broken { reused: true, source: failed.into_error() }),
                },
            }
        }
        let mut sender = self.connect().await?;
        match sender.send_request(request).await {
            Ok(response) => Ok(self.leased(response, sender)),
            Err(source) => Err(SendError::Broken { reused: false, source }),
        }
    }
}

impl Idle {
    pub(super) fn put(&self, mut connection: Connection) {
        connection.since = Instant::now();
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if connections.len() < self.max {
            connections.push(connection);
        }
    }

    /// The connection used last, if it is alive: the server is least likely to be closing it.
    fn take(&self) -> Option<Connection> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.retain(|c| !c.sender.is_closed() && c.since.elapsed() < self.keep);
        // One that was given back a moment ago may still be finishing; it stays for the next.
        let at = connections.iter().rposition(|c| c.sender.is_ready())?;
        Some(connections.remove(at))
    }
}

fn says_close(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|token| token.trim().eq_ignore_ascii_case("close"))
}

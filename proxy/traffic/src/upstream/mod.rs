//! The way to the FHIR server.
//!
//! [`Upstream`] is the seam. [`Balanced`] is what the gateway uses: it asks one of several replicas ([`replicas`]) over
//! [`Connections`], where requests whose body is all there go over [`Fused`] connections, polled in the exchange's own
//! task, and bodies that stream over [`Pool`], hyper's client.

mod by_body;
mod connect;
pub mod fused;
mod idle;
mod lease;
mod pool;
pub mod replicas;
mod silence;
mod stream;
mod tls;

use std::future::Future;

use bytes::Bytes;
use http::{Request, Response};

use crate::body::{BodyError, Outgoing};

pub use by_body::Connections;
pub use connect::PoolSettings;
pub use fused::{Fused, FusedBody};
pub use lease::LeasedBody;
pub use pool::Pool;
pub use replicas::{Balanced, Credentials, Replicas};
pub use tls::{Identity, Tls, TlsError};

/// Sends requests to one FHIR server over HTTP/1.1.
pub trait Upstream: Clone + Send + Sync + 'static {
    /// The answer's body. Dropping it before its end closes the connection.
    type Body: http_body::Body<Data = Bytes, Error = BodyError> + Send + 'static;

    /// Sends one request (its URI in origin form) and waits for the answer's head. What knows more of the server than
    /// the caller may complete the request's head.
    fn send(
        &self,
        head: &mut Request<()>,
        body: Outgoing,
    ) -> impl Future<Output = Result<Response<Self::Body>, SendError>> + Send;
}

/// There is no answer.
pub(crate) struct Unsuccessful {
    /// Why.
    pub(crate) error: SendError,
    /// The body, if nothing was sent at all: another server may have it.
    pub(crate) unsent: Option<Outgoing>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No connection could be made: the server has read nothing.
    #[error("cannot connect to the server")]
    Connect(#[source] std::io::Error),
    /// Connecting took too long: the server has read nothing.
    #[error("connecting to the server took too long")]
    ConnectTimeout,
    /// The connection broke before the answer's head. The server may have done the work.
    #[error("the connection broke before the answer")]
    Broken {
        /// It had carried other requests before: the server may just have been closing it.
        reused: bool,
        /// What went wrong.
        #[source]
        source: BodyError,
    },
}

impl SendError {
    /// Whether there was no connection to send anything over.
    pub fn is_before_sending(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::ConnectTimeout)
    }
}

impl From<SendError> for Unsuccessful {
    fn from(error: SendError) -> Self {
        Self { error, unsent: None }
    }
}

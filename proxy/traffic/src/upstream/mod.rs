//! The way to the FHIR server.
//!
//! [`Upstream`] is the seam: the pool over hyper's client connections is one implementation; a connection that
//! is polled in the request's own task can be another.

mod lease;
mod pool;

use std::future::Future;

use bytes::Bytes;
use http::{Request, Response};

use crate::body::{Body, BodyError};

pub use lease::LeasedBody;
pub use pool::{Pool, PoolSettings};

/// Sends requests to one FHIR server over HTTP/1.1.
pub trait Upstream: Clone + Send + Sync + 'static {
    /// The answer's body. Dropping it before its end closes the connection.
    type Body: http_body::Body<Data = Bytes, Error = BodyError> + Send + 'static;

    /// Sends one request (its URI in origin form, its `Host` set) and waits for the answer's head.
    fn send(
        &self,
        request: Request<Body>,
    ) -> impl Future<Output = Result<Response<Self::Body>, SendError>> + Send;
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
        /// What hyper says.
        #[source]
        source: hyper::Error,
    },
}

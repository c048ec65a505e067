//! Both kinds of connection to the server, against one that does byte by byte what it is told.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper of a test may fail like the test")]

mod answers;
mod connections;
mod replicas;
mod requests;
mod server;
mod tls;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use fireguard_traffic::body::Outgoing;
use fireguard_traffic::upstream::{Connections, Pool, PoolSettings, SendError, Upstream};
use http::header::HeaderMap;
use http::{Request, StatusCode};
use http_body_util::BodyExt;

/// One kind of connection.
trait Kind: Upstream<Body: Unpin> {
    /// Polled in the exchange's own task: stricter, and its connections are back as soon as the answer has ended.
    const FUSED: bool;
    /// It speaks TLS.
    const TLS: bool = false;

    fn connect(settings: PoolSettings) -> Self;

    fn to(address: SocketAddr) -> Self {
        Self::connect(settings(address))
    }
}

impl Kind for Pool {
    const FUSED: bool = false;

    fn connect(settings: PoolSettings) -> Self {
        Self::new(settings)
    }
}

impl Kind for Connections {
    const FUSED: bool = true;

    fn connect(settings: PoolSettings) -> Self {
        Self::new(settings)
    }
}

fn settings(address: SocketAddr) -> PoolSettings {
    PoolSettings {
        host: address.ip().to_string(),
        port: address.port(),
        addresses: Vec::new(),
        tls: None,
        connect_timeout: Duration::from_secs(5),
        body_idle_timeout: Duration::from_secs(20),
        keep_idle: Duration::from_secs(20),
        max_idle: 8,
    }
}

/// A whole answer.
type Answer = (StatusCode, HeaderMap, Vec<u8>);

fn request(method: &str) -> Request<()> {
    Request::builder().method(method).uri("/fhir/Patient?name=x").header("host", "hapi").body(()).unwrap()
}

/// Asks and reads the answer to its end.
async fn ask(upstream: &impl Upstream, method: &str) -> Result<Answer, String> {
    send(upstream, method, "").await.map_err(|error| match error {
        Ok(error) => format!("{error:?}"),
        Err(error) => error,
    })
}

/// As [`ask`], with a body; tells what the sending failed with from what the reading failed with.
async fn send(
    upstream: &impl Upstream,
    method: &str,
    body: &'static str,
) -> Result<Answer, Result<SendError, String>> {
    let body = Outgoing::Whole(Bytes::from_static(body.as_bytes()));
    let (parts, body) = upstream.send(&mut request(method), body).await.map_err(Ok)?.into_parts();
    let body = body.collect().await.map_err(|error| Err(error.to_string()))?;
    Ok((parts.status, parts.headers, body.to_bytes().to_vec()))
}

/// A test of each kind, plain and over TLS.
macro_rules! both {
    ($($name:ident),+ $(,)?) => {
        mod hyper {
            $(#[tokio::test] async fn $name() { super::$name::<fireguard_traffic::upstream::Pool>().await })+
        }
        mod fused {
            $(#[tokio::test] async fn $name() { super::$name::<fireguard_traffic::upstream::Connections>().await })+
        }
        mod hyper_over_tls {
            use crate::tls::OverTls;
            use fireguard_traffic::upstream::Pool;
            $(#[tokio::test] async fn $name() { super::$name::<OverTls<Pool>>().await })+
        }
        mod fused_over_tls {
            use crate::tls::OverTls;
            use fireguard_traffic::upstream::Connections;
            $(#[tokio::test] async fn $name() { super::$name::<OverTls<Connections>>().await })+
        }
    };
}
pub(crate) use both;

//! Health and metrics, on a listener and a runtime of their own: they answer while every core is busy.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use futures_util::future::join_all;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::state::{Route, Shared};
use crate::upstreams::Unknown;

/// Upper bounds of the duration histograms, in seconds.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// How long a server may take to accept a connection and still count as there.
const PROBE: Duration = Duration::from_secs(1);

/// Why the admin listener does not start.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address cannot be listened on.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// Metrics are already being recorded in this process.
    #[error("metrics cannot be recorded: {0}")]
    Metrics(String),
}

#[derive(Clone)]
struct Admin {
    shared: Arc<Shared>,
    metrics: PrometheusHandle,
    stop: watch::Receiver<bool>,
    unknown: Unknown,
}

/// Starts recording metrics.
///
/// # Errors
/// Somebody else in this process records already.
pub fn metrics() -> Result<PrometheusHandle, AdminError> {
    PrometheusBuilder::new()
        .set_buckets(&BUCKETS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| AdminError::Metrics(error.to_string()))
}

/// Serves `/live`, `/ready` and `/metrics` until `stop` says true and the cores are done.
///
/// # Errors
/// The address cannot be listened on.
pub fn start(
    address: SocketAddr,
    shared: Arc<Shared>,
    unknown: Unknown,
    metrics: PrometheusHandle,
    stop: watch::Receiver<bool>,
) -> Result<(SocketAddr, JoinHandle<()>), AdminError> {
    let failed = |error| AdminError::Listen(address, error);
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let admin = Admin { shared, metrics, stop, unknown };
    let serve = async move {
        let routes = Router::new()
            .route("/live", get(|| async { "live\n" }))
            .route("/ready", get(ready))
            .route("/metrics", get(scrape))
            .with_state(admin);
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                if let Err(error) = axum::serve(listener, routes).await {
                    tracing::error!(%error, "the admin listener ended");
                }
            }
            Err(error) => tracing::error!(%error, "the admin listener does not start"),
        }
    };
    let thread = std::thread::Builder::new().name("admin".into()).spawn(move || runtime.block_on(serve));
    Ok((bound, thread.map_err(failed)?))
}

/// Ready means: not stopping, every server is known to speak R4, and accepts connections. Otherwise a line for
/// each server that is not.
async fn ready(State(admin): State<Admin>) -> (StatusCode, String) {
    if *admin.stop.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".into());
    }
    let servers: BTreeMap<_, _> =
        admin.shared.routes.iter().map(|route| (&route.upstream_name, route)).collect();
    let reasons = join_all(servers.into_values().map(|route| not_ready(&admin, route))).await;
    let lines: String = reasons.into_iter().flatten().collect();
    if lines.is_empty() {
        return (StatusCode::OK, "ready\n".into());
    }
    (StatusCode::SERVICE_UNAVAILABLE, lines)
}

/// Why the server of this route is not ready, on a line.
async fn not_ready(admin: &Admin, route: &Route) -> Option<String> {
    let name = &route.upstream_name;
    if let Some(reason) = admin.unknown.why(name) {
        return Some(format!("upstream {name}: {reason}\n"));
    }
    let pool = admin.shared.pool_settings(&route.upstream);
    let reason = match timeout(PROBE, TcpStream::connect((pool.host.as_str(), pool.port))).await {
        Ok(Ok(_)) => return None,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("nothing within {} s", PROBE.as_secs()),
    };
    Some(format!("upstream {name}: {} does not accept connections: {reason}\n", route.upstream.authority()))
}

async fn scrape(State(admin): State<Admin>) -> String {
    admin.metrics.run_upkeep();
    admin.metrics.render()
}

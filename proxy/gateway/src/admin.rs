//! Health and metrics, on a listener and a runtime of their own: they answer while every core is busy.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use futures_util::future::join_all;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::reload::{Reloaded, Reloader};
use crate::replicas::Meters;
use crate::server::Live;
use crate::state::Route;
use crate::upstreams::Unknown;

/// Upper bounds of the duration histograms, in seconds.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// How long a server may take to accept a connection and still count as there.
const PROBE: Duration = Duration::from_secs(1);

/// Why the admin listener does not start.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No thread, no runtime.
    #[error("cannot start the admin listener")]
    Start(#[from] io::Error),
    /// Metrics are already being recorded in this process.
    #[error("metrics cannot be recorded: {0}")]
    Metrics(String),
}

#[derive(Clone)]
struct Admin {
    live: Arc<Live>,
    reloader: Reloader,
    metrics: PrometheusHandle,
    stop: watch::Receiver<bool>,
    unknown: Unknown,
    meters: Arc<Meters>,
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

/// Serves `/live`, `/ready`, `/metrics` and `/reload` to the end of the process, or until another one does:
/// when `succeeded` says true.
///
/// # Errors
/// Nothing is served then.
pub fn start(
    listener: &std::net::TcpListener,
    live: Arc<Live>,
    unknown: Unknown,
    reloader: Reloader,
    metrics: PrometheusHandle,
    stop: watch::Receiver<bool>,
    mut succeeded: watch::Receiver<bool>,
) -> Result<(), AdminError> {
    let listener = listener.try_clone()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let meters = Arc::default();
    let admin = Admin { live, reloader, metrics, stop, unknown, meters };
    let serve = async move {
        let routes = Router::new()
            .route("/live", get(|| async { "live\n" }))
            .route("/ready", get(ready))
            .route("/metrics", get(scrape))
            .route("/reload", post(reload))
            .with_state(admin);
        let until = async move {
            let _ = succeeded.wait_for(|succeeded| *succeeded).await;
        };
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                if let Err(error) = axum::serve(listener, routes).with_graceful_shutdown(until).await {
                    tracing::error!(%error, "the admin listener ended");
                }
            }
            Err(error) => tracing::error!(%error, "the admin listener does not start"),
        }
    };
    std::thread::Builder::new().name("admin".into()).spawn(move || runtime.block_on(serve))?;
    Ok(())
}

/// 200 with what changed, or 422 with what is wrong.
async fn reload(State(admin): State<Admin>) -> (StatusCode, String) {
    match admin.reloader.reload().await {
        Ok(Reloaded { changes, .. }) if changes.is_empty() => (StatusCode::OK, "reloaded\n".into()),
        Ok(Reloaded { changes, .. }) => (StatusCode::OK, format!("reloaded: {changes}\n")),
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, error.text()),
    }
}

/// Ready means: not stopping, every server is known to speak R4, and accepts connections. Otherwise a line for
/// each server that is not.
async fn ready(State(admin): State<Admin>) -> (StatusCode, String) {
    if *admin.stop.borrow() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".into());
    }
    let shared = admin.live.shared();
    let servers: BTreeMap<_, _> = shared.routes.iter().map(|route| (&route.upstream_name, route)).collect();
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
    if let Some(reason) = admin.unknown.why(&route.upstream_url) {
        return Some(format!("upstream {name}: {reason}\n"));
    }
    let reason = route.group.replicas.reach(PROBE).await.err()?;
    let who = match &route.group.configured.bases[..] {
        [base] => format!("{} does not accept connections", base.authority()),
        bases => format!("none of {} replicas accepts connections", bases.len()),
    };
    Some(format!("upstream {name}: {who}: {reason}\n"))
}

async fn scrape(State(admin): State<Admin>) -> String {
    admin.meters.update(&admin.live.shared());
    admin.metrics.run_upkeep();
    admin.metrics.render()
}

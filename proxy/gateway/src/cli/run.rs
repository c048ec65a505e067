//! `fireguard run`.

use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{Failed, report, runtime};
use crate::config::Config;
use crate::server::Server;
use crate::state::Shared;
use crate::upstreams::{Known, require_r4};
use crate::{admin, logging};

/// Serves until a signal says to stop, then lets running requests end.
pub(super) fn run(path: &Path) -> Result<(), Failed> {
    let config = Config::load(path)?;
    logging::start(&config.log);
    let metrics = admin::metrics().map_err(|error| report(&error))?;
    let runtime = runtime()?;
    let admin_address = config.admin;
    let shared = runtime.block_on(Shared::build(config)).map_err(|error| report(&error))?;
    let shared = Arc::new(shared);
    let (stopping, stop) = watch::channel(false);
    let server = Server::start(&shared, &stop).map_err(|error| report(&error))?;
    let known = Known::default();
    let (admin, _) = admin::start(admin_address, Arc::clone(&shared), known.clone(), metrics, stop)
        .map_err(|error| report(&error))?;
    tracing::info!(listen = %server.address(), %admin, "serving");
    let ended = runtime.block_on(stop_signal(&shared, &known));
    tracing::info!("stopping: running requests may end");
    stopping.send_replace(true);
    server.join();
    tracing::info!("stopped");
    ended
}

/// Returns when a signal says to stop, or when a server turns out to speak another version of FHIR.
async fn stop_signal(shared: &Shared, known: &Known) -> Result<(), Failed> {
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| report(&error))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| report(&error))?;
    let versions = async {
        match require_r4(shared, known).await {
            Ok(()) => std::future::pending().await,
            Err(wrong) => wrong,
        }
    };
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        wrong = versions => {
            tracing::error!(%wrong, "cannot go on");
            Err(report(&wrong))
        }
    }
}

//! `fireguard run`.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{Failed, report, runtime};
use crate::config::Config;
use crate::server::Server;
use crate::state::Shared;
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
    let (admin, _) = admin::start(admin_address, shared, metrics, stop).map_err(|error| report(&error))?;
    tracing::info!(listen = %server.address(), %admin, "serving");
    runtime.block_on(stop_signal()).map_err(|error| report(&error))?;
    tracing::info!("stopping: running requests may end");
    stopping.send_replace(true);
    server.join();
    tracing::info!("stopped");
    Ok(())
}

async fn stop_signal() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

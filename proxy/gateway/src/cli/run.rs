//! `fireguard run`.

use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::{Failed, report, runtime};
use crate::config::Config;
use crate::server::Server;
use crate::state::Shared;
use crate::upstreams::{Unknown, require_r4};
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
    let mut signals = runtime.block_on(async { Signals::new() })?;
    let unknown = Unknown::before_asking(&shared);
    let (admin, _) = admin::start(admin_address, Arc::clone(&shared), unknown.clone(), metrics, stop)
        .map_err(|error| report(&error))?;
    tracing::info!(listen = %server.address(), %admin, "serving");
    let ended = runtime.block_on(async {
        let ended = until_stopped(&mut signals, &shared, &unknown).await;
        tracing::info!("stopping: running requests may end");
        stopping.send_replace(true);
        tokio::select! {
            _ = tokio::task::spawn_blocking(|| server.join()) => tracing::info!("stopped"),
            () = signals.next() => tracing::warn!("stopped by a second signal: running requests are cut off"),
        }
        ended
    });
    // The cores may still be waiting for requests to end; the end of the process is theirs.
    runtime.shutdown_background();
    ended
}

/// The signals that say to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failed> {
        let listen = |kind| signal(kind).map_err(|error| report(&error));
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for the next one.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Returns when a signal says to stop, or when a server turns out to speak another version of FHIR.
async fn until_stopped(signals: &mut Signals, shared: &Shared, unknown: &Unknown) -> Result<(), Failed> {
    let versions = async {
        match require_r4(shared, unknown).await {
            Ok(()) => std::future::pending().await,
            Err(wrong) => wrong,
        }
    };
    tokio::select! {
        () = signals.next() => Ok(()),
        wrong = versions => {
            tracing::error!(%wrong, "cannot go on");
            Err(report(&wrong))
        }
    }
}

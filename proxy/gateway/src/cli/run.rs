//! `fireguard run`.

use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;

use super::{Failed, report, runtime};
use crate::config::Config;
use crate::plugins::Plugins;
use crate::reload::{ASKING, Parts, Reloader, Served, aside};
use crate::server::{Live, NoSuccessor, Server, Sockets, Succession, Successor};
use crate::state::Shared;
use crate::traces::Traces;
use crate::upstreams::{Unknown, WrongVersion, require_r4};
use crate::{admin, files, logging, service};

/// Serves until a signal says to stop, then lets running requests end. `dev`: plugins need no digests.
pub(super) fn run(path: &Path, dev: bool) -> Result<(), Failed> {
    let text = Config::read(path)?;
    let config = Config::parse(&text, path)?;
    let level = logging::start(&config.log);
    files::raise(config.limits.connections.get());
    let traces = Traces::start().map_err(|error| report(&error))?;
    let metrics = admin::metrics().map_err(|error| report(&error))?;
    let succession = Succession::new().map_err(|error| report(&error))?;
    let served = Served::new(text, &config);
    let runtime = runtime()?;
    // Before anything takes long: by default most of them would end the process.
    let signals = runtime.block_on(async { Signals::new() })?;
    let server = &config.server;
    let mut sockets =
        Sockets::take_or_open(server.listen, server.workers, config.admin).map_err(|e| report(&e))?;
    let engine = Plugins::none(server.cache.clone()).map_err(|error| report(&error))?.dev(dev);
    let engine = engine.keeping(config.state.as_deref()).map_err(|error| report(&error))?;
    // Aside, so that the compiler's threads, which stay, get a low priority.
    let build = aside(async move || Shared::first(&engine, config).await);
    let shared = runtime.block_on(build).map_err(|error| report(&error))?.map_err(|error| report(&error))?;
    let shared = Arc::new(shared);
    let live = Arc::new(Live::new(Arc::clone(&shared)).map_err(|error| report(&error))?);
    let (stopping, stop) = watch::channel(false);
    let (handed_on, succeeded) = watch::channel(false);
    let unknown = Unknown::before_asking(&shared);
    if sockets.succeed() {
        // While it still goes on: so that readiness does not flicker, and a wrong server stops nothing.
        let asked = runtime.block_on(async { timeout(ASKING, require_r4(&shared, &unknown)).await });
        asked.unwrap_or(Ok(())).map_err(|error| report(&error))?;
    }
    let asking = require_r4(&shared, &unknown);
    shared.tend(runtime.handle());
    let audit = shared.audit.clone();
    let (plugins, tls) = (shared.fresh_plugins().join(", "), shared.server.tls.is_some());
    // From here on only what is served holds it.
    drop(shared);
    let server = Server::start(&live, &sockets.clients, &stop).map_err(|error| report(&error))?;
    let parts = Parts { live: Arc::clone(&live), unknown: unknown.clone(), level };
    let reloader = Reloader::new(path, served, parts, runtime.handle());
    admin::start(&sockets.admin, live, unknown.clone(), reloader.clone(), metrics, stop, succeeded)
        .map_err(|error| report(&error))?;
    let admin = sockets.admin.local_addr().map_err(|error| report(&error))?;
    tracing::info!(listen = %server.address(), tls, %admin, plugins, "serving");
    sockets.serving();
    service::ready();
    let pulse = server.pulse();
    runtime.spawn(service::watch(move || pulse.felt()));
    let ended = runtime.block_on(async {
        let mut running = Running { signals, sockets, succession, reloader };
        let ended = running.until_stopped(asking).await;
        let Running { mut signals, sockets, .. } = running;
        // Before the cores stop: what connects from now on is the successor's, or refused.
        drop(sockets);
        match ended {
            Ok(Ending::Succeeded(pid)) => {
                service::succeeded_by(pid);
                handed_on.send_replace(true);
            }
            _ => service::stopping(),
        }
        tracing::info!("stopping: running requests may end");
        stopping.send_replace(true);
        tokio::select! {
            _ = tokio::task::spawn_blocking(|| server.join()) => tracing::info!("stopped"),
            () = signals.stop() => tracing::warn!("stopped by a second signal: running requests are cut off"),
        }
        // What was done last is noted, too.
        if let Some(audit) = audit {
            audit.settled().await;
        }
        ended.map(drop)
    });
    traces.end();
    // The cores may still be waiting for requests to end; the end of the process is theirs.
    runtime.shutdown_background();
    ended
}

/// A process that serves, and listens to signals.
struct Running {
    signals: Signals,
    sockets: Sockets,
    succession: Succession,
    reloader: Reloader,
}

/// Why serving ends.
enum Ending {
    /// By a signal.
    Stopped,
    /// The process of this id serves.
    Succeeded(u32),
}

impl Running {
    /// Obeys signals until one says to stop, a successor serves, or a server turns out to speak another version
    /// of FHIR.
    async fn until_stopped(
        &mut self,
        asking: impl Future<Output = Result<(), WrongVersion>> + Send + 'static,
    ) -> Result<Ending, Failed> {
        let mut versions = tokio::spawn(asking);
        let mut asking = true;
        loop {
            tokio::select! {
                asked = self.signals.next() => match asked {
                    Asked::Stop => return Ok(Ending::Stopped),
                    Asked::Reload => {
                        let reloader = self.reloader.clone();
                        // What is wrong stands in the log.
                        tokio::spawn(async move { drop(reloader.reload().await) });
                    }
                    Asked::Upgrade => {
                        if let Some(ending) = self.upgrade().await {
                            return Ok(ending);
                        }
                    }
                },
                answered = &mut versions, if asking => {
                    asking = false;
                    if let Ok(Err(wrong)) = answered {
                        tracing::error!(%wrong, "cannot go on");
                        return Err(report(&wrong));
                    }
                }
            }
        }
    }

    /// Starts a successor. Why this process ends, if it does.
    async fn upgrade(&mut self) -> Option<Ending> {
        tracing::info!("starting a successor");
        match self.succession.start(&self.sockets, self.signals.stop()).await {
            Ok(Successor { pid }) => {
                tracing::info!(pid, "the successor serves");
                Some(Ending::Succeeded(pid))
            }
            Err(NoSuccessor::NoNeed) => Some(Ending::Stopped),
            Err(error) => {
                let reason = logging::with_causes(&error);
                tracing::error!(reason, "there is no successor: this process goes on");
                None
            }
        }
    }
}

/// What a signal asks for.
enum Asked {
    Stop,
    Reload,
    Upgrade,
}

/// The signals that are listened to.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
    upgrade: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failed> {
        let listen = |kind| signal(kind).map_err(|error| report(&error));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            reload: listen(SignalKind::hangup())?,
            upgrade: listen(SignalKind::user_defined2())?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
            _ = self.reload.recv() => Asked::Reload,
            _ = self.upgrade.recv() => Asked::Upgrade,
        }
    }

    /// Waits for the next that says to stop.
    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

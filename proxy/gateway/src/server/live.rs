//! What is served now: one configuration, put to work on every core, replaced as a whole.
//!
//! A connection takes its TLS and its patience from it when it is accepted, a request its pipeline when its head
//! has come; and whether the client's certificate is still good. What runs keeps what it began with; the rest of the old
//! state goes when the last of it has ended.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use fireguard_traffic::upstream::Balanced;
use futures_util::future::join_all;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;

use super::admission::{self, Admission};
use super::patience;
use super::refused::Refused;
use super::standing::Verifier;
use super::tls::{self, Acceptor, TlsError};
use crate::config::Runtime;
use crate::pipeline::{self, Pipeline};
use crate::stages::forward;
use crate::state::Shared;

/// How often a core looks for replicas that want connections.
const PREPARE: Duration = Duration::from_millis(500);

/// What is served now.
pub struct Live(ArcSwap<Generation>);

/// One configuration, put to work.
struct Generation {
    shared: Arc<Shared>,
    settings: Arc<Settings>,
    cores: Vec<Core>,
}

/// What one core has of its own; all together, where they share a runtime.
struct Core {
    pipeline: Pipeline,
    /// By the server's name.
    connections: HashMap<String, Balanced>,
}

/// What a connection needs of the configuration.
pub(super) struct Settings {
    pub(super) tls: Option<Acceptor>,
    pub(super) proxy_protocol: bool,
    pub(super) trusted: fireguard_traffic::forwarded::TrustedPeers,
    pub(super) patience: patience::Limits,
    pub(super) drain: Duration,
    pub(super) builder: Builder<TokioExecutor>,
    pub(super) refused: Arc<Refused>,
    pub(super) admission: Arc<Admission>,
    pub(super) places: admission::Limits,
}

impl Live {
    /// The first configuration; it says how many cores there are, and whether each is for itself.
    ///
    /// # Errors
    /// The certificate or its key is not usable.
    pub fn new(shared: Arc<Shared>) -> Result<Self, TlsError> {
        let settings = Settings::new(&shared, None)?;
        let cores = match shared.server.runtime {
            Runtime::PerCore => shared.server.workers.max(1),
            Runtime::Shared => 1,
        };
        let cores = (0..cores).map(|_| Core::new(&shared, None)).collect();
        Ok(Self(ArcSwap::from_pointee(Generation { shared, settings: Arc::new(settings), cores })))
    }

    /// Serves this from the next connection and the next request on. Connections to servers that stay are kept.
    /// Not to be called twice at once.
    ///
    /// # Errors
    /// The certificate or its key is not usable, and nothing has changed.
    pub fn replace(&self, shared: Arc<Shared>) -> Result<(), TlsError> {
        let before = self.0.load_full();
        let settings = Arc::new(Settings::new(&shared, Some(&before.settings))?);
        let core = |core: &Core| Core::new(&shared, Some(&core.connections));
        let cores = before.cores.iter().map(core).collect();
        self.0.store(Arc::new(Generation { shared, settings, cores }));
        Ok(())
    }

    /// The configuration that is served now.
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.0.load().shared)
    }

    /// How many cores serve, each for itself.
    pub(super) fn cores(&self) -> usize {
        self.0.load().cores.len()
    }

    pub(super) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.0.load().settings)
    }

    /// Who looks at the certificates of clients; none: nobody is asked for one.
    pub(super) fn verifier(&self) -> Option<Verifier> {
        self.0.load().settings.tls.as_ref()?.clients.clone()
    }

    /// Makes a core's first connections to replicas before they get requests; never returns. Runs on the core itself.
    pub(super) async fn tend(&self, core: usize) {
        loop {
            let connections = {
                let now = self.0.load();
                let own = &now.cores[core % now.cores.len()].connections;
                // Not held while servers are waited for.
                own.values().cloned().collect::<Vec<_>>()
            };
            join_all(connections.iter().map(Balanced::prepare)).await;
            tokio::time::sleep(PREPARE).await;
        }
    }

    /// The pipeline of a core, for one request.
    pub(super) fn pipeline(&self, core: usize) -> Pipeline {
        let now = self.0.load();
        now.cores[core % now.cores.len()].pipeline.clone()
    }
}

impl Core {
    fn new(shared: &Arc<Shared>, before: Option<&HashMap<String, Balanced>>) -> Self {
        let connections = forward::connections(shared, before);
        Self { pipeline: pipeline::build(shared, connections.clone()), connections }
    }
}

impl Settings {
    /// What counts connections is kept.
    fn new(shared: &Shared, before: Option<&Self>) -> Result<Self, TlsError> {
        Ok(Self {
            tls: shared.server.tls.as_ref().map(tls::acceptor).transpose()?,
            proxy_protocol: shared.server.proxy_protocol,
            trusted: shared.server.trusted.clone(),
            patience: patience::Limits {
                head: shared.limits.client_head.0,
                idle: shared.limits.client_idle.0,
                unread: shared.limits.client_unread.0,
            },
            drain: shared.limits.drain.0,
            builder: builder(shared),
            refused: before.map(|before| Arc::clone(&before.refused)).unwrap_or_default(),
            admission: before.map(|before| Arc::clone(&before.admission)).unwrap_or_default(),
            places: admission::Limits {
                connections: shared.limits.connections.get(),
                per_client: shared.limits.connections_per_client.map(NonZeroU32::get),
                ipv6_prefix: shared.limits.rate_ipv6_prefix.0,
            },
        })
    }
}

fn builder(shared: &Shared) -> Builder<TokioExecutor> {
    // A head over our own limits arrives, to be refused in FHIR's words; only absurd ones end in hyper's.
    let head_bytes = u32::try_from(shared.limits.request_head.0.saturating_mul(4)).unwrap_or(u32::MAX);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // The socket keeps this clock.
        .header_read_timeout(None)
        .max_buf_size((head_bytes as usize).max(64 << 10));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(shared.limits.h2_streams)
        .max_header_list_size(head_bytes);
    builder
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    const TEXT: &str = "[server]\nworkers = 2\n[upstreams.hapi]\nurl = \"http://127.0.0.1:9/fhir\"\n\
                        [routes.fhir]\npath = \"/fhir\"\nupstream = \"hapi\"\nauthentication = \"none\"\n";

    #[tokio::test]
    async fn the_old_state_goes_with_its_last_request() {
        let config = || Config::parse(TEXT, Path::new("fireguard.toml")).unwrap();
        let first = Arc::new(Shared::build(config()).await.unwrap());
        let second = Arc::new(first.succeed(config()).await.unwrap());
        let (old, kept) = (Arc::downgrade(&first), Arc::clone(&first.routes[0].server));
        let live = Live::new(first).unwrap();
        let (request, connection) = (live.pipeline(1), live.settings());
        live.replace(second).unwrap();
        assert!(old.upgrade().is_some(), "a request still runs");
        drop(request);
        assert!(old.upgrade().is_none(), "a connection that rests does not hold it");
        assert!(Arc::ptr_eq(&kept, &live.shared().routes[0].server));
        drop(connection);
    }
}

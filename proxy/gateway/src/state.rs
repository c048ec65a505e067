//! What all cores share, built from one configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use fireguard_access::surface::Surface;
use fireguard_fhir::base::Base;
use fireguard_fhir::interaction::SealPages;
use fireguard_plugin_host::{Engine, Plugin};
use fireguard_traffic::cors::Cors;
use fireguard_traffic::rate::{RateLimits, Table};
use fireguard_traffic::upstream::PoolSettings;

use crate::config::{self, Config, defaults};
use crate::fhir_server::FhirServer;
use crate::pages::KeyRing;
use crate::plugins::{self, LoadFailure};

/// What all cores share.
pub struct Shared {
    /// The ways in.
    pub routes: Vec<Arc<Route>>,
    /// Where clients connect, and who is believed.
    pub server: config::Server,
    /// Times and sizes.
    pub limits: config::file::Limits,
    /// Keeps the plugins' clock running.
    _engine: Engine,
}

/// A way in.
pub struct Route {
    /// Its name.
    pub name: String,
    /// The path of its FHIR base, or empty.
    pub prefix: String,
    /// The FHIR server's name in the configuration.
    pub upstream_name: String,
    /// The FHIR server's base as seen from here.
    pub upstream: Base,
    /// The same as text: the key of its connections.
    pub upstream_url: String,
    /// What is known of the server on all cores.
    pub server: Arc<FhirServer>,
    /// What it lets through.
    pub surface: Surface,
    /// How often one client may ask.
    pub rate: Option<RateLimits>,
    /// The origins whose pages may read its answers.
    pub cors: Option<Cors>,
    /// How links to pages are sealed for its callers.
    pub pages: Arc<dyn SealPages>,
    /// The plugins that see its resources, in order toward the server.
    pub plugins: Vec<Plugin>,
}

impl Shared {
    /// Loads the plugins, makes keys and routes.
    ///
    /// # Errors
    /// A plugin cannot be loaded, or a key not be made.
    pub async fn build(config: Config) -> Result<Self, LoadFailure> {
        let (engine, plugins) = plugins::load_all(&config).await?;
        let keys: Vec<_> = config.pages.keys.iter().map(config::units::Secret::expose).collect();
        let ring = Arc::new(KeyRing::new(&keys, config.pages.lifetime)?);
        let clients = Arc::new(Table::new(defaults::RATE_CLIENTS));
        let mut servers = BTreeMap::new();
        let mut server = |route: &config::Route| {
            let known = servers.entry(route.upstream_name.clone());
            Arc::clone(known.or_insert_with(|| Arc::new(FhirServer::new(route))))
        };
        let routes = config.routes.into_iter().map(|route| {
            let server = server(&route);
            let plugins = route.plugins.iter().filter_map(|index| plugins.get(*index).cloned()).collect();
            Arc::new(Route {
                pages: Arc::new(ring.bind(&route.name, &route.upstream.to_string())),
                name: route.name,
                prefix: route.prefix,
                server,
                upstream_name: route.upstream_name,
                upstream_url: route.upstream.to_string(),
                upstream: route.upstream,
                surface: route.surface,
                rate: route.rate.map(|quotas| RateLimits::new(&clients, &quotas)),
                cors: route.cors.map(Cors::new),
                plugins,
            })
        });
        Ok(Self { routes: routes.collect(), server: config.server, limits: config.limits, _engine: engine })
    }

    /// The route of a path, and what follows its prefix.
    pub fn route<'a>(&'a self, path: &'a str) -> Option<(&'a Arc<Route>, &'a str)> {
        self.routes.iter().find_map(|route| {
            let rest = path.strip_prefix(&route.prefix)?;
            (rest.is_empty() || rest.starts_with('/')).then_some((route, rest))
        })
    }

    /// How connections to this server are made.
    pub fn pool_settings(&self, upstream: &Base) -> PoolSettings {
        PoolSettings {
            host: upstream.host().trim_matches(['[', ']']).to_owned(),
            port: upstream.port(),
            connect_timeout: self.limits.connect.0,
            body_idle_timeout: self.limits.body_idle.0,
            keep_idle: defaults::KEEP_IDLE,
            max_idle: defaults::MAX_IDLE,
        }
    }
}

impl Route {
    /// Answers on this route hold only what its plugins let through: envelopes are rebuilt, the server's error
    /// texts and headers replaced.
    pub fn rebuilds(&self) -> bool {
        !self.plugins.is_empty()
    }
}

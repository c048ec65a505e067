//! What all cores share, built from one configuration.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use fireguard_access::authentication::sessions::Sessions;
use fireguard_access::policy::Decisions;
use fireguard_access::surface::Surface;
use fireguard_fhir::base::Base;
use fireguard_fhir::interaction::SealPages;
use fireguard_plugin_host::{Direction, Phase, Plugin};
use fireguard_state::Queue;
use fireguard_traffic::cors::Cors;
use fireguard_traffic::rate::{Quotas, RateLimits, Table};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::audit::{Audit, Keeping};
use crate::authentication::{Authentication, Issuers, Local};
use crate::config::units::Secret;
use crate::config::{self, Config, defaults};
use crate::face::Faces;
use crate::fhir_server::FhirServer;
use crate::logins::{Logins, Tries};
use crate::metadata::Metadata;
use crate::pages::{self, Binding, KeyRing};
use crate::plugins::{Attached, LoadFailure, Plugins};
use crate::replicas::Group;
use crate::requests::Requests;
use crate::stages::forward;
use crate::written::Written;

/// What all cores share.
pub struct Shared {
    /// The ways in.
    pub routes: Vec<Arc<Route>>,
    /// Where clients connect, and who is believed.
    pub server: config::Server,
    /// Times and sizes.
    pub limits: config::file::Limits,
    plugins: Plugins,
    /// What was written, on its way to plugins that want to know; none: there is nowhere to keep it.
    pub written: Option<Arc<Written>>,
    /// Who did what, on its way to where that is kept; none: there is nowhere to keep it until then.
    pub audit: Option<Arc<Audit>>,
    /// Where that is.
    pub keeping: Option<Arc<Keeping>>,
    /// Who vouches for callers.
    pub issuers: Arc<Issuers>,
    /// Logs users of a file in; none: there is no such file.
    pub logins: Option<Arc<Logins>>,
    /// What was tried with passwords lately.
    tries: Arc<Tries>,
    /// What rate limits remember.
    clients: Arc<Table>,
    /// Made by chance at the start: seals links to pages where no key is configured.
    chance: Arc<Secret>,
}

/// A way in.
pub struct Route {
    /// Its name.
    pub name: Arc<str>,
    /// The path of its FHIR base, or empty.
    pub prefix: String,
    /// Who may come in.
    pub authentication: Authentication,
    /// The caller's `Authorization` header goes on to the FHIR server.
    pub forward_authorization: bool,
    /// What is decided of them; none: whatever the route lets through is allowed.
    pub decisions: Option<Arc<Decisions>>,
    /// The FHIR server's name in the configuration.
    pub upstream_name: String,
    /// The FHIR server's base as seen from here, and if there are several replicas the first one's.
    pub upstream: Base,
    /// The same as text.
    pub upstream_url: String,
    /// Its replicas, one or several.
    pub group: Arc<Group>,
    /// What is known of the server on all cores.
    pub server: Arc<FhirServer>,
    /// Its CapabilityStatement, kept.
    pub metadata: Metadata,
    /// Where HAPI is put right.
    pub hapi: config::hapi::Hapi,
    /// What it lets through.
    pub surface: Surface,
    /// It is noted who does what.
    pub audit: bool,
    /// The largest request body, in bytes.
    pub request_body: u64,
    /// Places of requests that run, if there are only so many; and how many.
    pub at_once: Option<(Arc<Semaphore>, NonZeroU32)>,
    /// How often one client may ask.
    pub rate: Option<Arc<RateLimits>>,
    /// The same as it is written.
    quotas: Option<Quotas>,
    /// Compress answers for clients that take them so.
    pub compression: bool,
    /// The FHIR server is asked for compressed answers.
    pub gzip: bool,
    /// XML is spoken as well as JSON.
    pub xml: bool,
    /// The origins whose pages may read its answers.
    pub cors: Option<Cors>,
    /// How links to pages, jobs and files are sealed for its callers.
    pub pages: Arc<Binding>,
    /// How its clients see it.
    pub faces: Faces,
    /// The plugins that see its resources, in order toward the server.
    pub plugins: Vec<Attached>,
}

impl Shared {
    /// Loads the plugins, makes keys and routes. Nothing is kept in the folder for compiled plugins.
    ///
    /// # Errors
    /// A plugin cannot be loaded, or a key not be made.
    pub async fn build(config: Config) -> Result<Self, LoadFailure> {
        Self::first(&Plugins::none(None)?, config).await
    }

    /// The same with an engine that is there.
    ///
    /// # Errors
    /// As [`Shared::build`].
    pub async fn first(engine: &Plugins, config: Config) -> Result<Self, LoadFailure> {
        let (clients, chance) = (Arc::new(Table::new(defaults::RATE_CLIENTS)), Arc::new(pages::chance()?));
        let durable = engine.state().map(|state| {
            let queue = || Arc::clone(state) as Arc<dyn Queue>;
            Durable { written: Arc::new(Written::new(queue())), audit: Arc::new(Audit::new(queue())) }
        });
        Self::make(config, engine, durable, clients, chance, Before::default()).await
    }

    /// What this becomes with another configuration: what does not change in it is kept, with all that was counted.
    ///
    /// # Errors
    /// As [`Shared::build`].
    pub async fn succeed(&self, config: Config) -> Result<Self, LoadFailure> {
        let (clients, chance) = (Arc::clone(&self.clients), Arc::clone(&self.chance));
        let durable = self.written.clone().zip(self.audit.clone());
        let durable = durable.map(|(written, audit)| Durable { written, audit });
        let (routes, keeping) = (&self.routes, self.keeping.as_deref());
        let before = Before { routes, keeping, issuers: Some(&self.issuers), tries: Some(&self.tries) };
        Self::make(config, &self.plugins, durable, clients, chance, before).await
    }

    async fn make(
        config: Config,
        known: &Plugins,
        durable: Option<Durable>,
        clients: Arc<Table>,
        chance: Arc<Secret>,
        Before { routes: before, keeping, issuers, tries }: Before<'_>,
    ) -> Result<Self, LoadFailure> {
        let plugins = known.load(&config).await?;
        // The one of chance is the last: it seals where there is no other, and opens what it has sealed.
        let keys: Vec<_> = config.pages.keys.iter().chain([&*chance]).map(Secret::expose).collect();
        let ring = Arc::new(KeyRing::new(&keys, config.pages.lifetime)?);
        let tries = tries.cloned().unwrap_or_default();
        let certificates = Some(config.certificates).filter(|clients| !clients.is_empty()).map(Arc::new);
        let logins = config.users.map(|users| {
            let key = users.key.as_ref().unwrap_or(&chance);
            let sessions = Sessions::new(users.users, key.expose(), users.lifetime);
            Arc::new(Logins::new(Arc::new(sessions), Arc::clone(&tries)))
        });
        let users = logins.as_ref().map(|logins| Arc::clone(logins.sessions()));
        let local = Local { users, certificates };
        let mut servers = BTreeMap::new();
        let mut server = |route: &config::Route| {
            let known = servers.entry(route.upstream_name.clone());
            Arc::clone(known.or_insert_with(|| {
                let stays = |known: &&Arc<Route>| {
                    known.upstream_name == route.upstream_name
                        && known.upstream == route.upstream
                        && known.server.stays(route)
                };
                let known = before.iter().find(stays).map(|known| Arc::clone(&known.server));
                known.unwrap_or_else(|| Arc::new(FhirServer::new(route)))
            }))
        };
        let mut groups = BTreeMap::new();
        let mut group = |route: &config::Route| {
            let group = groups.entry(route.upstream_name.clone()).or_insert_with(|| {
                let known = before.iter().find(|known| known.upstream_name == route.upstream_name);
                Group::new(route, &config.limits, known.map(|known| &known.group))
            });
            Arc::clone(group)
        };
        let limits = |route: &config::Route| {
            let known = before.iter().find(|known| *known.name == *route.name && known.quotas == route.rate);
            match known {
                Some(known) => known.rate.clone(),
                None => route.rate.as_ref().map(|quotas| Arc::new(RateLimits::new(&clients, quotas))),
            }
        };
        let places = |route: &config::Route| {
            let most = route.requests_at_once?;
            let known = before.iter().find(|known| *known.name == *route.name);
            let known = known.and_then(|known| known.at_once.clone()).filter(|(_, before)| *before == most);
            Some(known.unwrap_or_else(|| (Arc::new(Semaphore::new(most.get() as usize)), most)))
        };
        for route in &config.routes {
            // Who is obliged to one that runs for some only is refused to write, by each request.
            let always = route.plugins.iter().filter(|index| !route.only_obliged.contains(index));
            let attached = always.filter_map(|index| plugins.get(*index));
            judge_plugins(route, attached, config.state.is_some())?;
        }
        let issuers = issuers.cloned().unwrap_or_default();
        let routes = config.routes.into_iter().map(|route| {
            let at_once = places(&route);
            let (server, rate, group) = (server(&route), limits(&route), group(&route));
            let attached = |index: &usize| {
                let plugin = plugins.get(*index).cloned()?;
                Some(Attached { only_obliged: route.only_obliged.contains(index), ..plugin })
            };
            let plugins = route.plugins.iter().filter_map(attached).collect();
            let pages = Arc::new(ring.bind(&route.name, route.upstream.as_str()));
            let bases = group.configured.bases.clone();
            Arc::new(Route {
                faces: Faces::new(bases, route.prefix.clone(), Arc::clone(&pages) as Arc<dyn SealPages>),
                pages,
                name: route.name.into(),
                prefix: route.prefix,
                decisions: route.decisions.map(Arc::new),
                authentication: issuers.authentication(
                    &route.authentication,
                    &local,
                    &group.configured.bases,
                ),
                forward_authorization: route.forward_authorization,
                server,
                upstream_name: route.upstream_name,
                upstream_url: route.upstream.to_string(),
                upstream: route.upstream,
                group,
                metadata: Metadata::default(),
                hapi: route.hapi,
                surface: route.surface,
                audit: route.audit,
                request_body: route.request_body,
                at_once,
                rate,
                quotas: route.rate,
                compression: route.compression,
                gzip: route.gzip,
                xml: route.xml,
                cors: route.cors.map(Cors::new),
                plugins,
            })
        });
        let (routes, server, limits) = (routes.collect(), config.server, config.limits);
        let keeping = config.audit.map(|audit| Arc::new(Keeping::new(audit, &limits, keeping)));
        let (written, audit) = durable.map(|durable| (durable.written, durable.audit)).unzip();
        Ok(Self {
            routes,
            server,
            limits,
            plugins,
            written,
            audit,
            keeping,
            issuers,
            logins,
            tries,
            clients,
            chance,
        })
    }

    /// The names of the plugins that were not there before.
    pub fn fresh_plugins(&self) -> Vec<&str> {
        self.plugins.fresh().collect()
    }

    /// Has the replicas of every server looked after on this runtime, issuers asked for their keys, and plugins
    /// told of what was written.
    pub fn tend(self: &Arc<Self>, runtime: &Handle) {
        self.routes.iter().for_each(|route| route.group.tend(runtime));
        self.issuers.tend(runtime);
        if let Some(written) = &self.written {
            let requests = Requests::new(self, forward::connections(self, None));
            written.tend(runtime, requests, self.plugins.all());
        }
        if let Some(audit) = &self.audit {
            audit.tend(runtime, self.keeping.as_deref());
        }
    }

    /// The route of a path, and what follows its prefix.
    pub fn route<'a>(&'a self, path: &'a str) -> Option<(&'a Arc<Route>, &'a str)> {
        self.routes.iter().find_map(|route| {
            let rest = path.strip_prefix(&route.prefix)?;
            (rest.is_empty() || rest.starts_with('/')).then_some((route, rest))
        })
    }
}

/// What is on its way from the database to where it is to go.
struct Durable {
    written: Arc<Written>,
    audit: Arc<Audit>,
}

/// What was made of the configuration before.
#[derive(Default)]
struct Before<'a> {
    routes: &'a [Arc<Route>],
    keeping: Option<&'a Keeping>,
    issuers: Option<&'a Arc<Issuers>>,
    tries: Option<&'a Arc<Tries>>,
}

/// Refuses plugins that would never be called, and what plugins on a route with writes would make unsafe.
fn judge_plugins<'a>(
    route: &config::Route,
    attached: impl Iterator<Item = &'a Attached>,
    keeps: bool,
) -> Result<(), LoadFailure> {
    let read_only = route.surface.is_read_only();
    for Attached { plugin, .. } in attached {
        let interests = &plugin.plan().interests;
        let sees = |direction| interests.iter().any(|i| i.directions.contains(&direction));
        let (route, name) = (route.name.clone(), plugin.name().to_owned());
        if !interests.is_empty() && interests.iter().all(|i| i.phase == Phase::Ingest.name()) {
            return Err(LoadFailure::NoIntake { route, plugin: name });
        }
        if !read_only && sees(Direction::ToClient) && !sees(Direction::ToServer) {
            return Err(LoadFailure::WrittenBack { route, plugin: name });
        }
        if !read_only && told(plugin) && !keeps {
            return Err(LoadFailure::NoState { route, plugin: name });
        }
    }
    Ok(())
}

/// Whether a plugin wants to know of any write.
fn told(plugin: &Plugin) -> bool {
    plugin.plan().interests.iter().any(|interest| interest.phase == Phase::Written.name())
}

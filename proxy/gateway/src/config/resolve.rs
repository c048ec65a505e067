//! From the file as written to a configuration that holds together.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use fireguard_access::policy::Policies;
use fireguard_access::surface::Surface;
use fireguard_fhir::base::Base;
use fireguard_state::s3::Bucket;
use fireguard_traffic::forwarded::TrustedPeers;
use http::HeaderValue;
use toml::Spanned;

use super::issuers::Issuers;
use super::units::{Secret, SecretSource};
use super::users::Users;
use super::{Config, Pages, Plugin, Problem, Pseudonym, Route, Server, Tls, defaults, file};

/// Resolves every reference and value, and collects all that is wrong.
pub(super) fn resolve(file: file::File, folder: &Path) -> Result<Config, Vec<Problem>> {
    let mut resolver = Resolver { folder, problems: Vec::new(), buckets: BTreeMap::new() };
    resolver.buckets = resolver.buckets(&file.buckets);
    let server = resolver.server(&file.server);
    let admin = resolver.address(&file.admin.listen);
    let pages = resolver.pages(&file.pages);
    let plugin_names: Vec<&str> = file.plugins.keys().map(String::as_str).collect();
    let known = Known {
        issuers: resolver.issuers(&file.issuers),
        policies: resolver.policies(file.policies.as_ref()),
        users: resolver.users(file.users.as_ref()),
    };
    let routes = file
        .routes
        .iter()
        .filter_map(|(name, route)| resolver.route(name, route, &file, &plugin_names, &known))
        .collect::<Vec<_>>();
    resolver.no_overlap(&file.routes);
    resolver.ways_lead_in(&file);
    let certificates = resolver.certificates(&file.certificates);
    let plugins =
        file.plugins.iter().filter_map(|(name, plugin)| resolver.plugin(name, plugin, &file)).collect();
    let state = resolver.state(&file.state);
    let audit = file.audit.as_ref().and_then(|audit| resolver.audit(audit, &file));
    if file.routes.is_empty() {
        resolver.problems.push(Problem {
            message: "there is no route".into(),
            span: None,
            help: Some("add [routes.fhir] with path, upstream and authentication".into()),
        });
    }
    match (server, admin, resolver.problems.is_empty()) {
        (Some(server), Some(admin), true) => Ok(Config {
            server,
            admin,
            users: known.users,
            certificates,
            routes,
            plugins,
            state,
            buckets: resolver.buckets,
            audit,
            pages,
            limits: file.limits,
            log: file.log,
        }),
        _ => Err(resolver.problems),
    }
}

/// A syntax or type error of the TOML reader, with a guess at what was meant.
pub(super) fn syntax(error: &toml::de::Error, text: &str) -> Problem {
    let message = error.message().trim().to_owned();
    if error.span().is_some_and(|span| shows_a_secret(text, &span)) {
        // The line may hold the secret itself: it is named, not shown.
        let before = error.span().map_or("", |span| text.get(..span.start).unwrap_or(text));
        let line = before.matches('\n').count() + 1;
        return Problem { message: format!("line {line}: {message}"), span: None, help: None };
    }
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let help = match quoted.split_first() {
        Some((unknown, expected)) if message.starts_with("unknown ") => {
            Some(near(unknown, expected.iter().copied()).unwrap_or_else(|| one_of(expected.iter().copied())))
        }
        _ => None,
    };
    let help = help.or_else(|| {
        let missing = message.starts_with("missing field `authentication`");
        missing.then(|| {
            "a route says who may come in: authentication = [\"<issuer>\"], or \"none\" for anyone".into()
        })
    });
    // The list of what was expected is the help then; the message says what is wrong.
    let message = match help {
        Some(_) => message.split(", expected").next().unwrap_or_default().to_owned(),
        None => message,
    };
    Problem { message, span: error.span(), help }
}

/// Whether what is shown of this place, its neighbouring lines included, has a `key` or `secret` that is neither `env:` nor
/// `file:`.
fn shows_a_secret(text: &str, span: &std::ops::Range<usize>) -> bool {
    let line = |at: usize| text.get(..at).unwrap_or(text).matches('\n').count();
    let (first, last) = (line(span.start).saturating_sub(1), line(span.end) + 1);
    let quotes = ['"', '\''];
    let written_out = |after: &str| {
        let value = after.trim_start_matches(quotes).trim_start().strip_prefix('=').map(str::trim_start);
        value
            .map(|value| value.trim_start_matches(quotes))
            .is_some_and(|value| !(value.starts_with("env:") || value.starts_with("file:")))
    };
    let mut shown = text.lines().skip(first).take(last + 1 - first);
    let named = |line: &str, name: &str| {
        line.match_indices(name).any(|(at, name)| written_out(&line[at + name.len()..]))
    };
    shown.any(|line| ["key", "secret"].iter().any(|name| named(line, name)))
}

/// What routes decide by.
pub(super) struct Known {
    issuers: Issuers,
    pub(super) policies: Option<Arc<Policies>>,
    pub(super) users: Option<Users>,
}

pub(super) struct Resolver<'a> {
    folder: &'a Path,
    pub(super) problems: Vec<Problem>,
    /// Those of the file that hold together.
    pub(super) buckets: BTreeMap<String, Bucket>,
}

impl Resolver<'_> {
    fn server(&mut self, server: &file::Server) -> Option<Server> {
        let listen = self.address(&server.listen);
        let public_url = server.public_url.as_ref().and_then(|url| {
            let base = self.parsed::<Base, _>(url, Base::parse)?;
            if !base.path().is_empty() {
                self.problem(url, "public_url is a scheme and a host; the path comes from the route");
            }
            Some(base)
        });
        let networks: Vec<_> = server
            .trusted_peers
            .iter()
            .filter_map(|text| {
                let network = |t: &str| t.parse().or_else(|_| t.parse::<std::net::IpAddr>().map(Into::into));
                self.parsed(text, |t| {
                    network(t).map_err(|_| "not a network: write \"10.0.0.0/8\" or an address")
                })
            })
            .collect();
        if server.proxy_protocol && server.trusted_peers.is_empty() {
            self.problems.push(Problem {
                message: "proxy_protocol needs trusted_peers: nobody else's PROXY header is believed".into(),
                span: None,
                help: Some("list the balancers: trusted_peers = [\"10.0.0.0/8\"]".into()),
            });
        }
        let tls = match &server.tls {
            None => None,
            Some(tls) => {
                let certificate = self.read(&tls.certificate);
                let key = self.secret(&tls.key);
                let clients = self.client_ca(tls);
                Some(Tls { certificate: certificate?, key: key?, clients })
            }
        };
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Some(Server {
            listen: listen?,
            public_url,
            workers: server.workers.map_or_else(cores, |n| n.get() as usize),
            runtime: server.runtime,
            tls,
            trusted: TrustedPeers::new(networks),
            proxy_protocol: server.proxy_protocol,
            cache: match &server.cache {
                Some(folder) => Some(self.folder.join(folder)),
                None => std::env::var_os("CACHE_DIRECTORY").map(|folder| Path::new(&folder).join("plugins")),
            },
        })
    }

    fn route(
        &mut self,
        name: &str,
        route: &file::Route,
        file: &file::File,
        plugin_names: &[&str],
        given: &Known,
    ) -> Option<Route> {
        let upstreams = &file.upstreams;
        let known = upstreams.get(route.upstream.get_ref());
        let replicas = match known {
            Some(upstream) => self.replicas(upstream),
            None => {
                self.unknown("upstream", &route.upstream, upstreams.keys().map(String::as_str));
                None
            }
        };
        let written = known.and_then(|upstream| upstream.concurrency.as_ref());
        let concurrency = written.map(|written| *written.get_ref()).unwrap_or_default();
        let span = written.map(Spanned::span).unwrap_or_default();
        let bounds =
            concurrency.bounds().map_err(|message| self.problems.push(Problem::at(span, message))).ok();
        let mut plugins = Vec::new();
        for plugin in &route.plugins {
            match plugin_names.iter().position(|known| known == plugin.get_ref()) {
                Some(index) => plugins.push(index),
                None => self.unknown("plugin", plugin, plugin_names.iter().copied()),
            }
        }
        if let (Some(first), true) = (route.plugins.first(), route.xml) {
            let message = "plugins see JSON; on this route XML would pass them by";
            let help = "leave xml = true out, or let XML in by a route of its own without plugins";
            self.problems.push(Problem::at(first.span(), message).help(help));
        }
        let prefix = self.prefix(&route.path);
        let authentication = self.authentication(&route.authentication, &given.issuers);
        let decisions =
            authentication.as_ref().and_then(|ways| self.decisions(name, route, file, ways, given));
        let texts = |list: &Option<Vec<Spanned<String>>>| {
            list.as_ref().map(|list| list.iter().map(|item| item.get_ref().clone()).collect::<Vec<_>>())
        };
        let surface =
            Surface::new(route.read_only, texts(&route.operations), texts(&route.search_parameters));
        let surface = surface.map_err(|unknown| {
            let listed = route.operations.iter().chain(&route.search_parameters).flatten();
            let span = listed.into_iter().find(|item| *item.get_ref() == unknown.name).map(Spanned::span);
            self.problems.push(Problem { message: unknown.to_string(), span, help: unknown.help() });
        });
        let notified: Vec<Base> = route
            .subscription_endpoints
            .iter()
            .filter_map(|endpoint| self.parsed(endpoint, Base::parse))
            .collect();
        let rate = route.rate.as_ref().and_then(|rate| {
            rate.get_ref().quotas(rate.span()).map_err(|problem| self.problems.push(problem)).ok()
        });
        let most = file.limits.request_body;
        if let Some(own) = route.request_body.as_ref().filter(|own| own.get_ref().0 > most.0) {
            let message = "a route takes no larger bodies than limits.request_body";
            let help = "raise request_body in [limits], and set it on the routes that are to take less";
            self.problems.push(Problem::at(own.span(), message).help(help));
        }
        let cors = route
            .cors
            .as_ref()
            .map(|cors| cors.origins.iter().filter_map(|origin| self.parsed(origin, self::origin)).collect());
        Some(Route {
            name: name.to_owned(),
            prefix: prefix?,
            authentication: authentication?,
            decisions,
            forward_authorization: route.forward_authorization,
            upstream_name: route.upstream.get_ref().clone(),
            upstream: replicas.as_ref()?.bases.first()?.clone(),
            replicas: replicas?,
            sheds_before_working: known?.sheds_before_working,
            concurrency: bounds?,
            waiting: concurrency.waiting(),
            breaker: known?.breaker.policy(),
            hapi: route.hapi,
            surface: surface.ok()?.notifying(notified),
            audit: route.audit && file.audit.is_some(),
            plugins,
            only_obliged: self.only_obliged(route, file, plugin_names, given.policies.as_ref()),
            request_body: route.request_body.as_ref().map_or(most, |own| *own.get_ref()).0,
            requests_at_once: route.requests_at_once,
            rate,
            cors,
            compression: route.compression,
            gzip: known?.gzip,
            xml: route.xml,
        })
    }

    fn prefix(&mut self, path: &Spanned<String>) -> Option<String> {
        let text = path.get_ref();
        // The grammar of a base URL's path is the grammar of a prefix.
        match Base::parse(&format!("http://h{text}")) {
            Ok(base) if text.starts_with('/') => Some(base.path().to_owned()),
            _ => {
                self.problem(path, "a path starts with / and has plain segments: \"/fhir\"");
                None
            }
        }
    }

    fn no_overlap(&mut self, routes: &BTreeMap<String, file::Route>) {
        let below = |path: &str| format!("{}/", path.trim_end_matches('/'));
        for (n, (name, route)) in routes.iter().enumerate() {
            for (other, earlier) in routes.iter().take(n) {
                let (a, b) = (below(route.path.get_ref()), below(earlier.path.get_ref()));
                if a.starts_with(&b) || b.starts_with(&a) {
                    let message = format!("the paths of the routes {other} and {name} overlap");
                    self.problem(&route.path, message);
                }
            }
        }
    }

    fn plugin(&mut self, name: &str, plugin: &file::Plugin, file: &file::File) -> Option<Plugin> {
        let component = self.folder.join(plugin.component.get_ref());
        if !component.is_file() {
            let message = format!("there is no file {}", component.display());
            self.problem(&plugin.component, message);
        }
        let digest = plugin.digest.as_ref().and_then(|text| self.parsed(text, digest));
        let files: Vec<_> = plugin
            .files
            .iter()
            .filter_map(|(known_as, path)| Some((known_as.clone(), path.get_ref().clone(), self.read(path)?)))
            .collect();
        let pseudonym = plugin.grants.pseudonym.as_ref().and_then(|grant| {
            let key = self.secret(&grant.key)?;
            let (project, open) = (grant.project.clone(), grant.open);
            Some(Pseudonym { key, project, date_range_days: grant.date_range_days, open })
        });
        let settings = serde_json::to_value(&plugin.settings).unwrap_or_default();
        Some(Plugin {
            name: name.to_owned(),
            component,
            digest,
            on_failure: plugin.on_failure,
            settings,
            files,
            pseudonym,
            grants: self.granted(name, &plugin.grants, file),
            retarget: plugin.grants.retarget,
            cpu_per_call: plugin.cpu_per_call.map_or(defaults::PLUGIN_CPU, |t| t.0),
            wall_per_call: plugin.wall_per_call.map_or(defaults::PLUGIN_WALL, |t| t.0),
            memory: plugin.memory.map_or(defaults::PLUGIN_MEMORY, |s| s.0),
            table_elements: plugin.table_elements.map_or(defaults::PLUGIN_TABLES, NonZeroU32::get),
            reuse: plugin.reuse,
        })
    }

    /// The directory of what is kept durably.
    pub(super) fn state(&self, state: &file::State) -> Option<PathBuf> {
        match &state.directory {
            Some(directory) => Some(self.folder.join(directory)),
            // Several are separated by colons; the first is ours.
            None => {
                let directories = std::env::var_os("STATE_DIRECTORY")?;
                std::env::split_paths(&directories).next()
            }
        }
    }

    /// A path, which counts from the file's folder.
    pub(super) fn path(&self, path: &Spanned<String>) -> PathBuf {
        self.folder.join(path.get_ref())
    }

    fn pages(&mut self, pages: &file::Pages) -> Pages {
        let mut keys = Vec::new();
        for source in &pages.keys {
            let Some(key) = self.secret(source) else { continue };
            if let Err(weak) = fireguard_plugin_host::Secret::new(key.expose().to_vec()).check() {
                self.problems.push(Problem::at(source.span(), weak.to_string()));
            }
            keys.push(key);
        }
        Pages { keys, lifetime: pages.lifetime.0 }
    }

    fn address(&mut self, text: &Spanned<String>) -> Option<SocketAddr> {
        self.parsed(text, |t| {
            SocketAddr::from_str(t).map_err(|_| "write an IP address and a port: \"0.0.0.0:8088\"")
        })
    }

    pub(super) fn read(&mut self, path: &Spanned<String>) -> Option<Vec<u8>> {
        let full = self.folder.join(path.get_ref());
        std::fs::read(&full)
            .map_err(|error| self.problem(path, format!("cannot read {}: {error}", full.display())))
            .ok()
    }

    pub(super) fn secret(&mut self, source: &Spanned<SecretSource>) -> Option<Secret> {
        let at = match source.get_ref() {
            SecretSource::File(path) => {
                SecretSource::File(self.folder.join(path).to_string_lossy().into_owned())
            }
            env @ SecretSource::Env(_) => env.clone(),
        };
        at.read().map_err(|message| self.problems.push(Problem::at(source.span(), message))).ok()
    }

    pub(super) fn parsed<T, E: ToString>(
        &mut self,
        text: &Spanned<String>,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        parse(text.get_ref()).map_err(|error| self.problem(text, error.to_string())).ok()
    }

    pub(super) fn unknown<'a>(
        &mut self,
        what: &str,
        name: &Spanned<String>,
        known: impl Iterator<Item = &'a str> + Clone,
    ) {
        let help = near(name.get_ref(), known.clone()).unwrap_or_else(|| one_of(known));
        let message = format!("there is no {what} named {:?}", name.get_ref());
        self.problems.push(Problem::at(name.span(), message).help(help));
    }

    pub(super) fn problem(&mut self, place: &Spanned<String>, message: impl Into<String>) {
        self.problems.push(Problem::at(place.span(), message));
    }
}

/// SHA-256 as it is written: `sha256:` and hexadecimal digits.
fn digest(text: &str) -> Result<[u8; 32], &'static str> {
    const HOW: &str = "a digest is sha256: and 64 hexadecimal digits";
    let digits = text.strip_prefix("sha256:").ok_or(HOW)?;
    let nibbles = digits.chars().map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()));
    let nibbles: Vec<u8> = nibbles.collect::<Option<_>>().ok_or(HOW)?;
    let bytes: Vec<u8> =
        nibbles.chunks(2).map(|pair| pair.iter().fold(0, |byte, nibble| byte << 4 | nibble)).collect();
    bytes.try_into().ok().filter(|_| nibbles.len() == 64).ok_or(HOW)
}

/// An origin as browsers write it.
fn origin(text: &str) -> Result<HeaderValue, &'static str> {
    const HOW: &str = "an origin is a scheme, a host and no path: \"https://app.example.org\"";
    match text {
        "*" => Err("name the origins: with \"*\" any page could read what its visitors may"),
        _ if text.ends_with('/') => Err(HOW),
        _ => {
            let base = Base::parse(text).ok().filter(|base| base.path().is_empty());
            base.and_then(|base| HeaderValue::from_str(&base.to_string()).ok()).ok_or(HOW)
        }
    }
}

fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let close = |candidate: &&str| strsim::damerau_levenshtein(name, candidate) <= 1 + name.len() / 4;
    known
        .filter(close)
        .min_by_key(|candidate| strsim::damerau_levenshtein(name, candidate))
        .map(|candidate| format!("did you mean {candidate:?}?"))
}

fn one_of<'a>(known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.collect();
    if known.is_empty() { "there are none".into() } else { format!("one of: {}", known.join(", ")) }
}

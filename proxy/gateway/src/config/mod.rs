//! The configuration: read, checked as a whole, resolved.

pub mod audit;
pub mod buckets;
pub mod certificates;
pub mod credentials;
pub mod defaults;
pub mod file;
pub mod grants;
pub mod hapi;
pub mod issuers;
mod obliged;
mod place;
pub mod policies;
mod rate;
mod replicas;
mod report;
mod resolve;
pub mod units;
mod upstream;
pub mod users;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fireguard_access::authentication::certificate::Clients;
use fireguard_access::policy::Decisions;
use fireguard_access::surface::Surface;
use fireguard_fhir::base::Base;
use fireguard_state::s3::Bucket;
use fireguard_traffic::breaker::BreakerPolicy;
use fireguard_traffic::concurrency::{Bounds, Waiting};
use fireguard_traffic::forwarded::TrustedPeers;
use fireguard_traffic::rate::Quotas;
use http::HeaderValue;

pub use certificates::ClientCa;
pub use credentials::{Proof, ServerCredentials, TokenSource};
pub use file::{LogFormat, LogLevel, OnFailure, Runtime};
pub use issuers::{Authentication, Way};
pub use place::{line, place};
pub use replicas::{Replicas, ServerTls};
pub use report::{Problem, Report};
use units::Secret;

/// A configuration in which every name leads somewhere and every value is of its type.
#[derive(Debug)]
pub struct Config {
    /// Where clients connect.
    pub server: Server,
    /// Where health and metrics are served.
    pub admin: SocketAddr,
    /// Users in a file.
    pub users: Option<users::Users>,
    /// Whom client certificates stand for.
    pub certificates: Clients,
    /// The ways in; no prefix is a prefix of another.
    pub routes: Vec<Route>,
    /// The plugins that routes use or not.
    pub plugins: Vec<Plugin>,
    /// The directory of what is kept durably.
    pub state: Option<PathBuf>,
    /// Buckets of S3 servers, by their names.
    pub buckets: BTreeMap<String, Bucket>,
    /// Who did what, and where that is noted.
    pub audit: Option<audit::Auditing>,
    /// Links to further pages.
    pub pages: Pages,
    /// Times and sizes.
    pub limits: file::Limits,
    /// What is logged.
    pub log: file::Log,
}

/// Where clients connect.
#[derive(Debug)]
pub struct Server {
    /// Address and port.
    pub listen: SocketAddr,
    /// Scheme and host of the links we make; none: each request's own.
    pub public_url: Option<Base>,
    /// How many cores serve.
    pub workers: usize,
    /// How they share the work.
    pub runtime: Runtime,
    /// Certificates, if TLS is served.
    pub tls: Option<Tls>,
    /// Whose forwarding headers are believed.
    pub trusted: TrustedPeers,
    /// Trusted peers start connections with a PROXY protocol v2 header.
    pub proxy_protocol: bool,
    /// Where compiled plugins are kept.
    pub cache: Option<PathBuf>,
}

/// Certificates, not yet parsed.
#[derive(Debug)]
pub struct Tls {
    /// PEM bytes of the chain.
    pub certificate: Vec<u8>,
    /// PEM bytes of the key.
    pub key: Secret,
    /// Who signs clients' certificates; none: clients are not asked for any.
    pub clients: Option<ClientCa>,
}

/// A way in.
#[derive(Debug)]
pub struct Route {
    /// Its name, in logs and metrics.
    pub name: String,
    /// The path of its FHIR base, `/fhir`, or empty for the root.
    pub prefix: String,
    /// Who may come in.
    pub authentication: Authentication,
    /// What is decided of them; none: whatever the route lets through is allowed.
    pub decisions: Option<Decisions>,
    /// The caller's `Authorization` header goes on to the FHIR server.
    pub forward_authorization: bool,
    /// The FHIR server's name.
    pub upstream_name: String,
    /// The FHIR server's base as seen from here, and if there are several replicas the first one's.
    pub upstream: Base,
    /// All its replicas.
    pub replicas: Replicas,
    /// The FHIR server answers 503 only before it works.
    pub sheds_before_working: bool,
    /// How many requests are at the FHIR server at once.
    pub concurrency: Bounds,
    /// How many wait for it, and how long.
    pub waiting: Waiting,
    /// When the FHIR server is left alone.
    pub breaker: BreakerPolicy,
    /// Where HAPI is put right.
    pub hapi: hapi::Hapi,
    /// What it lets through.
    pub surface: Surface,
    /// It is noted who does what.
    pub audit: bool,
    /// The plugins that see its resources, by index into [`Config::plugins`].
    pub plugins: Vec<usize>,
    /// Of these, those that run only where a policy asks for them.
    pub only_obliged: BTreeSet<usize>,
    /// The largest request body, in bytes.
    pub request_body: u64,
    /// Requests at once.
    pub requests_at_once: Option<NonZeroU32>,
    /// How often one client may ask.
    pub rate: Option<Quotas>,
    /// Compress answers for clients that take them so.
    pub compression: bool,
    /// The FHIR server is asked for compressed answers.
    pub gzip: bool,
    /// XML is spoken as well as JSON.
    pub xml: bool,
    /// The origins whose pages may read its answers, as browsers write them.
    pub cors: Option<Vec<HeaderValue>>,
}

/// Links to further pages.
#[derive(Debug)]
pub struct Pages {
    /// Secrets that keys are made of, the one that encrypts first; none: chance is one.
    pub keys: Vec<Secret>,
    /// How long a link is good.
    pub lifetime: Duration,
}

/// A plugin, its files read.
#[derive(Debug)]
pub struct Plugin {
    /// Its name.
    pub name: String,
    /// The component's file.
    pub component: PathBuf,
    /// SHA-256 that the component must have.
    pub digest: Option<[u8; 32]>,
    /// What happens when it fails.
    pub on_failure: OnFailure,
    /// Its settings.
    pub settings: serde_json::Value,
    /// Name, path as written, content.
    pub files: Vec<(String, String, Vec<u8>)>,
    /// The grant of keyed tokens and date offsets.
    pub pseudonym: Option<Pseudonym>,
    /// Its other grants.
    pub grants: grants::Granted,
    /// It may ask for another resource than the caller.
    pub retarget: bool,
    /// Processor time of one call.
    pub cpu_per_call: Duration,
    /// Time of one call, waits included.
    pub wall_per_call: Duration,
    /// Bytes of memory of one instance.
    pub memory: u64,
    /// Elements of the tables of one instance.
    pub table_elements: u32,
    /// When an instance for several exchanges ends; none: each exchange has its own.
    pub reuse: Option<file::Reuse>,
}

/// The grant of keyed tokens and date offsets.
#[derive(Debug)]
pub struct Pseudonym {
    /// The key.
    pub key: Secret,
    /// The project's name.
    pub project: String,
    /// Dates move by at most this many days; none: the host's default.
    pub date_range_days: Option<u16>,
    /// Sealed ids may be opened.
    pub open: bool,
}

impl Config {
    /// Reads and checks the file at `path`. Relative paths inside it count from its folder.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load(path: &Path) -> Result<Self, Report> {
        Self::parse(&Self::read(path)?, path)
    }

    /// The text of the file at `path`, unchecked.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(path: &Path) -> Result<String, Report> {
        std::fs::read_to_string(path).map_err(|error| {
            let message = format!("cannot read {}: {error}", path.display());
            let help = "name it with --config, or write one with `fireguard init --upstream URL`".to_owned();
            Report::new(path, "", vec![Problem { message, span: None, help: Some(help) }])
        })
    }

    /// Checks `text`, which stands in the file at `path`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str, path: &Path) -> Result<Self, Report> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let file = toml::from_str(text)
            .map_err(|error| Report::new(path, text, vec![resolve::syntax(&error, text)]))?;
        resolve::resolve(file, folder).map_err(|problems| Report::new(path, text, problems))
    }
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

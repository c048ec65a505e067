//! What the FHIR servers say of themselves: only R4 is spoken here, so only R4 is served.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fireguard_fhir::base::Base;
use fireguard_traffic::upstream::Tls;
use futures_util::future::try_join_all;
use http::HeaderValue;
use reqwest::{Client, Response, header, redirect};
use serde::Deserialize;

use crate::replicas::Group;
use crate::state::{Route, Shared};

/// How often a server that does not answer is asked again.
const AGAIN: Duration = Duration::from_secs(2);
/// HAPI needs a second for its first CapabilityStatement.
const PATIENCE: Duration = Duration::from_secs(20);

/// The servers whose version is not known yet, by their bases, and why.
#[derive(Debug, Clone, Default)]
pub struct Unknown(Arc<Mutex<BTreeMap<String, String>>>);

/// A server that speaks another version.
#[derive(Debug, thiserror::Error)]
#[error("the FHIR server at {base} says it speaks FHIR {version}: only R4 (4.0.x) is supported")]
pub struct WrongVersion {
    base: Base,
    version: String,
}

/// Why a server's version is not known.
#[derive(Debug, thiserror::Error)]
pub enum NoVersion {
    /// There was no answer.
    #[error("{base} cannot be reached: {cause}")]
    Unreachable {
        /// The base that was asked.
        base: Base,
        /// What the connection says.
        cause: String,
    },
    /// There was one, but none that a FHIR server gives. It is described, not quoted.
    #[error("{base}/metadata answered {found}: is {base} the FHIR base?")]
    NotTheBase {
        /// The base that was asked.
        base: Base,
        /// Status and kind of the answer.
        found: String,
    },
    /// The server is there, but does not work, or not yet.
    #[error("{base}/metadata answered {status}")]
    Failing {
        /// The base that was asked.
        base: Base,
        /// The status.
        status: reqwest::StatusCode,
    },
}

/// What is read of a CapabilityStatement.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    fhir_version: String,
}

impl Unknown {
    /// Every server that a route leads to: none has been asked yet.
    pub fn before_asking(shared: &Shared) -> Self {
        Self::of(shared.routes.iter().map(|route| route.upstream_url.clone()))
    }

    /// The servers of `after` that no route of `before` leads to.
    pub fn newcomers(before: &Shared, after: &Shared) -> Self {
        let urls = |shared: &Shared| -> BTreeSet<_> {
            shared.routes.iter().map(|route| route.upstream_url.clone()).collect()
        };
        Self::of(urls(after).difference(&urls(before)).cloned())
    }

    /// Forgets the servers that are gone, and takes in those of `newcomers` whose version is still not known.
    pub fn succeed(&self, after: &Shared, newcomers: &Self) {
        let mut servers = self.lock();
        servers.retain(|url, _| after.routes.iter().any(|route| route.upstream_url == *url));
        servers.extend(newcomers.lock().clone());
    }

    /// Why the version of the server at this base is not known; none: it is.
    pub fn why(&self, url: &str) -> Option<String> {
        self.lock().get(url).cloned()
    }

    fn of(urls: impl Iterator<Item = String>) -> Self {
        let not_asked = "it has not said its version yet";
        Self(Arc::new(Mutex::new(urls.map(|url| (url, not_asked.to_owned())).collect())))
    }

    /// Notes the reason, and says whether it is another than before. A server that is gone is not noted.
    fn note(&self, url: &str, reason: &str) -> bool {
        match self.lock().get_mut(url) {
            Some(known) => std::mem::replace(known, reason.to_owned()) != reason,
            None => false,
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the servers whose version is not known, all at once, until all have answered or are gone. The state is not held
/// meanwhile: a server may never answer.
///
/// # Errors
/// One speaks another version.
pub fn require_r4(
    shared: &Shared,
    unknown: &Unknown,
) -> impl Future<Output = Result<(), WrongVersion>> + Send + use<> {
    let routes = shared.routes.iter().filter(|route| unknown.why(&route.upstream_url).is_some());
    let one = |route: &Arc<Route>| {
        (route.upstream_url.clone(), (route.upstream_name.clone(), Arc::clone(&route.group)))
    };
    let servers: BTreeMap<_, _> = routes.map(one).collect();
    let unknown = unknown.clone();
    async move {
        if servers.is_empty() {
            return Ok(());
        }
        let ask = |(url, (name, group))| ask(&unknown, url, name, group);
        try_join_all(servers.into_iter().map(ask)).await.map(drop)
    }
}

async fn ask(unknown: &Unknown, url: String, name: String, group: Arc<Group>) -> Result<(), WrongVersion> {
    while unknown.why(&url).is_some() {
        // Anew each time: a token may have ended since.
        let found = match group.authorization().await.map(|who| client(group.tls(), who)) {
            Ok(Ok(client)) => any_version(&client, &group.configured.bases).await,
            Ok(Err(error)) => Err(error.to_string()),
            Err(reason) => Err(reason),
        };
        match found {
            Ok((_, version)) if version.starts_with("4.0") => {
                if unknown.lock().remove(&url).is_some() {
                    tracing::info!(upstream = name, fhir_version = version, "the FHIR server speaks R4");
                }
                return Ok(());
            }
            Ok((base, version)) => return Err(WrongVersion { base, version }),
            Err(reason) => {
                if unknown.note(&url, &reason) {
                    tracing::warn!(upstream = name, reason, "the FHIR server does not say its version");
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
    Ok(())
}

/// The version that one of the replicas says, and which; or why none does. They are one server: one of them is enough.
async fn any_version(client: &Client, bases: &[Base]) -> Result<(Base, String), String> {
    let mut reasons = Vec::new();
    for base in bases {
        match version(client, base).await {
            Ok(version) => return Ok((base.clone(), version)),
            Err(reason) => reasons.push(reason.to_string()),
        }
    }
    Err(reasons.join("; "))
}

/// The same while others are served already: a server of another version is only said not to be ready.
pub async fn keep_asking(asking: impl Future<Output = Result<(), WrongVersion>>, unknown: &Unknown) {
    if let Err(wrong) = asking.await {
        tracing::error!(%wrong, "a new server speaks another version of FHIR");
        unknown.note(&wrong.base.to_string(), &wrong.to_string());
    }
}

/// A client that asks a server for its version, over the TLS that is configured for it, and says who we are.
///
/// # Errors
/// There is no TLS to be had.
pub fn client(tls: Option<&Tls>, who: Option<HeaderValue>) -> reqwest::Result<Client> {
    let who = who.map(|who| (header::AUTHORIZATION, who)).into_iter().collect();
    let builder = Client::builder()
        .default_headers(who)
        .timeout(PATIENCE)
        .no_proxy()
        .redirect(redirect::Policy::none());
    match tls {
        None => builder.build(),
        Some(tls) => builder.tls_backend_preconfigured(tls.config()).build(),
    }
}

/// The `fhirVersion` of the server at `base`.
///
/// # Errors
/// It does not say, and how it looks.
pub async fn version(client: &Client, base: &Base) -> Result<String, NoVersion> {
    let unreachable =
        |error: reqwest::Error| NoVersion::Unreachable { base: base.clone(), cause: cause(&error) };
    let request = client.get(format!("{base}/metadata")).header(header::ACCEPT, "application/fhir+json");
    let answer = request.send().await.map_err(unreachable)?;
    let status = answer.status();
    if status.is_server_error() {
        return Err(NoVersion::Failing { base: base.clone(), status });
    }
    let kind = kind(&answer);
    let not_the_base = |found| NoVersion::NotTheBase { base: base.clone(), found };
    if !status.is_success() {
        return Err(not_the_base(format!("{status} ({kind})")));
    }
    let body = answer.bytes().await.map_err(unreachable)?;
    match serde_json::from_slice::<Statement>(&body) {
        Ok(statement) => Ok(statement.fhir_version),
        Err(error) if error.is_data() => Err(not_the_base("JSON without a fhirVersion".to_owned())),
        Err(_) => Err(not_the_base(format!("what is no JSON ({kind})"))),
    }
}

fn kind(answer: &Response) -> String {
    if let Some(place) = answer.headers().get(header::LOCATION) {
        return format!("a redirect to {}", place.to_str().unwrap_or("an unreadable place"));
    }
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    match kind.and_then(|kind| kind.split(';').next()) {
        Some("text/html") => "HTML".to_owned(),
        Some(kind) => kind.to_owned(),
        None => "without a Content-Type".to_owned(),
    }
}

fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer within {} s", PATIENCE.as_secs());
    }
    let mut last = error.source();
    while let Some(deeper) = last.and_then(std::error::Error::source) {
        last = Some(deeper);
    }
    last.map_or_else(|| "the connection broke".to_owned(), ToString::to_string)
}

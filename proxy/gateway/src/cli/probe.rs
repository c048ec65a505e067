//! Tries a configuration out: a Fireguard on a free port, and what a careful client would ask it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Response;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::config::{Authentication, Config};
use crate::server::{self, Live, Server};
use crate::state::{Route, Shared};
use crate::upstreams;

/// What one check found.
pub(super) struct Finding {
    /// It is as it should be.
    pub(super) good: bool,
    pub(super) topic: Topic,
    pub(super) text: String,
    /// The route, or the server if it was asked directly.
    pub(super) subject: String,
    /// The server's name in the configuration, or the bucket's.
    pub(super) upstream: String,
}

/// What a check is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topic {
    /// Whether it can be reached and what it speaks.
    Metadata,
    /// The length of request heads.
    Head,
    /// The length of request bodies.
    Body,
    /// How much at once.
    Pool,
    /// Links to further pages.
    Paging,
    /// The server's address in answers.
    Leaks,
    /// Objects.
    Bucket,
}

impl Topic {
    fn as_str(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Head => "head",
            Self::Body => "body",
            Self::Pool => "pool",
            Self::Paging => "paging",
            Self::Leaks => "leaks",
            Self::Bucket => "bucket",
        }
    }
}

impl Finding {
    /// The same with what it is about: `init` has one route and one server only.
    pub(super) fn with_subject(&self) -> String {
        let verdict = if self.good { "ok  " } else { "FAIL" };
        format!("{verdict} {:<9} {}: {}", self.topic.as_str(), self.subject, self.text)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:<9} {}", if self.good { "ok  " } else { "FAIL" }, self.topic.as_str(), self.text)
    }
}

/// Asks each route for metadata, three pages of a search and two errors, and looks for the server's address in all
/// of it.
pub(super) async fn probe(mut config: Config) -> Result<Vec<Finding>, Box<dyn Error>> {
    config.server.listen = ([127, 0, 0, 1], 0).into();
    config.server.workers = 1;
    config.server.public_url = None;
    config.server.tls = None;
    // It listens for a moment, to this machine only, and what is asked is whether the way to the server is good.
    config.routes.iter_mut().for_each(|route| route.authentication = Authentication::None);
    let sockets = server::open(config.server.listen, config.server.workers)?;
    let live = Arc::new(Live::new(Arc::new(Shared::build(config).await?))?);
    live.shared().tend(&Handle::current());
    let (stopping, stop) = watch::channel(false);
    let server = Server::start(&live, &sockets, &stop)?;
    let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).no_proxy().build()?;
    let mut findings = Vec::new();
    for route in &live.shared().routes {
        let probe = Probe {
            base: format!("http://{}{}", server.address(), route.prefix),
            route: Arc::clone(route),
            client: client.clone(),
            direct: upstreams::client(route.group.tls(), route.group.authorization().await?)?,
            findings: Vec::new(),
            leaks: Vec::new(),
        };
        findings.extend(probe.run().await);
    }
    stopping.send_replace(true);
    tokio::task::spawn_blocking(|| server.join()).await?;
    Ok(findings)
}

struct Probe {
    base: String,
    route: Arc<Route>,
    /// Asks through Fireguard.
    client: reqwest::Client,
    /// Asks the server itself.
    direct: reqwest::Client,
    findings: Vec<Finding>,
    /// The URLs whose answers named the server.
    leaks: Vec<String>,
}

/// No answer that can be used.
struct Wrong {
    /// It is an answer 4xx.
    refused: bool,
    text: String,
}

impl Probe {
    async fn run(mut self) -> Vec<Finding> {
        // First without Fireguard: what a wrong base answers says more than our refusal of it.
        let direct = upstreams::version(&self.direct, &self.route.upstream).await;
        if let Err(reason) = direct {
            self.note(false, Topic::Metadata, reason.to_string());
            return self.findings;
        }
        let metadata = self.get(&format!("{}/metadata", self.base)).await;
        let reached = match metadata {
            Ok(statement) => {
                let version = statement["fhirVersion"].as_str().unwrap_or("no version").to_owned();
                let software = statement["software"]["name"].as_str().unwrap_or("unnamed server");
                let text = format!(
                    "{software} {}, FHIR {version}",
                    statement["software"]["version"].as_str().unwrap_or("")
                );
                self.note(version.starts_with("4.0"), Topic::Metadata, text);
                true
            }
            Err(wrong) => {
                self.note(false, Topic::Metadata, wrong.text);
                false
            }
        };
        if reached {
            self.paging().await;
            self.errors().await;
            let text = match self.leaks.first() {
                None => "the server's address is in no answer".to_owned(),
                Some(url) => {
                    format!("the server's address is in {} answer(s), first {url}", self.leaks.len())
                }
            };
            self.note(self.leaks.is_empty(), Topic::Leaks, text);
        }
        self.findings
    }

    /// Follows a search of small pages, as a client does: only by the links.
    async fn paging(&mut self) {
        const SEARCH: &str = "Patient?_count=2";
        let mut url = format!("{}/{SEARCH}", self.base);
        let mut pages = 0;
        while pages < 3 {
            let page = match self.get(&url).await {
                Ok(page) => page,
                Err(Wrong { refused: true, text }) if pages == 0 && self.answers(SEARCH).await => {
                    let text = format!("not tried, the route refuses it: {text}");
                    return self.note(true, Topic::Paging, text);
                }
                Err(Wrong { text, .. }) => {
                    return self.note(false, Topic::Paging, format!("page {}: {text}", pages + 1));
                }
            };
            pages += 1;
            let next = page["link"].as_array().into_iter().flatten().find(|link| link["relation"] == "next");
            let Some(next) = next.and_then(|link| link["url"].as_str()) else { break };
            if !next.starts_with(&self.base) {
                return self.note(
                    false,
                    Topic::Paging,
                    "the next link does not lead through Fireguard".into(),
                );
            }
            url = next.to_owned();
        }
        let text = match pages {
            1 => "one page: the server holds too few patients to try the next link".to_owned(),
            _ => format!("{pages} pages followed"),
        };
        self.note(true, Topic::Paging, text);
    }

    /// Servers like to say in errors where they are.
    async fn errors(&mut self) {
        for wrong in ["Patient/fireguard-doctor-no-such-id", "Patient?fireguard-no-such-parameter=1"] {
            // Only whether it names the server counts.
            let _ = self.get(&format!("{}/{wrong}", self.base)).await;
        }
    }

    /// Whether the server itself answers well.
    async fn answers(&self, path: &str) -> bool {
        let answer = self.direct.get(format!("{}/{path}", self.route.upstream)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    async fn get(&mut self, url: &str) -> Result<Value, Wrong> {
        let broken = |error: reqwest::Error| Wrong { refused: false, text: error.to_string() };
        let answer = self.client.get(url).send().await.map_err(broken)?;
        let status = answer.status();
        let refused = status.is_client_error();
        let named = self.headers_name_the_server(&answer);
        let body = answer.text().await.map_err(broken)?;
        if named || self.names_the_server(&body) {
            self.leaks.push(url.to_owned());
        }
        let no_json = |_| Wrong { refused, text: format!("status {status}, no JSON") };
        let value: Value = serde_json::from_str(&body).map_err(no_json)?;
        if status.is_success() {
            return Ok(value);
        }
        let diagnostics = value["issue"][0]["diagnostics"].as_str().unwrap_or("no reason given");
        Err(Wrong { refused, text: format!("status {status}: {diagnostics}") })
    }

    fn headers_name_the_server(&self, answer: &Response) -> bool {
        answer.headers().values().any(|value| value.to_str().is_ok_and(|text| self.names_the_server(text)))
    }

    /// Whether one of its replicas is named.
    fn names_the_server(&self, text: &str) -> bool {
        let mut bases = self.route.group.configured.bases.iter();
        bases.any(|base| text.contains(&format!("//{}", base.authority())))
    }

    fn note(&mut self, good: bool, topic: Topic, text: String) {
        let (subject, upstream) = (self.route.name.to_string(), self.route.upstream_name.to_string());
        self.findings.push(Finding { good, topic, text, subject, upstream });
    }
}

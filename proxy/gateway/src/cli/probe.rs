//! Tries a configuration out: a Fireguard on a free port, and what a careful client would ask it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fireguard_fhir::base::Base;
use reqwest::Response;
use serde_json::Value;
use tokio::sync::watch;

use crate::config::Config;
use crate::server::{self, Live, Server};
use crate::state::Shared;
use crate::upstreams;

/// What one check found.
pub(super) struct Finding {
    /// It is as it should be.
    pub(super) good: bool,
    what: &'static str,
    text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:<9} {}", if self.good { "ok  " } else { "FAIL" }, self.what, self.text)
    }
}

/// Asks for metadata and for three pages of a search, and looks for the server's address in all of it.
pub(super) async fn probe(mut config: Config) -> Result<Vec<Finding>, Box<dyn Error>> {
    config.server.listen = ([127, 0, 0, 1], 0).into();
    config.server.workers = 1;
    config.server.public_url = None;
    config.server.tls = None;
    let (path, upstream) = match config.routes.first() {
        Some(route) => (route.prefix.clone(), route.upstream.clone()),
        None => return Ok(Vec::new()),
    };
    let sockets = server::open(config.server.listen, config.server.workers)?;
    let live = Arc::new(Live::new(Arc::new(Shared::build(config).await?))?);
    let (stopping, stop) = watch::channel(false);
    let server = Server::start(&live, &sockets, &stop)?;
    let probe = Probe {
        base: format!("http://{}{path}", server.address()),
        upstream,
        client: reqwest::Client::builder().timeout(Duration::from_secs(60)).no_proxy().build()?,
        direct: upstreams::client()?,
        findings: Vec::new(),
        leaks: Vec::new(),
    };
    let findings = probe.run().await;
    stopping.send_replace(true);
    tokio::task::spawn_blocking(|| server.join()).await?;
    Ok(findings)
}

struct Probe {
    base: String,
    upstream: Base,
    /// Asks through Fireguard.
    client: reqwest::Client,
    /// Asks the server itself.
    direct: reqwest::Client,
    findings: Vec<Finding>,
    /// The URLs whose answers named the server.
    leaks: Vec<String>,
}

impl Probe {
    async fn run(mut self) -> Vec<Finding> {
        // First without Fireguard: what a wrong base answers says more than our refusal of it.
        let direct = upstreams::version(&self.direct, &self.upstream).await;
        if let Err(reason) = direct {
            self.note(false, "metadata", reason.to_string());
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
                self.note(version.starts_with("4.0"), "metadata", text);
                true
            }
            Err(text) => {
                self.note(false, "metadata", text);
                false
            }
        };
        if reached {
            self.paging().await;
            let text = match self.leaks.first() {
                None => "the server's address is in no answer".to_owned(),
                Some(url) => {
                    format!("the server's address is in {} answer(s), first {url}", self.leaks.len())
                }
            };
            self.note(self.leaks.is_empty(), "leaks", text);
        }
        self.findings
    }

    /// Follows a search of small pages, as a client does: only by the links.
    async fn paging(&mut self) {
        let mut url = format!("{}/Patient?_count=2", self.base);
        let mut pages = 0;
        while pages < 3 {
            let page = match self.get(&url).await {
                Ok(page) => page,
                Err(text) => return self.note(false, "paging", format!("page {}: {text}", pages + 1)),
            };
            pages += 1;
            let next = page["link"].as_array().into_iter().flatten().find(|link| link["relation"] == "next");
            let Some(next) = next.and_then(|link| link["url"].as_str()) else { break };
            if !next.starts_with(&self.base) {
                return self.note(false, "paging", "the next link does not lead through Fireguard".into());
            }
            url = next.to_owned();
        }
        let text = match pages {
            1 => "one page: the server holds too few patients to try the next link".to_owned(),
            _ => format!("{pages} pages followed"),
        };
        self.note(true, "paging", text);
    }

    async fn get(&mut self, url: &str) -> Result<Value, String> {
        let answer = self.client.get(url).send().await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let named = self.headers_name_the_server(&answer);
        let body = answer.text().await.map_err(|error| error.to_string())?;
        if named || body.contains(&format!("//{}", self.upstream.authority())) {
            self.leaks.push(url.to_owned());
        }
        let value: Value = serde_json::from_str(&body).map_err(|_| format!("status {status}, no JSON"))?;
        if status.is_success() {
            return Ok(value);
        }
        let diagnostics = value["issue"][0]["diagnostics"].as_str().unwrap_or("no reason given");
        Err(format!("status {status}: {diagnostics}"))
    }

    fn headers_name_the_server(&self, answer: &Response) -> bool {
        let address = format!("//{}", self.upstream.authority());
        answer.headers().values().any(|value| value.to_str().is_ok_and(|text| text.contains(&address)))
    }

    fn note(&mut self, good: bool, what: &'static str, text: String) {
        self.findings.push(Finding { good, what, text });
    }
}

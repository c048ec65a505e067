//! What a server takes, asked without Fireguard between.

use fireguard_fhir::base::Base;
use fireguard_traffic::upstream::Tls;
use reqwest::{Client, Response, header};
use serde_json::Value;

use crate::cli::probe::{Finding, Topic};
use crate::config::{Route, ServerCredentials, file::Limits};
use crate::credentials::Credentials;
use crate::upstreams;

/// A body of so many bytes is tried at the most: enough for the limits that servers and balancers have by default.
const BODY: u64 = 8 << 20;
/// The request line and headers that are there besides.
const REST: usize = 256;

/// A replica of a server and what the configuration says of it.
pub(super) struct Server {
    name: String,
    /// Which of several it is.
    label: String,
    base: Base,
    tls: Option<Tls>,
    credentials: Option<ServerCredentials>,
    head: u64,
    body: u64,
    /// The most requests at once.
    most: usize,
}

impl Server {
    /// Those that a route leads to.
    pub(super) fn of(route: &Route, limits: &Limits) -> impl Iterator<Item = Self> {
        let name = &route.upstream_name;
        let several = route.replicas.bases.len() > 1;
        route.replicas.bases.iter().map(move |base| Self {
            name: name.clone(),
            label: if several { format!("{name} at {}", base.authority()) } else { name.clone() },
            base: base.clone(),
            tls: route.replicas.tls.as_ref().map(|tls| tls.tls.clone()),
            credentials: route.replicas.credentials.clone(),
            head: limits.upstream_head.0,
            body: limits.request_body.0.min(BODY),
            most: route.concurrency.most,
        })
    }

    /// What is found, all of it or that it cannot be reached.
    pub(super) async fn examine(&self) -> reqwest::Result<Vec<Finding>> {
        let who = match self.credentials.clone().map(Credentials::new) {
            None => None,
            Some(credentials) => match credentials.once().await {
                Ok(who) => Some(who),
                Err(reason) => return Ok(vec![self.finding(false, Topic::Metadata, reason.to_string())]),
            },
        };
        let client = upstreams::client(self.tls.as_ref(), who)?;
        let (good, text) = match upstreams::version(&client, &self.base).await {
            Ok(version) => (version.starts_with("4.0"), format!("{} speaks FHIR {version}", self.base)),
            Err(reason) => (false, reason.to_string()),
        };
        let mut findings = vec![self.finding(good, Topic::Metadata, text)];
        if good {
            findings.push(self.head(&client).await);
            findings.push(self.body(&client).await);
            findings.push(self.pool(&client).await);
        }
        Ok(findings)
    }

    /// Whether it takes a head as long as Fireguard may send.
    async fn head(&self, client: &Client) -> Finding {
        let url = format!("{}/metadata?_summary=true", self.base);
        let filler = (self.head as usize).saturating_sub(url.len() + REST);
        let asked = client.get(url).header("x-filler", "x".repeat(filler)).send().await;
        let (good, text) = match asked {
            Ok(answer) if answer.status().is_success() => (true, format!("takes {} bytes", self.head)),
            Ok(answer) => {
                (false, format!("a request head of {} bytes is answered {}", self.head, answer.status()))
            }
            Err(_) => (false, format!("a request head of {} bytes gets no answer", self.head)),
        };
        self.finding(good, Topic::Head, text)
    }

    /// Whether it reads a body as long as Fireguard may send: nothing but spaces, to an operation that stores nothing.
    async fn body(&self, client: &Client) -> Finding {
        let mut body = br#"{"resourceType":"Parameters""#.to_vec();
        body.resize(self.body.max(64) as usize - 1, b' ');
        body.push(b'}');
        let kind = "application/fhir+json";
        let request =
            client.post(format!("{}/Patient/$validate", self.base)).header(header::CONTENT_TYPE, kind);
        let (good, text) = match request.header(header::ACCEPT, kind).body(body).send().await {
            // Whatever it thinks of it, it has read it: before a FHIR server there is none that speaks FHIR.
            Ok(answer) if speaks_fhir(&answer) && answer.status() != 413 => {
                (true, format!("takes {} bytes", self.body))
            }
            Ok(answer) => (false, format!("a body of {} bytes is answered {}", self.body, answer.status())),
            Err(_) => (false, format!("a body of {} bytes gets no answer", self.body)),
        };
        self.finding(good, Topic::Body, text)
    }

    /// Whether its database pool is as large as what Fireguard may ask at once, where its actuator tells.
    async fn pool(&self, client: &Client) -> Finding {
        let (scheme, host) = (self.base.scheme().as_str(), self.base.authority());
        let url = format!("{scheme}://{host}/actuator/metrics/hikaricp.connections.max");
        let size = async {
            let value: Value =
                client.get(url).send().await.ok()?.error_for_status().ok()?.json().await.ok()?;
            value["measurements"][0]["value"].as_f64()
        };
        let most = self.most;
        let (good, text) = match size.await {
            Some(size) if most as f64 > size => {
                (false, format!("up to {most} requests at once meet {size} database connections"))
            }
            Some(size) => (true, format!("up to {most} requests at once, {size} database connections")),
            None => (
                true,
                format!(
                    "up to {most} requests at once; it needs as many database connections, and does not tell"
                ),
            ),
        };
        self.finding(good, Topic::Pool, text)
    }

    fn finding(&self, good: bool, topic: Topic, text: String) -> Finding {
        let (subject, upstream) = (self.label.clone(), self.name.clone());
        Finding { good, topic, text, subject, upstream }
    }
}

fn speaks_fhir(answer: &Response) -> bool {
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/fhir+json"))
}

//! Fireguard before a stand-in.

use fireguard_test_support::gateway::Gateway;
use fireguard_test_support::issuer::Issuer;
use fireguard_test_support::standin::{Answer, Received, StandIn};

use crate::http::{Ask, Reply};

/// A Fireguard and the FHIR server behind it, for one test. The route is `/fhir`.
pub(crate) struct Rig {
    pub(crate) standin: StandIn,
    pub(crate) gateway: Gateway,
}

/// What a test changes of the configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Change {
    /// Lines of `[server]`.
    pub(crate) server: String,
    /// Lines of `[limits]`.
    pub(crate) limits: String,
    /// Lines of `[upstreams.hapi]`.
    pub(crate) upstream: String,
    /// Further tables, with their headings.
    pub(crate) tables: String,
}

impl Rig {
    /// With one worker, so that it is known which connections are reused.
    pub(crate) async fn start() -> Self {
        Self::with(Change { server: "workers = 1".to_owned(), ..Change::default() }).await
    }

    /// With one worker and these limits.
    pub(crate) async fn limited(limits: &str) -> Self {
        let limits = limits.to_owned();
        Self::with(Change { server: "workers = 1".to_owned(), limits, ..Change::default() }).await
    }

    pub(crate) async fn with(change: Change) -> Self {
        let standin = StandIn::start().await.unwrap();
        let gateway = before(&standin.base_url(), &change).await;
        // Its question for the version must not take an answer that was meant for a test.
        let asked = |r: &[Received]| r.iter().any(|r| r.path() == "/fhir/metadata" && r.answered);
        assert!(standin.received(asked).await, "the server is not asked for its version");
        Self { standin, gateway }
    }

    pub(crate) async fn send(&self, ask: Ask) -> Reply {
        ask.send(self.gateway.listen()).await
    }

    pub(crate) async fn get(&self, target: &str) -> Reply {
        self.send(Ask::get(target)).await
    }

    /// Whatever happened before, it serves.
    pub(crate) async fn assert_serving(&self) {
        self.standin.always("GET", "/fhir/Patient/well", Answer::json(200, WELL));
        let reply = self.get("/fhir/Patient/well").await;
        assert_eq!((reply.status, reply.text().as_str()), (200, WELL));
    }

    /// What the server was sent besides the questions for its version.
    pub(crate) fn arrived(&self) -> Vec<Received> {
        let mut requests = self.standin.requests();
        requests.retain(|request| request.path() != "/fhir/metadata");
        requests
    }

    /// Whether Fireguard gives up its request for this path.
    pub(crate) async fn given_up(&self, path: &str) -> bool {
        self.standin.received(|r| r.iter().any(|r| r.path() == path && r.abandoned)).await
    }

    /// The text of `/metrics`.
    pub(crate) async fn metrics(&self) -> String {
        let address = self.gateway.admin_url();
        Ask::get("/metrics").send(address.trim_start_matches("http://")).await.text()
    }
}

/// A resource.
pub(crate) const WELL: &str = r#"{"resourceType":"Patient","id":"well"}"#;

/// The stand-in is no HAPI: it is asked what a test asks, and may answer a Bundle with nothing.
const AS_IT_IS: &str = "hapi = { check_versions = false, check_transactions = false }";

/// A Fireguard before a server at this base.
pub(crate) async fn before(upstream: &str, change: &Change) -> Gateway {
    let Change { server, limits, upstream: lines, tables } = change;
    // Tests fail on purpose, one fault after another.
    let patient = if lines.contains("breaker") { "" } else { "breaker = { faults = 1_000_000 }" };
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n{server}\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n\
         [log]\nlevel = \"debug\"\n\
         [limits]\n{limits}\n\
         [upstreams.hapi]\nurl = \"{upstream}\"\n{lines}\n{patient}\n\
         [routes.fhir]\npath = \"/fhir\"\nupstream = \"hapi\"\nauthentication = \"none\"\n{AS_IT_IS}\n{tables}"
    );
    tokio::task::spawn_blocking(move || Gateway::start(&config).unwrap()).await.unwrap()
}

/// A Fireguard before this stand-in, where callers show tokens of this issuer.
pub(crate) async fn asking_who(standin: &StandIn, issuer: &Issuer) -> Gateway {
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n{}\
         [upstreams.hapi]\nurl = \"{}\"\n\
         [routes.fhir]\npath = \"/fhir\"\nupstream = \"hapi\"\nauthentication = [\"id\"]\n{AS_IT_IS}\n",
        issuer.configuration("id"),
        standin.base_url(),
    );
    tokio::task::spawn_blocking(move || Gateway::start(&config).unwrap()).await.unwrap()
}

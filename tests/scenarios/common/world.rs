//! A HAPI and a Fireguard before it.

use std::path::PathBuf;

use fireguard_test_support::gateway::Gateway;
use fireguard_test_support::hapi::Hapi;
use fireguard_test_support::repository;
use reqwest::redirect::Policy;

use super::steps::{self, Side, Step};

/// HAPI, shared by all tests of this process, and a Fireguard of this test's own.
pub(crate) struct World {
    pub(crate) hapi: &'static Hapi,
    pub(crate) gateway: Gateway,
    pub(crate) client: reqwest::Client,
}

impl World {
    /// With two plain routes, `/fhir` and `/second/r4`.
    pub(crate) async fn start() -> Self {
        Self::with(&config(SECOND)).await
    }

    /// With a configuration in which `{upstream}` stands for HAPI's base.
    pub(crate) async fn with(config: &str) -> Self {
        let hapi = Hapi::shared().await.expect("a HAPI");
        let gateway = gateway(config, hapi.base_url()).await;
        Self { hapi, gateway, client: client() }
    }

    /// Fireguard's base of the route `/fhir`.
    pub(crate) fn base(&self) -> String {
        format!("{}/fhir", self.gateway.url())
    }

    /// HAPI's host and port, which no client may see.
    pub(crate) fn hidden(&self) -> &str {
        hidden(self.hapi.base_url())
    }

    /// Takes the steps straight and through Fireguard, and compares. `name` marks what they store.
    pub(crate) async fn compare(&self, name: &str, steps: &[Step]) {
        let direct = Side::new("d", name, self.hapi.base_url());
        let proxied = Side::new("p", name, &self.base());
        steps::compare(&self.client, direct, proxied, self.hidden(), steps).await;
    }
}

/// A configuration with `/fhir` before `{upstream}`, and these tables more.
pub(crate) fn config(more: &str) -> String {
    format!("{BEFORE}{more}")
}

const BEFORE: &str = r#"
[server]
listen = "127.0.0.1:0"
workers = 1

[admin]
listen = "127.0.0.1:0"

[upstreams.hapi]
url = "{upstream}"

[routes.fhir]
path = "/fhir"
upstream = "hapi"
authentication = "none"
"#;

/// Starts a Fireguard; `{upstream}` of the configuration becomes `upstream`.
pub(crate) async fn gateway(config: &str, upstream: &str) -> Gateway {
    let config = config
        .replace("{upstream}", upstream)
        .replace("{plugins}", &repository::target().join("plugins").display().to_string())
        .replace("{policies}", &repository::root().join("policies").display().to_string());
    // Starting waits by blocking; a stand-in on this runtime must be able to answer meanwhile.
    tokio::task::spawn_blocking(move || Gateway::start(&config)).await.unwrap().expect("a Fireguard")
}

/// A client that follows nothing and decodes nothing by itself.
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().redirect(Policy::none()).build().unwrap()
}

/// Host and port of a base URL.
pub(crate) fn hidden(base: &str) -> &str {
    base.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap()
}

/// A new folder of this process for files that a configuration names.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = repository::target().join(format!("gateway/{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

const SECOND: &str = r#"
[routes.second]
path = "/second/r4"
upstream = "hapi"
authentication = "none"
"#;

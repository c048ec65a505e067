//! Plugins that want to know what was written: they are told of every write that the server has acknowledged, at least
//! once, and of nothing else.

use std::path::Path;
use std::time::Duration;

use fireguard_test_support::gateway::Gateway;
use fireguard_test_support::repository;
use fireguard_test_support::standin::{Answer, StandIn};
use serde_json::{Value, json};

use crate::http::{Ask, Reply};
use crate::phases::route;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Told {
    standin: StandIn,
    gateway: Gateway,
}

/// A Fireguard with one plugin of these settings on the route `/w`, in this folder.
async fn start(standin: &StandIn, folder: &Path, settings: &str) -> Gateway {
    let cache = repository::target().join("gateway/cache");
    let settings = format!("phases = [\"written\"], {settings}");
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\ncache = {cache:?}\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [state]\ndirectory = \"state\"\n[upstreams.hapi]\nurl = \"{}\"\n{}",
        standin.base_url(),
        route("w", "", &[("told", &settings, "")]),
    );
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || Gateway::start_in(&folder, &config).unwrap()).await.unwrap()
}

impl Told {
    async fn new(folder: &Path, settings: &str) -> Self {
        let standin = StandIn::start().await.unwrap();
        let gateway = start(&standin, folder, settings).await;
        Self { standin, gateway }
    }

    async fn send(&self, ask: Ask) -> Reply {
        ask.send(self.gateway.listen()).await
    }

    /// What the plugin was told, once it is so many events: interaction, resource, version, length; and their ids.
    async fn told(&self, many: usize) -> (Vec<String>, Vec<String>) {
        let mut lines = Vec::new();
        self.until(|log| {
            lines = log.lines().filter_map(told_of).collect();
            lines.len() >= many
        })
        .await;
        assert_eq!(lines.len(), many, "{lines:?}");
        lines
            .into_iter()
            .map(|line| line.rsplit_once(' ').map(|(l, id)| (l.to_owned(), id.to_owned())).unwrap())
            .unzip()
    }

    async fn until(&self, mut there: impl FnMut(&str) -> bool) {
        let waited = async {
            while !there(&self.gateway.log()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waited).await;
        assert!(waited.is_ok(), "{}", self.gateway.log());
    }

    /// The value of a metric.
    async fn metric(&self, name: &str) -> String {
        let address = self.gateway.admin_url();
        let text = Ask::get("/metrics").send(address.trim_start_matches("http://")).await.text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().to_owned()
    }
}

fn told_of(line: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    ["message", "line", "text"]
        .iter()
        .find_map(|name| line[*name].as_str()?.strip_prefix("told ").map(str::to_owned))
}

fn folder(name: &str) -> std::path::PathBuf {
    let folder = repository::target().join(format!("gateway/{}-written-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

const PATIENT: &str = r#"{"resourceType":"Patient","id":"1"}"#;

fn located(status: u16, location: &str) -> Answer {
    Answer::json(status, PATIENT).header("Location", location).header("ETag", "W/\"7\"")
}

#[tokio::test]
async fn every_acknowledged_write_is_told_and_nothing_else() {
    let told = Told::new(&folder("all"), "written = \"tell\"").await;
    let base = told.standin.base_url();
    let at = |path: &str| format!("{base}/{path}");
    let cases = [
        ("POST", "/w/Patient", located(201, &at("Patient/1/_history/7")), Some("create Patient/1 7 35")),
        ("PUT", "/w/Patient/1", located(200, ""), Some("update Patient/1 7 35")),
        (
            "PUT",
            "/w/Patient?identifier=x",
            located(200, &at("Patient/5/_history/2")),
            Some("update Patient/5 2 35"),
        ),
        ("DELETE", "/w/Patient/1", Answer::status(204), Some("delete Patient/1 - -")),
        ("DELETE", "/w/Patient?identifier=x", Answer::status(204), None),
        ("PUT", "/w/Patient/1", Answer::outcome(422, "processing"), None),
        ("PUT", "/w/Patient/1", Answer::outcome(412, "conflict"), None),
        ("GET", "/w/Patient/1", Answer::json(200, PATIENT), None),
    ];
    let mut expected = Vec::new();
    for (method, target, answer, event) in cases {
        let path = target.replace("/w/", "/fhir/");
        let status = if method == "GET" { 200 } else { 0 };
        told.standin.next(method, path.split('?').next().unwrap(), [answer]);
        let ask = match method {
            "GET" | "DELETE" => Ask::new(method, target),
            _ => Ask::json(method, target, PATIENT),
        };
        let reply = told.send(ask).await;
        assert!(reply.whole && (status == 0 || reply.status == status), "{method} {target}: {reply:?}");
        expected.extend(event.map(str::to_owned));
        let (found, ids) = told.told(expected.len()).await;
        assert_eq!(found, expected, "{method} {target}");
        let different: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(different.len(), ids.len(), "{ids:?}");
    }
    // A condition that has found something was not written.
    told.standin.next("POST", "/fhir/Patient", [located(200, &at("Patient/9/_history/1"))]);
    let ask = Ask::json("POST", "/w/Patient", PATIENT).header("If-None-Exist", "identifier=x");
    assert_eq!(told.send(ask).await.status, 200);
    let entry = |method: &str, url: &str, resource: Option<&str>| {
        let mut entry = json!({"request": {"method": method, "url": url}});
        if let Some(resource) = resource {
            entry["resource"] = serde_json::from_str(resource).unwrap();
        }
        entry
    };
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        entry("POST", "Patient", Some(PATIENT)),
        entry("GET", "Patient/3", None),
        entry("DELETE", "Observation/4", None),
        entry("PUT", "Patient/1", Some(PATIENT))]});
    let says = |status: &str, location: &str| json!({"response": {"status": status, "location": location}});
    let answer = json!({"resourceType": "Bundle", "type": "transaction-response", "entry": [
        says("201 Created", "Patient/6/_history/1"), says("200 OK", "Patient/3/_history/1"),
        says("204 No Content", ""), says("200 OK", "Patient/1/_history/8")]});
    told.standin.next("POST", "/fhir/", [Answer::json(200, answer.to_string())]);
    let reply = told.send(Ask::json("POST", "/w", bundle.to_string())).await;
    assert_eq!((reply.status, reply.json()), (200, answer), "the answer is the server's");
    expected.extend(
        ["create Patient/6 1 35", "delete Observation/4 - -", "update Patient/1 8 35"].map(str::to_owned),
    );
    assert_eq!(told.told(expected.len()).await.0, expected);
}

#[tokio::test]
async fn an_event_comes_again_until_it_is_done() {
    let told = Told::new(&folder("again"), "written = \"second\"").await;
    told.standin.always("PUT", "/fhir/Patient/1", located(200, ""));
    assert_eq!(told.send(Ask::json("PUT", "/w/Patient/1", PATIENT)).await.status, 200);
    let settled = "fireguard_plugin_verdicts_total{plugin=\"told\",verdict=\"done\"}";
    let waited = async {
        while told.metric(settled).await != "1"
            || told.metric("fireguard_plugin_events{plugin=\"told\"}").await != "0"
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waited).await.is_ok());
    assert_eq!(told.metric("fireguard_plugin_verdicts_total{plugin=\"told\",verdict=\"retry\"}").await, "1");
    assert_eq!(told.metric("fireguard_plugin_events_total{plugin=\"told\"}").await, "1");
}

/// A process that is killed tells nobody; the next one does.
#[tokio::test]
async fn events_survive_the_process() {
    let folder = folder("killed");
    let told = Told::new(&folder, "written = \"panic\"").await;
    told.standin.always("PUT", "/fhir/Patient/1", located(200, ""));
    for _ in 0..3 {
        assert_eq!(told.send(Ask::json("PUT", "/w/Patient/1", PATIENT)).await.status, 200);
    }
    told.until(|log| log.matches("an event comes again").count() >= 3).await;
    let Told { standin, gateway } = told;
    // Dropping it kills it.
    drop(gateway);
    let gateway = start(&standin, &folder, "written = \"tell\"").await;
    let told = Told { standin, gateway };
    assert_eq!(told.told(3).await.0, vec!["update Patient/1 7 35"; 3]);
}

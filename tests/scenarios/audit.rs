//! Who did what, as AuditEvents on a real HAPI, found by its searches.

use std::time::Duration;

use fireguard_test_support::issuer::Issuer;
use serde_json::{Value, json};

use crate::common::resources::{bundle, entry};
use crate::common::world::{World, config, folder};

/// How long an event may take to arrive.
const PATIENCE: Duration = Duration::from_secs(180);

struct Audited {
    world: World,
    issuer: Issuer,
    /// Whose events these are: tests share the server.
    subject: &'static str,
}

impl Audited {
    async fn start(subject: &'static str) -> Self {
        let issuer = Issuer::start().await.unwrap();
        let state = folder(subject);
        let config = config(&format!(
            "{}\n[state]\ndirectory = {state:?}\n[audit]\nto = \"upstream:hapi\"\n\
             [routes.audited]\npath = \"/audited\"\nupstream = \"hapi\"\nauthentication = [\"id\"]\n",
            issuer.configuration("id")
        ));
        Self { world: World::with(&config).await, issuer, subject }
    }

    async fn send(&self, method: &str, path: &str, kind: &str, body: &str) -> u16 {
        let token =
            self.issuer.token(json!({"sub": self.subject, "azp": "audit-app", "scope": "system/*.cruds"}));
        let url = format!("{}/audited{path}", self.world.gateway.url());
        let mut request = self.world.client.request(method.parse().unwrap(), url).bearer_auth(token);
        if !body.is_empty() {
            request = request.header("Content-Type", kind).body(body.to_owned());
        }
        request.send().await.unwrap().status().as_u16()
    }

    /// The events of a search, once there are so many.
    async fn events(&self, search: &str, many: usize) -> Vec<Value> {
        let url = format!("{}/AuditEvent?{search}&_count=100", self.world.hapi.base_url());
        let mut found = Vec::new();
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let get = self.world.client.get(&url).header("Cache-Control", "no-cache");
                let text = get.send().await.unwrap().text().await.unwrap();
                let page: Value = serde_json::from_str(&text).unwrap();
                let entries = page["entry"].as_array().cloned().unwrap_or_default();
                found = entries.into_iter().map(|entry| entry["resource"].clone()).collect();
                if found.len() >= many {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        if waited.await.is_err() {
            let all = format!("altid={}&_elements=subtype,entity&_count=100", self.subject);
            let url = format!("{}/AuditEvent?{all}", self.world.hapi.base_url());
            let get = self.world.client.get(&url).header("Cache-Control", "no-cache");
            let all = get.send().await.unwrap().text().await.unwrap();
            panic!("{search}: {found:?}\nof all: {all}\n{}", self.world.gateway.log());
        }
        assert_eq!(found.len(), many, "{search}: {found:?}");
        found
    }
}

#[tokio::test]
async fn what_was_done_is_found_by_patient_action_and_agent() {
    let audited = Audited::start("auditor-1").await;
    let patient = r#"{"resourceType":"Patient","id":"zq-audit","name":[{"family":"Overlooked"}]}"#;
    let observation = r#"{"resourceType":"Observation","id":"zq-audit-1","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/zq-audit"}}"#;
    let json = "application/fhir+json";
    let second = observation.replace("zq-audit-1", "zq-audit-2");
    let transaction = bundle(
        "transaction",
        vec![
            entry("PUT", "Observation/zq-audit-2", Some(serde_json::from_str(&second).unwrap())),
            entry("DELETE", "Observation/zq-audit-1", None),
        ],
    );
    for (method, path, kind, body, status) in [
        ("PUT", "/Patient/zq-audit", json, patient, 201),
        ("PUT", "/Observation/zq-audit-1", json, observation, 201),
        ("GET", "/Patient/zq-audit", "", "", 200),
        ("GET", "/Observation/zq-audit-1", "", "", 200),
        ("GET", "/Observation?subject=Patient/zq-audit", "", "", 200),
        ("POST", "/Observation/_search", "application/x-www-form-urlencoded", "patient=zq-audit", 200),
        ("GET", "/Patient/zq-audit-none", "", "", 404),
        ("POST", "", json, &transaction.to_string(), 200),
    ] {
        assert_eq!(audited.send(method, path, kind, body).await, status, "{method} {path}");
    }
    let of = "entity-name:exact=Patient/zq-audit";
    let profiles = |events: &[Value]| -> Vec<String> {
        let profile = |event: &Value| {
            event["meta"]["profile"][0].as_str().unwrap().rsplit('.').next().unwrap().to_owned()
        };
        let mut profiles: Vec<_> = events.iter().map(profile).collect();
        profiles.sort();
        profiles
    };
    let reads = audited.events(&format!("{of}&action=R"), 2).await;
    assert_eq!(profiles(&reads), ["PatientRead", "PatientRead"]);
    let updates = audited.events(&format!("{of}&action=U"), 3).await;
    assert_eq!(profiles(&updates), ["PatientUpdate"; 3]);
    let queries = audited.events(&format!("{of}&action=E&subtype=search-type"), 2).await;
    assert_eq!(profiles(&queries), ["PatientQuery", "PatientQuery"]);
    // What is gone is referred to by nothing.
    let gone = audited.events("action=D&altid=auditor-1", 1).await;
    let named: Vec<_> = gone[0]["entity"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entity| &entity["what"]["identifier"]["value"])
        .collect();
    assert!(named.contains(&&json!("Observation/zq-audit-1")), "{named:?}");
    let failed = audited.events("outcome=4&altid=auditor-1", 1).await;
    assert_eq!((&failed[0]["subtype"][0]["code"], &failed[0]["action"]), (&json!("read"), &json!("R")));
    audited.events("subtype=transaction&altid=auditor-1", 1).await;
    for event in reads.iter().chain(&updates).chain(&queries) {
        let agents = event["agent"].as_array().unwrap();
        assert_eq!(agents[0]["who"]["identifier"]["value"], "audit-app");
        assert_eq!(agents[2]["who"]["identifier"]["system"], audited.issuer.url());
        assert!(event["recorded"].as_str().unwrap().starts_with("20"));
        assert!(!event.to_string().contains("Overlooked"), "{event}");
    }
    assert!(!audited.world.gateway.log().contains("Overlooked"));
}

/// What neither a patch nor a deletion says is found out before; and every event is one that a FHIR server takes as such.
#[tokio::test]
async fn what_is_patched_or_deleted_is_noted_with_its_patient_and_events_are_valid() {
    let audited = Audited::start("auditor-2").await;
    let patient = r#"{"resourceType":"Patient","id":"zq-gone","active":true}"#;
    let observation = r#"{"resourceType":"Observation","id":"zq-gone-1","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/zq-gone"}}"#;
    let json_type = "application/fhir+json";
    let patch = r#"[{"op":"replace","path":"/status","value":"amended"}]"#;
    for (method, path, kind, body, status) in [
        ("PUT", "/Patient/zq-gone", json_type, patient, 201),
        ("PUT", "/Observation/zq-gone-1", json_type, observation, 201),
        ("PATCH", "/Observation/zq-gone-1", "application/json-patch+json", patch, 200),
        ("GET", "/Observation?patient=zq-gone", "", "", 200),
        ("GET", "/Observation/zq-gone-1/_history", "", "", 200),
        ("DELETE", "/Observation/zq-gone-1", "", "", 200),
        ("GET", "/Observation/zq-gone-1", "", "", 410),
    ] {
        let given = audited.send(method, path, kind, body).await;
        assert!(given == status || (method == "DELETE" && given == 204), "{method} {path}: {given}");
    }
    let of = "entity-name:exact=Patient/zq-gone";
    let mut events = audited.events(&format!("{of}&action=D"), 1).await;
    let profile = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientDelete";
    assert_eq!(events[0]["meta"]["profile"], json!([profile]));
    let updates = audited.events(&format!("{of}&action=U"), 3).await;
    let codes: Vec<_> = updates.iter().map(|event| event["subtype"][0]["code"].as_str().unwrap()).collect();
    assert_eq!(codes.iter().filter(|code| **code == "patch").count(), 1, "{codes:?}");
    events.extend(updates);
    events.extend(audited.events(&format!("{of}&action=E"), 1).await);
    events.extend(audited.events(&format!("{of}&action=R"), 1).await);
    events
        .extend(audited.events("outcome=4&altid=auditor-2&entity-name:exact=Observation/zq-gone-1", 1).await);
    for mut event in events {
        // HAPI does not know the profile; what it requires is a table among the tests of `fireguard-access`.
        if let Some(meta) = event["meta"].as_object_mut() {
            meta.remove("profile");
        }
        let url = format!("{}/AuditEvent/$validate", audited.world.hapi.base_url());
        let post = audited.world.client.post(url).header("Content-Type", json_type).body(event.to_string());
        let outcome: Value = serde_json::from_str(&post.send().await.unwrap().text().await.unwrap()).unwrap();
        let bad = |issue: &&Value| matches!(issue["severity"].as_str(), Some("error" | "fatal"));
        let issues = outcome["issue"].as_array().unwrap_or_else(|| panic!("{outcome}"));
        let bad: Vec<_> = issues.iter().filter(bad).collect();
        assert!(bad.is_empty(), "{bad:?}: {event}");
    }
}

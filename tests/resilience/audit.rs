//! Audit events that cannot be delivered: none of an acknowledged write is lost, also not with its process; and what
//! happens when no more may wait.

mod bucket;

use std::path::{Path, PathBuf};
use std::time::Duration;

use fireguard_test_support::gateway::Gateway;
use fireguard_test_support::repository;
use fireguard_test_support::standin::{Answer, StandIn};
use serde_json::Value;

use crate::http::Ask;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A port where nobody listens.
const AWAY: &str = "http://127.0.0.1:9/fhir";

/// A Fireguard before the stand-in that audits so, in this folder.
async fn start(standin: &StandIn, folder: &Path, audit: &str) -> Gateway {
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [state]\ndirectory = \"state\"\n[audit]\n{audit}\n[upstreams.hapi]\nurl = \"{}\"\n\
         [upstreams.away]\nurl = \"{AWAY}\"\n\
         [routes.fhir]\npath = \"/fhir\"\nupstream = \"hapi\"\nauthentication = \"none\"\n\
         [routes.quiet]\npath = \"/quiet\"\nupstream = \"hapi\"\nauthentication = \"none\"\naudit = false\n",
        standin.base_url(),
    );
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || Gateway::start_in(&folder, &config).unwrap()).await.unwrap()
}

fn folder(name: &str) -> PathBuf {
    let folder = repository::target().join(format!("gateway/{}-audit-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

async fn patients() -> StandIn {
    let standin = StandIn::start().await.unwrap();
    let patient = r#"{"resourceType":"Patient","id":"1","name":[{"family":"Quorvath"}]}"#;
    standin.always("GET", "/fhir/Patient/1", Answer::json(200, patient));
    let page = format!(
        r#"{{"resourceType":"Bundle","type":"searchset","link":[{{"relation":"self","url":"{}/Patient?name=x"}}],"entry":[{{"resource":{patient}}}]}}"#,
        standin.base_url()
    );
    standin.always("GET", "/fhir/Patient", Answer::json(200, page));
    standin
}

/// The events in the files of a folder, once there are so many.
async fn arrived(folder: &Path, many: usize) -> Vec<Value> {
    let read = || -> Vec<Value> {
        let files = std::fs::read_dir(folder.join("events")).into_iter().flatten().flatten();
        let texts = files.map(|file| std::fs::read_to_string(file.path()).unwrap());
        let events = |text: String| -> Vec<Value> {
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        texts.flat_map(events).collect()
    };
    let mut found = read();
    let waited = tokio::time::timeout(PATIENCE, async {
        while found.len() < many {
            tokio::time::sleep(Duration::from_millis(20)).await;
            found = read();
        }
    });
    assert!(waited.await.is_ok(), "{found:?}");
    found
}

fn patients_of(events: &[Value]) -> Vec<String> {
    let patient = |event: &Value| {
        let entities = event["entity"].as_array().unwrap().iter();
        let references = entities.filter_map(|entity| entity["what"]["reference"].as_str());
        references.filter(|reference| reference.starts_with("Patient/")).map(str::to_owned).next()
    };
    events.iter().filter_map(patient).collect()
}

#[tokio::test]
async fn a_killed_process_loses_no_event_of_an_acknowledged_write() {
    const WRITES: usize = 40;
    let (standin, folder) = (patients().await, folder("killed"));
    let gateway = start(&standin, &folder, "to = \"upstream:away\"").await;
    for number in 0..WRITES {
        let (id, path) = (format!("k{number}"), format!("/fhir/Patient/k{number}"));
        let body = format!(r#"{{"resourceType":"Patient","id":"{id}"}}"#);
        let answer = Answer::json(201, body.clone());
        let location = format!("{}/Patient/{id}/_history/1", standin.base_url());
        standin.always("PUT", &path, answer.header("Location", &location).header("ETag", "W/\"1\""));
        let reply = Ask::json("PUT", &path, body).send(gateway.listen()).await;
        assert_eq!(reply.status, 201, "{reply:?}");
    }
    // By SIGKILL, right after the last answer.
    drop(gateway);
    let gateway = start(&standin, &folder, "to = \"files:events\"").await;
    let events = arrived(&folder, WRITES).await;
    let ids: std::collections::BTreeSet<_> = patients_of(&events).into_iter().collect();
    assert_eq!(ids.len(), WRITES, "{ids:?}");
    assert!(events.iter().all(|event| event["action"] == "U" && event["outcome"] == "0"), "{events:?}");
    assert!(!gateway.log().contains("Quorvath"));
}

#[tokio::test]
async fn a_full_queue_refuses_or_lets_pass() {
    for (when_full, last) in [("refuse", 503), ("pass", 200)] {
        let (standin, folder) = (patients().await, folder(when_full));
        let audit = format!("to = \"upstream:away\"\nwaiting = 3\nwhen_full = \"{when_full}\"");
        let gateway = start(&standin, &folder, &audit).await;
        let mut statuses = Vec::new();
        let filled = tokio::time::timeout(PATIENCE, async {
            // What is read is noted a moment later.
            while statuses.iter().filter(|status| **status == 200).count() < 3
                || statuses.last() != Some(&last)
            {
                let reply = Ask::get("/fhir/Patient/1").send(gateway.listen()).await;
                statuses.push(reply.status);
                assert!(reply.status == 200 || when_full == "refuse" && reply.status == 503, "{reply:?}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(filled.await.is_ok(), "{when_full}: {statuses:?}");
        if when_full == "refuse" {
            let reply = Ask::get("/fhir/Patient/1").send(gateway.listen()).await;
            assert_eq!(reply.status, 503);
            assert!(
                reply.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("retry-after")),
                "{reply:?}"
            );
            // Elsewhere nothing is noted, and nothing is refused.
            assert_eq!(Ask::get("/quiet/Patient/1").send(gateway.listen()).await.status, 200);
            assert_eq!(Ask::get("/fhir/metadata").send(gateway.listen()).await.status, 200);
        }
    }
}

/// However the answer comes.
#[tokio::test]
async fn what_an_answer_shows_is_noted_wherever_it_is_cut() {
    let (standin, folder) = (patients().await, folder("cut"));
    let gateway = start(&standin, &folder, "to = \"files:events\"").await;
    let searchset = r#"{"resourceType":"Bundle","id":"b","type":"searchset","link":[{"relation":"self","url":"x"}],"entry":[{"fullUrl":"x","resource":{"resourceType":"Observation","id":"o","status":"final","subject":{"reference":"Patient/7"}},"search":{"mode":"match"}}]}"#;
    let cuts = [1, 40, 60, 100, 110, 120, 150, 200, 230, searchset.len() - 2];
    for cut in cuts {
        let answer = Answer::json(200, searchset).chunked().drip(cut, Duration::from_millis(30));
        standin.always("GET", "/fhir/Observation", answer);
        let reply = Ask::get("/fhir/Observation?status=final").send(gateway.listen()).await;
        assert_eq!(reply.status, 200, "{cut}");
    }
    let events = arrived(&folder, cuts.len()).await;
    let named: Vec<_> = patients_of(&events);
    assert_eq!(named, ["Patient/7"; 10], "{events:?}");
}

#[tokio::test]
async fn what_an_answer_shows_is_noted_and_nothing_of_it_is_told() {
    let (standin, folder) = (patients().await, folder("shown"));
    let gateway = start(&standin, &folder, "to = \"files:events\"\nlevel = \"entry\"").await;
    for (path, status) in [
        ("/fhir/Patient/1", 200),
        ("/fhir/Patient?name=Thistle", 200),
        ("/fhir/Patient/2", 404),
        ("/quiet/Patient/1", 200),
    ] {
        assert_eq!(Ask::get(path).send(gateway.listen()).await.status, status, "{path}");
    }
    let events = arrived(&folder, 3).await;
    assert_eq!(events.len(), 3, "{events:?}");
    let told = |event: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        (
            text(&event["subtype"][0]["code"]),
            text(&event["outcome"]),
            patients_of(std::slice::from_ref(event)).concat(),
        )
    };
    let mut told: Vec<_> = events.iter().map(told).collect();
    told.sort();
    let expected =
        [("read", "0", "Patient/1"), ("read", "4", "Patient/2"), ("search-type", "0", "Patient/1")];
    let expected = expected.map(|(code, outcome, of)| (code.to_owned(), outcome.to_owned(), of.to_owned()));
    assert_eq!(told, expected);
    let all = serde_json::to_string(&events).unwrap();
    assert!(!all.contains("Quorvath") && !all.contains("Thistle"), "{all}");
    assert!(!gateway.log().contains("Thistle"));
    // What is on its way when the process stops arrives later, or now.
    assert_eq!(Ask::get("/fhir/Patient/1").send(gateway.listen()).await.status, 200);
    tokio::task::spawn_blocking(move || gateway.stop().unwrap()).await.unwrap();
    let gateway = start(&standin, &folder, "to = \"files:events\"").await;
    assert_eq!(arrived(&folder, 4).await.len(), 4);
    drop(gateway);
}

//! The harness against the real server.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper of a test may fail like the test")]

use fireguard_test_support::hapi::{End, Error, Hapi, Options, command_line};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_patient_is_written_and_read() {
    let hapi = Hapi::shared().await.unwrap();
    let base = hapi.base_url().to_owned();
    let (metadata, created, read) = tokio::task::spawn_blocking(move || {
        let metadata = get(&format!("{base}/metadata"));
        let patient = json!({"resourceType": "Patient", "name": [{"family": "Smoketest"}]});
        let created = post(&format!("{base}/Patient"), &patient);
        let read = get(&format!("{base}/Patient/{}", created["id"].as_str().unwrap()));
        (metadata, created, read)
    })
    .await
    .unwrap();
    assert_eq!(metadata["resourceType"], "CapabilityStatement");
    assert_eq!(metadata["fhirVersion"], "4.0.1");
    assert_eq!(metadata["software"]["version"], "8.8.0");
    assert_eq!(created["id"], read["id"]);
    assert_eq!(read["name"][0]["family"], "Smoketest");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_reach_the_server_and_it_ends_when_dropped() {
    let options = Options::default().setting("page.default", "1").storage("resourceServerIdStrategy", "UUID");
    let hapi = Hapi::start(options).await.unwrap();
    let base = hapi.base_url().to_owned();
    let page = tokio::task::spawn_blocking(move || {
        let patient = json!({"resourceType": "Patient"});
        let created = post(&format!("{base}/Patient"), &patient);
        assert_eq!(created["id"].as_str().unwrap().len(), 36, "a UUID: {}", created["id"]);
        post(&format!("{base}/Patient"), &patient);
        get(&format!("{base}/Patient"))
    })
    .await
    .unwrap();
    assert_eq!(page["entry"].as_array().unwrap().len(), 1);

    let pid = hapi.pid();
    assert!(command_line(pid).is_some());
    drop(hapi);
    assert_eq!(command_line(pid), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_misspelt_setting_is_named() {
    let error = Hapi::start(Options::default().storage("alowMultipleDelete", "true")).await.unwrap_err();
    assert!(
        matches!(&error, Error::Ended { reason, .. } if reason.contains("alowMultipleDelete")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postgres_was_given_outlives_hapi() {
    let hapi = Hapi::start(Options::default().postgres()).await.unwrap();
    let base = hapi.base_url().to_owned();
    let create = |name: &str| {
        let (url, patient) =
            (format!("{base}/Patient"), json!({"resourceType": "Patient", "language": name}));
        tokio::task::spawn_blocking(move || format!("{url}/{}", post(&url, &patient)["id"].as_str().unwrap()))
    };
    let first = create("de").await.unwrap();
    let hapi = hapi.restart(End::Killed).await.unwrap();
    assert_eq!(hapi.base_url(), base);
    let second = create("fr").await.unwrap();
    let hapi = hapi.restart(End::InOrder).await.unwrap();
    let languages =
        tokio::task::spawn_blocking(move || [first, second].map(|url| get(&url)["language"].clone()));
    assert_eq!(languages.await.unwrap(), ["de", "fr"]);

    let database: u32 = database_of(hapi.pid());
    drop(hapi);
    assert_eq!(command_line(database), None, "PostgreSQL ends with it");
}

/// The process to whose port the settings of this HAPI lead.
fn database_of(hapi: u32) -> u32 {
    let line = command_line(hapi).unwrap();
    let port = line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
    let mark = format!(" port={port} ");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_it = |pid: &u32| command_line(*pid).is_some_and(|line| line.contains(&mark));
    ids.find(is_it).expect("a PostgreSQL")
}

fn get(url: &str) -> Value {
    let mut response = ureq::get(url).call().unwrap();
    serde_json::from_reader(response.body_mut().as_reader()).unwrap()
}

fn post(url: &str, body: &Value) -> Value {
    let request = ureq::post(url).content_type("application/fhir+json");
    let mut response = request.send(body.to_string()).unwrap();
    serde_json::from_reader(response.body_mut().as_reader()).unwrap()
}

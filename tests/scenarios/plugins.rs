//! The examples of plugins, in three languages, before a real HAPI; and those that are ready to be used.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fireguard_test_support::plugins;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::common::world::{self, World, folder};

/// Fireguard with one plugin on the route `/clinic`.
async fn world(project: &str, table: &str) -> World {
    let owned = project.to_owned();
    let component = tokio::task::spawn_blocking(move || plugins::component(&owned)).await.unwrap().unwrap();
    let route = "[routes.clinic]\npath = \"/clinic\"\nupstream = \"hapi\"\nauthentication = \"none\"\nplugins = [\"p\"]\n";
    World::with(&world::config(&format!("{route}[plugins.p]\ncomponent = {component:?}\n{table}"))).await
}

/// Sends a resource or Bundle; answers status and body.
async fn send(world: &World, method: reqwest::Method, path: &str, body: &Value) -> (u16, Value) {
    let url = format!("{}{path}", world.gateway.url());
    let request = world.client.request(method, url).header("Content-Type", "application/fhir+json");
    let answer = request.body(body.to_string()).send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

async fn read(world: &World, path: &str) -> Value {
    let url = format!("{}{path}", world.gateway.url());
    let text = world.client.get(url).send().await.unwrap().text().await.unwrap();
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn in_rust_what_names_no_profile_is_refused() {
    let settings = "settings = { profiles = { Patient = [\"http://example.org/StructureDefinition/p\"] } }\n";
    let world = world("examples/rust", settings).await;
    let named = json!({"resourceType": "Patient", "id": "zq-tag-1",
        "meta": {"profile": ["http://example.org/StructureDefinition/p"]}});
    let nameless = json!({"resourceType": "Patient", "id": "zq-tag-2"});
    let (status, body) = send(&world, reqwest::Method::PUT, "/clinic/Patient/zq-tag-1", &named).await;
    assert!(status == 200 || status == 201, "{status} {body}");
    let (status, body) = send(&world, reqwest::Method::PUT, "/clinic/Patient/zq-tag-2", &nameless).await;
    assert_eq!((status, &body["issue"][0]["code"]), (422, &json!("business-rule")), "{body}");

    // Of a batch only the entry is refused, and of a transaction everything.
    let entry = |id: &str, resource: &Value| json!({"resource": resource, "request": {"method": "PUT", "url": format!("Patient/{id}")}});
    let bundle = |kind: &str| {
        json!({"resourceType": "Bundle", "type": kind,
            "entry": [entry("zq-tag-1", &named), entry("zq-tag-2", &nameless)]})
    };
    let (status, body) = send(&world, reqwest::Method::POST, "/clinic", &bundle("batch")).await;
    let of =
        |entry: usize| body["entry"][entry]["response"]["status"].as_str().unwrap_or_default().to_owned();
    assert!(status == 200 && of(0).starts_with("20") && of(1).starts_with("422"), "{status} {body}");
    let (status, body) = send(&world, reqwest::Method::POST, "/clinic", &bundle("transaction")).await;
    assert_eq!(status, 422, "{body}");
    let gone = world.client.get(format!("{}/Patient/zq-tag-2", world.base())).send().await.unwrap();
    assert_eq!(gone.status(), 404);
}

#[tokio::test]
async fn in_python_units_and_numbers_get_one_form() {
    let world = world("examples/python", "settings = { country_code = \"+49\" }\n").await;
    let patient = json!({"resourceType": "Patient", "id": "zq-norm",
        "telecom": [{"system": "phone", "value": "(0551) 39-0"}]});
    let (status, body) = send(&world, reqwest::Method::PUT, "/clinic/Patient/zq-norm", &patient).await;
    assert!(status == 200 || status == 201, "{status} {body}");
    let observation = r#"{"resourceType":"Observation","id":"zq-norm","status":"final","code":{"text":"pressure"},
        "subject":{"reference":"Patient/zq-norm"},"valueQuantity":{"value":120.50,"unit":"mmHg"}}"#;
    let url = format!("{}/clinic/Observation/zq-norm", world.gateway.url());
    let put = world.client.put(url).header("Content-Type", "application/fhir+json").body(observation);
    assert!(put.send().await.unwrap().status().is_success());

    // Past Fireguard: this is what HAPI has.
    let patient = read(&world, "/fhir/Patient/zq-norm").await;
    assert_eq!(patient["telecom"][0]["value"], "+49551390");
    let observation = read(&world, "/fhir/Observation/zq-norm").await;
    let quantity = &observation["valueQuantity"];
    assert_eq!(
        (&quantity["system"], &quantity["code"]),
        (&json!("http://unitsofmeasure.org"), &json!("mm[Hg]"))
    );
    assert_eq!(quantity["value"].to_string(), "120.50");
}

#[tokio::test]
async fn in_javascript_a_standard_code_stands_beside_the_local_one() {
    let map = folder("local-codes").join("lab.csv");
    let lines = "system,code,target_system,target_code,display,equivalence\n\
                 http://hospital.example/lab,HB,http://loinc.org,718-7,Hemoglobin,equivalent\n";
    std::fs::write(&map, lines).unwrap();
    let table = format!(
        "settings = {{ map = \"lab\", system = \"http://hospital.example/lab\" }}\n\
         grants.terminology.maps = {{ lab = {map:?} }}\n"
    );
    let world = world("examples/javascript", &table).await;
    let observation = |id: &str| {
        json!({"resourceType": "Observation", "id": id, "status": "final",
            "code": {"coding": [{"system": "http://hospital.example/lab", "code": "HB"}]}})
    };
    let codes = |observation: &Value| -> Vec<String> {
        let coding = observation["code"]["coding"].as_array().unwrap();
        coding.iter().map(|coding| coding["code"].as_str().unwrap().to_owned()).collect()
    };
    // Stored without the plugin and read through it.
    let (status, body) =
        send(&world, reqwest::Method::PUT, "/fhir/Observation/zq-code-1", &observation("zq-code-1")).await;
    assert!(status == 200 || status == 201, "{status} {body}");
    assert_eq!(codes(&read(&world, "/clinic/Observation/zq-code-1").await), ["HB", "718-7"]);
    assert_eq!(codes(&read(&world, "/fhir/Observation/zq-code-1").await), ["HB"]);
    // And the other way round.
    let (status, body) =
        send(&world, reqwest::Method::PUT, "/clinic/Observation/zq-code-2", &observation("zq-code-2")).await;
    assert!(status == 200 || status == 201, "{status} {body}");
    assert_eq!(codes(&read(&world, "/fhir/Observation/zq-code-2").await), ["HB", "718-7"]);
}

#[tokio::test]
async fn what_hapi_finds_an_error_in_is_not_written() {
    let table = "settings = { types = { Observation = [] } }\ngrants.fhir_client = { route = \"validation\" }\n\
                 [routes.validation]\npath = \"/validation\"\nupstream = \"hapi\"\nauthentication = \"none\"\noperations = [\"$validate\"]\n";
    let world = world("profile-validate", table).await;
    let good = json!({"resourceType": "Observation", "status": "final", "code": {"text": "weight"}});
    let (status, body) = send(&world, reqwest::Method::POST, "/clinic/Observation", &good).await;
    assert_eq!(status, 201, "{body}");
    // HAPI itself would take it: an Observation must have a code.
    let bad = json!({"resourceType": "Observation", "status": "final"});
    let (status, body) = send(&world, reqwest::Method::POST, "/fhir/Observation", &bad).await;
    assert_eq!(status, 201, "{body}");
    let (status, body) = send(&world, reqwest::Method::POST, "/clinic/Observation", &bad).await;
    assert_eq!(status, 422, "{body}");
    assert!(body.to_string().contains("Observation.code"), "{body}");
}

/// The endpoint is away at first: what it has not taken comes again.
#[tokio::test]
async fn every_write_is_published_until_it_has_arrived() {
    let (endpoint, arrived) = endpoint(2).await;
    let state = folder("published-state");
    let table = format!(
        "settings = {{ url = \"http://{endpoint}/events\", source = \"here\" }}\n\
         grants.http_out = {{ hosts = [\"http://{endpoint}\"], private = [\"127.0.0.0/8\"] }}\n\
         [state]\ndirectory = {state:?}\n"
    );
    let world = world("publish-events", &table).await;
    let patient = json!({"resourceType": "Patient", "id": "zq-pub-1"});
    let (status, body) = send(&world, reqwest::Method::PUT, "/clinic/Patient/zq-pub-1", &patient).await;
    assert!(status == 200 || status == 201, "{status} {body}");
    let version = body["meta"]["versionId"].as_str().unwrap().to_owned();
    let entry = |method: &str, id: &str, resource: Option<Value>| {
        let mut entry = json!({"request": {"method": method, "url": format!("Patient/{id}")}});
        if let Some(resource) = resource {
            entry["resource"] = resource;
        }
        entry
    };
    let second = json!({"resourceType": "Patient", "id": "zq-pub-2"});
    let bundle = json!({"resourceType": "Bundle", "type": "transaction",
        "entry": [entry("PUT", "zq-pub-2", Some(second)), entry("DELETE", "zq-pub-1", None)]});
    let (status, body) = send(&world, reqwest::Method::POST, "/clinic", &bundle).await;
    assert_eq!(status, 200, "{body}");
    // What is refused is none.
    let refused = json!({"resourceType": "Patient", "id": "zq-pub-4"});
    let (status, _) = send(&world, reqwest::Method::PUT, "/clinic/Patient/zq-pub-3", &refused).await;
    assert_eq!(status, 400);

    let expected: BTreeSet<_> =
        [("delete", "zq-pub-1"), ("update", "zq-pub-1"), ("update", "zq-pub-2")].into();
    let told = || -> Vec<Value> { arrived.lock().unwrap().clone() };
    for _ in 0..3000 {
        if told().len() >= expected.len() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let told = told();
    let found = told.iter().map(|e| (e["action"].as_str().unwrap(), e["resourceId"].as_str().unwrap()));
    assert_eq!(found.collect::<BTreeSet<_>>(), expected, "{told:?}");
    let first = told.iter().find(|e| e["resourceId"] == "zq-pub-1" && e["action"] == "update").unwrap();
    assert_eq!(
        (&first["type"], &first["version"], &first["source"]),
        (&json!("Patient"), &json!(version), &json!("here"))
    );
    let ids: BTreeSet<_> = told.iter().map(|e| e["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), expected.len(), "each event has one id: {told:?}");
}

/// Takes events, after so many that it refuses; answers its address and what has arrived.
async fn endpoint(refuses: usize) -> (SocketAddr, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, arrived) = (listener.local_addr().unwrap(), Arc::default());
    let (kept, left) = (Arc::clone(&arrived), Arc::new(Mutex::new(refuses)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(taken(stream, Arc::clone(&kept), Arc::clone(&left)));
        }
    });
    (address, arrived)
}

async fn taken(stream: TcpStream, arrived: Arc<Mutex<Vec<Value>>>, left: Arc<Mutex<usize>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let refused = {
            let mut left = left.lock().unwrap();
            let refused = *left > 0;
            *left = left.saturating_sub(1);
            refused
        };
        if !refused {
            arrived.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
        }
        let status = if refused { "503 Busy" } else { "200 Taken" };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

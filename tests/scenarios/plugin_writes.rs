//! A route with plugins and writes before a real HAPI: what plugins make of resources is what is stored, clients get
//! along, and every write is told.

use std::time::Duration;

use fireguard_test_support::guest;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::common::world::{World, config, folder};

/// The route `/marked`: what is written there is in Estonian, nobody is called Refused, and a third plugin is told.
fn marked() -> String {
    let component = guest::component().display();
    let state = folder("plugin-writes-state");
    let plugin = |name: &str, settings: &str| {
        format!("[plugins.{name}]\ncomponent = \"{component}\"\nsettings = {{ {settings} }}\n")
    };
    config(&format!(
        "[routes.marked]\npath = \"/marked\"\nupstream = \"hapi\"\nauthentication = \"none\"\nplugins = [\"mark\", \"refuse\", \"see\", \"told\"]\n\
         [state]\ndirectory = {state:?}\n{}{}{}{}",
        plugin("mark", "act = \"append\", text = ',\"language\":\"et\"', direction = \"to-server\""),
        plugin("refuse", "act = \"refuse-if\", text = '\"Refused\"', direction = \"to-server\""),
        plugin("see", "act = \"keep\""),
        plugin("told", "phases = [\"written\"], written = \"tell\""),
    ))
}

fn patient(id: Option<&str>, family: &str) -> Value {
    let mut patient = json!({"resourceType": "Patient", "name": [{"family": family}]});
    if let Some(id) = id {
        patient["id"] = id.into();
    }
    patient
}

async fn send(
    world: &World,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> Response {
    let url = format!("{}/marked{path}", world.gateway.url());
    let mut request = world.client.request(method, url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(body) = body {
        request = request.header("Content-Type", "application/fhir+json").body(body.to_string());
    }
    request.send().await.unwrap()
}

async fn stored(world: &World, id: &str) -> Value {
    let url = format!("{}/Patient/{id}", world.base());
    let text = world.client.get(url).send().await.unwrap().text().await.unwrap();
    serde_json::from_str(&text).unwrap()
}

fn header(response: &Response, name: &str) -> String {
    response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn plugins_see_what_is_written_and_clients_get_along() {
    let world = World::with(&marked()).await;
    let base = format!("{}/marked", world.gateway.url());

    // A create tells where it lies and which version it has, whatever the client wants to see of it.
    let created =
        send(&world, Method::POST, "/Patient", &[("Prefer", "return=minimal")], Some(&patient(None, "A")))
            .await;
    assert_eq!((created.status().as_u16(), header(&created, "etag").as_str()), (201, "W/\"1\""));
    let location = header(&created, "location");
    assert!(
        location.starts_with(&format!("{base}/Patient/")) && location.ends_with("/_history/1"),
        "{location}"
    );
    assert_eq!(created.text().await.unwrap(), "");
    let read = world.client.get(&location).send().await.unwrap();
    assert_eq!(read.status(), 200);
    let id = location.rsplit('/').nth(2).unwrap().to_owned();
    assert_eq!(stored(&world, &id).await["language"], "et");

    // Versions are kept.
    let path = format!("/Patient/{id}");
    let updated =
        send(&world, Method::PUT, &path, &[("If-Match", "W/\"1\"")], Some(&patient(Some(&id), "B"))).await;
    assert_eq!((updated.status().as_u16(), header(&updated, "etag").as_str()), (200, "W/\"2\""));
    let shown: Value = serde_json::from_str(&updated.text().await.unwrap()).unwrap();
    assert_eq!((&shown["language"], &shown["name"][0]["family"]), (&json!("et"), &json!("B")));
    let stale =
        send(&world, Method::PUT, &path, &[("If-Match", "W/\"1\"")], Some(&patient(Some(&id), "C"))).await;
    assert_eq!(stale.status(), 412);
    let refused = send(&world, Method::PUT, &path, &[], Some(&patient(Some(&id), "Refused"))).await;
    assert_eq!(refused.status(), 422);
    assert_eq!(stored(&world, &id).await["name"][0]["family"], "B");

    // A batch keeps its places, a transaction its references.
    let entry = |method: &str, url: &str, resource: Option<Value>| {
        let mut entry = json!({"request": {"method": method, "url": url}});
        if let Some(resource) = resource {
            entry["resource"] = resource;
        }
        entry
    };
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [
        entry("GET", &path[1..], None),
        entry("POST", "Patient", Some(patient(None, "Refused"))),
        entry("PUT", &path[1..], Some(patient(Some(&id), "D"))),
        entry("GET", "Patient/plugin-writes-nobody", None)]});
    let answered = send(&world, Method::POST, "", &[], Some(&batch)).await;
    let answered: Value = serde_json::from_str(&answered.text().await.unwrap()).unwrap();
    let statuses: Vec<_> =
        answered["entry"].as_array().unwrap().iter().map(|e| &e["response"]["status"]).collect();
    let three: Vec<_> = statuses.iter().map(|status| status.as_str().unwrap()[..3].to_owned()).collect();
    assert_eq!(three, ["200", "422", "200", "404"], "{answered}");
    assert_eq!(answered["entry"][2]["response"]["etag"], "W/\"3\"", "{answered}");
    let mut first = entry("POST", "Patient", Some(patient(None, "E")));
    first["fullUrl"] = "urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9".into();
    let observation = json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"},
        "subject": {"reference": "urn:uuid:05efabf0-4be2-4561-91ce-51548425acb9"}});
    let transaction = json!({"resourceType": "Bundle", "type": "transaction",
        "entry": [first, entry("POST", "Observation", Some(observation))]});
    let answered = send(&world, Method::POST, "", &[], Some(&transaction)).await;
    assert_eq!(answered.status(), 200);
    let answered: Value = serde_json::from_str(&answered.text().await.unwrap()).unwrap();
    let of = |n: usize| answered["entry"][n]["resource"].clone();
    assert_eq!(
        of(1)["subject"]["reference"],
        format!("Patient/{}", of(0)["id"].as_str().unwrap()),
        "{answered}"
    );
    assert_eq!((&of(0)["language"], &of(1)["language"]), (&json!("et"), &json!("et")));
    let again = send(&world, Method::DELETE, &path, &[], None).await;
    assert!(again.status().is_success(), "{}", again.status());

    // Every one of them is told: 201, 200, 200 of the batch, two of the transaction, and the delete.
    let told = |log: &str| log.matches("\"told ").count();
    let waited = async {
        while told(&world.gateway.log()) < 6 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waited).await;
    assert!(waited.is_ok() && told(&world.gateway.log()) == 6, "{}", world.gateway.log());
}

//! Plugins that ask the FHIR server while it works for the request that they see.

use std::time::Duration;

use fireguard_test_support::issuer::Issuer;
use fireguard_test_support::standin::Answer;
use serde_json::{Value, json};

use crate::http::Ask;
use crate::rig::{Change, Rig};
use fireguard_test_support::guest;

/// A route with a plugin that asks this of each resource, and tells what it was answered in its place.
pub(crate) fn asking(name: &str, asks: &Value, more: &str) -> String {
    let component = guest::component().display();
    let settings = json!({"act": "ask", "as": "Patient", "direction": "to-client", "asks": asks});
    let settings = settings.to_string();
    format!(
        "[routes.{name}]\npath = \"/{name}\"\nupstream = \"hapi\"\nauthentication = \"none\"\nread_only = true\nplugins = [\"{name}\"]\n\
         [plugins.{name}]\ncomponent = \"{component}\"\nwall_per_call = \"900ms\"\nsettings = {}\n\
         [plugins.{name}.grants]\n{more}\n",
        toml(&settings)
    )
}

/// JSON as a value of TOML.
fn toml(text: &str) -> String {
    fn write(value: &Value) -> String {
        match value {
            Value::Object(members) => {
                let members: Vec<_> =
                    members.iter().map(|(k, v)| format!("{} = {}", json!(k), write(v))).collect();
                format!("{{ {} }}", members.join(", "))
            }
            Value::Array(items) => format!("[{}]", items.iter().map(write).collect::<Vec<_>>().join(", ")),
            other => other.to_string(),
        }
    }
    write(&serde_json::from_str(text).unwrap())
}

async fn rig(tables: String, upstream: &str) -> Rig {
    let change = Change { tables, upstream: upstream.to_owned(), ..Change::default() };
    let rig = Rig::with(change).await;
    rig.standin.always("GET", "/fhir/Patient/1", Answer::json(200, patient("1").to_string()));
    rig.standin.always("GET", "/fhir/Patient/2", Answer::json(200, patient("2").to_string()));
    rig
}

fn patient(id: &str) -> Value {
    json!({"resourceType": "Patient", "id": id})
}

fn get(url: &str) -> Value {
    json!({"method": "GET", "url": url})
}

/// What the plugin was answered to its first question.
fn told(reply: &crate::http::Reply) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["told"][0].clone()
}

/// The exchange has the only place at the server while its plugin asks: if it waited for another, it would wait
/// for itself.
#[tokio::test]
async fn nobody_waits_for_a_place_that_they_have_themselves() {
    for limit in [1, 2] {
        let tables = asking(
            "p",
            &json!([{"fhir": [get("Patient/2"), get("Patient/2"), get("Patient/2")]}]),
            "fhir_client = {}",
        );
        let upstream = format!("concurrency = {{ start = {limit}, least = {limit}, most = {limit} }}");
        let rig = rig(tables, &upstream).await;
        let entry = json!({"resource": patient("1"), "fullUrl": "urn:x", "search": {"mode": "match"}});
        let bundle =
            json!({"resourceType": "Bundle", "type": "searchset", "entry": vec![entry; 6]}).to_string();
        // The first entries are with the plugin while the last are still at the server.
        let slow =
            Answer::json(200, bundle.clone()).chunked().drip(bundle.len() / 3, Duration::from_millis(20));
        rig.standin.always("GET", "/fhir/Patient", slow);
        let searches = (0..6).map(|_| rig.get("/p/Patient"));
        for reply in futures_util::future::join_all(searches).await {
            assert_eq!((reply.status, reply.whole), (200, true), "{reply:?}");
            let entries = reply.json()["entry"].as_array().unwrap().clone();
            let answered = |entry: &Value| {
                let answers = entry["resource"]["told"][0].as_array().unwrap().clone();
                answers.len() == 3 && answers.iter().all(|answer| answer["status"] == 200)
            };
            assert!(entries.len() == 6 && entries.iter().all(answered), "{entries:?}");
        }
        // Each that has a place asks beyond the limit, one at a time.
        assert!(rig.standin.most_in_flight() <= 2 * limit, "{}", rig.standin.most_in_flight());
    }
}

#[tokio::test]
async fn what_plugins_ask_passes_the_gates_and_no_plugin() {
    let asks = json!([{"fhir": [
        get("Patient/2"), get("?_page=forged"), get("Patient/2/_history"), get("Nonsense/1"), get("../admin"),
        get("Patient/$everything"), get("Patient/$expunge"),
        {"method": "POST", "url": "Patient", "body": patient("").to_string()},
        {"method": "DELETE", "url": "Patient/2"},
        {"method": "GET", "url": "http://other.example/fhir/Patient/2"},
        {"method": "GET", "url": "Patient/2", "headers": [["authorization", "x"]]},
        {"method": "GET", "url": "Patient/2", "headers": [["host", "other.example"]]},
        {"method": "TRACE", "url": "Patient/2"},
    ]}]);
    let rig = rig(asking("p", &asks, "fhir_client = {}"), "").await;
    let link = json!({"relation": "self", "url": format!("{}/Patient/2/_history", rig.standin.base_url())});
    let history = json!({"resourceType": "Bundle", "type": "history", "link": [link]}).to_string();
    rig.standin.always("GET", "/fhir/Patient/2/_history", Answer::json(200, history));
    let everything = json!({"resourceType": "Bundle", "type": "searchset"}).to_string();
    rig.standin.always("GET", "/fhir/Patient/$everything", Answer::json(200, everything));
    let told = told(&rig.get("/p/Patient/1").await);
    let said =
        |place: usize| told[place]["status"].as_u64().map_or(told[place]["error"].clone(), Value::from);
    let statuses: Vec<_> = (0..13).map(said).collect();
    let expected = json!([200, 400, 200, 404, 400, 200, 405, 403, 403, "invalid", "invalid", "invalid", 405]);
    let differ: Vec<_> = statuses.iter().zip(expected.as_array().unwrap()).filter(|(a, b)| a != b).collect();
    assert!(differ.is_empty(), "{differ:?} in {told:#}");
    // The plugin on the route has not seen the Patient that it asked for.
    assert_eq!(told[0]["body"], patient("2").to_string());
    assert!(
        told[2]["body"].as_str().unwrap().contains(&format!("{}/p/Patient/2/_history", rig.gateway.url()))
    );
    let mut paths: Vec<_> = rig.arrived().iter().map(|request| request.path().to_owned()).collect();
    paths.sort();
    assert_eq!(
        paths,
        ["/fhir/Patient/$everything", "/fhir/Patient/1", "/fhir/Patient/2", "/fhir/Patient/2/_history"]
    );
}

#[tokio::test]
async fn a_route_of_the_grant_has_its_own_gates() {
    let body = patient("").to_string();
    let headers = [["prefer", "return=minimal"]];
    let post = json!({"method": "POST", "url": "Patient", "body": body, "headers": headers});
    let asks = json!([{"fhir": [post, get("Patient/2")]}]);
    let rig = rig(asking("p", &asks, "fhir_client = { route = \"fhir\" }"), "").await;
    let location = format!("{}/Patient/9/_history/1", rig.standin.base_url());
    rig.standin.always("POST", "/fhir/Patient", Answer::status(201).header("location", &location));
    let reply = rig.send(Ask::get("/p/Patient/1").header("accept-language", "de")).await;
    let told = told(&reply);
    assert_eq!((told[0]["status"].as_u64(), told[1]["status"].as_u64()), (Some(201), Some(200)), "{told:#}");
    let location = told[0]["headers"]["location"].as_str().unwrap();
    assert_eq!(location, format!("{}/fhir/Patient/9/_history/1", rig.gateway.url()));
    let posted = &rig.standin.requests_to("POST", "/fhir/Patient")[0];
    assert_eq!(posted.header("prefer"), Some("return=minimal"));
    assert_eq!(posted.header("accept-language"), None, "it is the proxy that asks");
}

#[tokio::test]
async fn rates_and_places_are_those_of_the_caller() {
    let more = "fhir_client = {}\n[routes.q]\npath = \"/q\"\nupstream = \"hapi\"\nauthentication = \"none\"\nread_only = true\n\
                plugins = [\"p\"]\nrequests_at_once = 1\nrate = { per_second = 0.001, burst = 3 }\n";
    let tables = asking("p", &json!([{"fhir": [get("Patient/2"), get("Patient/2")]}]), more);
    let rig = rig(tables, "").await;
    let statuses = |told: Value| [told[0]["status"].clone(), told[1]["status"].clone()];
    // One read of the caller and two of its plugin are all three that it has.
    assert_eq!(statuses(told(&rig.get("/q/Patient/1").await)), [200, 200], "it needs no second place");
    assert_eq!(rig.get("/q/Patient/1").await.status, 429);
}

/// Where nobody waits there is no caller: the grant's route is all there is.
#[tokio::test]
async fn who_is_told_of_writes_asks_by_the_route_of_the_grant() {
    let tables = |name: &str, grant: &str| {
        let settings =
            json!({"written": "ask", "phases": ["written"], "asks": [{"fhir": [get("Patient/2")]}]});
        format!(
            "[routes.{name}]\npath = \"/{name}\"\nupstream = \"hapi\"\nauthentication = \"none\"\nplugins = [\"{name}\"]\n\
             hapi = {{ check_versions = false, check_transactions = false }}\n\
             [plugins.{name}]\ncomponent = \"{}\"\nsettings = {}\n[plugins.{name}.grants]\n{grant}\n",
            guest::component().display(),
            toml(&settings.to_string())
        )
    };
    let state = "[state]\ndirectory = \"kept\"\n";
    let tables =
        tables("proxy", "fhir_client = { route = \"fhir\" }") + &tables("caller", "fhir_client = {}") + state;
    let rig = rig(tables, "").await;
    let location = format!("{}/Patient/9/_history/1", rig.standin.base_url());
    let created = Answer::json(201, patient("9").to_string()).header("location", &location);
    rig.standin.always("POST", "/fhir/Patient", created);
    let post = |route: &str| Ask::json("POST", &format!("/{route}/Patient"), patient("9").to_string());
    for (route, expected) in [("caller", "there is no caller here"), ("proxy", r#"\"status\":200"#)] {
        assert_eq!(rig.send(post(route)).await.status, 201);
        rig.gateway.logged(expected).await;
    }
    assert_eq!(rig.standin.requests_to("GET", "/fhir/Patient/2").len(), 1);
}

/// Whatever its caller has asked for: each request of a plugin is judged for itself.
#[tokio::test]
async fn who_asks_as_the_caller_sees_what_the_caller_does() {
    let issuer = Issuer::start().await.unwrap();
    let asks = json!([{"fhir": [
        get("Patient/1"), get("Patient/2"), get("Patient"), get("Patient/_history"), get("Condition/1"),
    ]}]);
    let tables = asking("p", &asks, "fhir_client = {}")
        .replace("authentication = \"none\"", "authentication = [\"id\"]")
        + &issuer.configuration("id");
    let rig = rig(tables, "").await;
    let found = json!({"resourceType": "Bundle", "type": "searchset", "link": [
        {"relation": "self", "url": format!("{}/Patient", rig.standin.base_url())}], "entry": [{"resource": patient("2")}]});
    rig.standin.always("GET", "/fhir/Patient", Answer::json(200, found.to_string()));
    let token = issuer.token(json!({"patient": "1", "scope": "patient/Patient.rs"}));
    let ask = Ask::get("/p/Patient/1").header("Authorization", &format!("Bearer {token}"));
    let told = told(&rig.send(ask).await);
    let statuses: Vec<_> = told.as_array().unwrap().iter().map(|answer| answer["status"].clone()).collect();
    // The server did not search as narrowly as it was told.
    assert_eq!(statuses, [200, 404, 502, 403, 403], "{told:#}");
    assert!(!told[2]["body"].as_str().unwrap().contains("\"2\""), "{told:#}");
    let searched = rig.arrived().into_iter().find(|request| request.path() == "/fhir/Patient").unwrap();
    assert!(searched.target.contains("_id=1"), "{}", searched.target);
}

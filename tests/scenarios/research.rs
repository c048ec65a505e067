//! A route with the de-identification plugin before a real HAPI: who somebody is must come out nowhere.

use std::fs;

use fireguard_test_support::repository;
use serde_json::{Value, json};

use crate::common::resources::{bundle, entry, observation};
use crate::common::steps::leak;
use crate::common::world::{World, folder};

/// What tells who the patient is: in names, identifiers, addresses, texts, files, ids.
const SECRETS: [&str; 10] = [
    "Quillfeather",
    "Ottoline",
    "MRN-771-302",
    "14 Larkspur Crescent",
    "+44 20 7946 0991",
    "1961-07-19",
    "UXVpbGxmZWF0aGVyIGZpbGU=",
    "Quillfeather file",
    "zq-hush",
    "observed by Dr Thistlewood",
];

/// One Fireguard for all: compiling the plugin takes longer than the rest.
#[tokio::test]
async fn nothing_on_the_route_tells_who_somebody_is() {
    let Some(config) = config("research") else { return };
    let world = World::with(&config).await;
    let versions = store(&world).await;
    let base = format!("{}/research", world.gateway.url());

    everything_is_there_on_the_plain_route(&world).await;
    reads(&world, &base).await;
    searches(&world, &base).await;
    errors(&world, &base).await;
    let pages = pages(&world, &format!("{base}/Observation?code=8867-4&_count=3"), &base).await;
    let observations = resources(&pages, "Observation");
    assert!(pages.len() >= 4 && observations.len() >= OBSERVATIONS, "{} pages", pages.len());
    let everything = pages_of_everything(&world, &base).await;
    // The same id is the same hash everywhere, so that resources still find each other.
    let patient = read(&world, &format!("{base}/Patient/zq-hush")).await;
    let reference = format!("Patient/{}", patient["id"].as_str().unwrap());
    let of_hers = everything.iter().filter(|r| r["resourceType"] == "Observation");
    assert!(of_hers.clone().count() == OBSERVATIONS);
    assert!(of_hers.clone().all(|r| r["subject"]["reference"] == reference), "{everything:?}");
    let history = answer(&world, world.client.get(format!("{base}/Patient/zq-hush/_history"))).await;
    assert_eq!(history.1["entry"].as_array().unwrap().len(), versions);
}

/// Otherwise finding nothing would mean nothing.
async fn everything_is_there_on_the_plain_route(world: &World) {
    let mut all = String::new();
    for path in ["Patient/zq-hush/$everything", "Binary/zq-hush-file", "Binary/zq-hush-file?_format=json"] {
        all +=
            &world.client.get(format!("{}/{path}", world.base())).send().await.unwrap().text().await.unwrap();
    }
    for secret in SECRETS {
        assert!(all.contains(secret), "{secret} is not in {all}");
    }
}

async fn reads(world: &World, base: &str) {
    let patient = read(world, &format!("{base}/Patient/zq-hush")).await;
    assert_eq!(patient["resourceType"], "Patient");
    assert_eq!((&patient["gender"], &patient["birthDate"]), (&json!("female"), &json!("1961")));
    assert!(
        patient["name"].is_null() && patient["text"].is_null() && patient["telecom"].is_null(),
        "{patient}"
    );
    let observation = read(world, &format!("{base}/Observation/zq-hush-1")).await;
    // What research is about stays as it was, to the digit.
    assert_eq!(observation["valueQuantity"]["value"].to_string(), "71.50");
    assert_eq!(observation["code"]["coding"][0]["code"], "8867-4");
    let version = read(world, &format!("{base}/Patient/zq-hush/_history/1")).await;
    assert_eq!(version["id"], patient["id"]);

    let document = read(world, &format!("{base}/DocumentReference/zq-hush-doc")).await;
    let attachment = &document["content"][0]["attachment"];
    assert_eq!(attachment["contentType"], "text/plain");
    assert!(attachment["data"].is_null() && attachment["url"].is_null() && attachment["title"].is_null());
    // Never raw, whatever is asked for.
    for accept in ["*/*", "text/plain", "application/fhir+json"] {
        let get = world.client.get(format!("{base}/Binary/zq-hush-file")).header("Accept", accept);
        let (status, binary) = answer(world, get).await;
        assert!(status == 200 || status == 406, "{accept}: {status}");
        assert!(binary["data"].is_null(), "{accept}: {binary}");
    }
    for path in ["Patient/zq-hush", "Binary/zq-hush-file", "Patient/zq-hush/_history/1"] {
        let head = world.client.head(format!("{base}/{path}")).header("Accept", "application/fhir+json");
        let head = head.send().await.unwrap();
        assert_eq!((head.status().as_u16(), head.headers().get("etag")), (200, None), "{path}");
        assert!(leak(head.headers(), b"", world.hidden()).is_none());
    }
}

async fn searches(world: &World, base: &str) {
    for (query, matches) in [
        ("Patient?gender=female", true),
        ("Observation?code=http://loinc.org%7C8867-4&status=final", true),
        ("DocumentReference?status=current", true),
        ("Patient?gender=unknown", false),
    ] {
        let (status, page) = answer(world, world.client.get(format!("{base}/{query}"))).await;
        assert_eq!((status, page["entry"].is_array()), (200, matches), "{query}: {page}");
        assert!(page["total"].is_null(), "{query}");
        let (name, query) = query.split_once('?').unwrap();
        let post = world.client.post(format!("{base}/{name}/_search"));
        let post = post.header("Content-Type", "application/x-www-form-urlencoded").body(query.to_owned());
        assert_eq!(answer(world, post).await.0, 200);
    }
}

/// What is refused quotes nothing, neither the server's words nor what it has.
async fn errors(world: &World, base: &str) {
    for (status, path) in [
        (400, "Patient?family=Quillfeather"),
        (400, "Patient?identifier=MRN-771-302"),
        (400, "Observation?subject=Patient/zq-hush"),
        (400, "Observation?code:text=x"),
        (400, "Observation?_include=Observation:subject"),
        (400, "Observation?_sort=date"),
        (404, "Patient/zq-hush-none"),
        (404, "Patient/zq-hush-gone"),
        (404, "Patient/zq-hush/_history/99"),
        (403, "Patient/zq-hush/$meta"),
        (406, "Patient/zq-hush?_format=xml"),
        (400, "?_getpages=00000000-0000-4000-8000-000000000000"),
        (404, "Nope/1"),
    ] {
        let (given, outcome) = answer(world, world.client.get(format!("{base}/{path}"))).await;
        // That a search is no longer kept may be told as gone or as not there.
        assert!(given == status || (status == 410 && given == 404), "{path}: {given} {outcome}");
        assert_eq!(outcome["resourceType"], "OperationOutcome", "{path}");
    }
    let body = json!({"resourceType": "Patient"}).to_string();
    for request in [
        world.client.post(format!("{base}/Patient")),
        world.client.put(format!("{base}/Patient/zq-hush")),
        world.client.post(base),
    ] {
        let request = request.header("Content-Type", "application/fhir+json").body(body.clone());
        assert_eq!(answer(world, request).await.0, 403);
    }
    assert_eq!(answer(world, world.client.delete(format!("{base}/Patient/zq-hush"))).await.0, 403);
}

async fn pages_of_everything(world: &World, base: &str) -> Vec<Value> {
    let pages = pages(world, &format!("{base}/Patient/zq-hush/$everything?_count=4"), base).await;
    assert!(pages.len() >= 3, "{} pages", pages.len());
    let entries = pages.iter().flat_map(|page| page["entry"].as_array().unwrap());
    entries.map(|entry| entry["resource"].clone()).collect()
}

/// Follows the links; every page is searched, every link is ours.
async fn pages(world: &World, first: &str, base: &str) -> Vec<Value> {
    let mut pages = Vec::new();
    let mut next = Some(first.to_owned());
    while let Some(url) = next {
        let (status, page) = answer(world, world.client.get(&url)).await;
        assert_eq!(status, 200, "{url}: {page}");
        let links = page["link"].as_array().into_iter().flatten();
        let urls: Vec<_> = links.map(|link| (&link["relation"], link["url"].as_str().unwrap())).collect();
        assert!(urls.iter().all(|(_, url)| url.starts_with(base)), "{urls:?}");
        next = urls.iter().find(|(relation, _)| **relation == "next").map(|(_, url)| (*url).to_owned());
        pages.push(page);
        assert!(pages.len() < 100, "the pages of {first} do not end");
    }
    pages
}

fn resources(pages: &[Value], name: &str) -> Vec<Value> {
    let entries = pages.iter().flat_map(|page| page["entry"].as_array().into_iter().flatten());
    entries.map(|entry| entry["resource"].clone()).filter(|r| r["resourceType"] == name).collect()
}

async fn read(world: &World, url: &str) -> Value {
    let (status, resource) =
        answer(world, world.client.get(url).header("Accept", "application/fhir+json")).await;
    assert_eq!(status, 200, "{url}: {resource}");
    resource
}

/// Sends a request and searches the whole answer for what must not be in it.
async fn answer(world: &World, request: reqwest::RequestBuilder) -> (u16, Value) {
    let request = request.build().unwrap();
    let asked = format!(
        "{} {}",
        request.url(),
        String::from_utf8_lossy(request.body().and_then(|b| b.as_bytes()).unwrap_or_default())
    );
    let response = world.client.execute(request).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.text().await.unwrap();
    if let Some(leak) = leak(&headers, body.as_bytes(), world.hidden()) {
        panic!("{asked}: {leak}");
    }
    let all = format!("{headers:?} {body}");
    for secret in SECRETS {
        assert!(!all.contains(secret), "{secret} in the answer to {asked}: {all}");
    }
    (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("{asked}: {status} {body}")))
}

/// Observations of the patient; more than three pages of four.
const OBSERVATIONS: usize = 11;

/// Stores the patient, twice, and what belongs to her. Returns the number of her versions.
async fn store(world: &World) -> usize {
    let put = |path: &str, resource| entry("PUT", path, Some(resource));
    let patient = |city: &str| {
        json!({
            "resourceType": "Patient", "id": "zq-hush",
            "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">Quillfeather</div>"},
            "identifier": [{"system": "urn:fireguard:mrn", "value": "MRN-771-302"}],
            "name": [{"family": "Quillfeather", "given": ["Ottoline"]}],
            "telecom": [{"system": "phone", "value": "+44 20 7946 0991"}],
            "address": [{"line": ["14 Larkspur Crescent"], "city": city, "country": "GB"}],
            "gender": "female", "birthDate": "1961-07-19",
        })
    };
    let file = "UXVpbGxmZWF0aGVyIGZpbGU=";
    let document = json!({
        "resourceType": "DocumentReference", "id": "zq-hush-doc", "status": "current",
        "description": "Quillfeather file", "subject": {"reference": "Patient/zq-hush", "display": "Ottoline"},
        "content": [{"attachment": {"contentType": "text/plain", "data": file, "title": "Quillfeather file",
            "url": "Binary/zq-hush-file"}}],
    });
    let mut entries = vec![
        put("Patient/zq-hush", patient("Upper Thornby")),
        put("Patient/zq-hush-gone", json!({"resourceType": "Patient", "id": "zq-hush-gone"})),
        put("DocumentReference/zq-hush-doc", document),
        put(
            "Binary/zq-hush-file",
            json!({"resourceType": "Binary", "id": "zq-hush-file",
            "contentType": "text/plain", "data": file}),
        ),
    ];
    for number in 1..=OBSERVATIONS {
        let id = format!("zq-hush-{number}");
        let mut observation = observation(&id, "Patient/zq-hush", "71.50");
        observation["meta"] = json!({});
        observation["note"] = json!([{"text": "observed by Dr Thistlewood"}]);
        entries.push(put(&format!("Observation/{id}"), observation));
    }
    let second = vec![
        put("Patient/zq-hush", patient("Nether Thornby")),
        entry("DELETE", "Patient/zq-hush-gone", None),
    ];
    for entries in [entries, second] {
        let body = bundle("transaction", entries).to_string();
        let post = world.client.post(world.hapi.base_url()).header("Content-Type", "application/fhir+json");
        let answer = post.body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }
    2
}

/// The configuration; none: the plugin has not been built, which has been said.
pub(crate) fn config(name: &str) -> Option<String> {
    if !repository::target().join("plugins/deid.wasm").exists() {
        println!("skipped: `cargo xtask plugins` has not been run");
        return None;
    }
    let key = folder(name).join("pseudonym.key");
    let mut random = [0_u8; 32];
    std::io::Read::read_exact(&mut fs::File::open("/dev/urandom").unwrap(), &mut random).unwrap();
    let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(&key, hex).unwrap();
    Some(crate::common::world::config(RESEARCH).replace("{key}", &key.display().to_string()))
}

const RESEARCH: &str = r#"
[routes.research]
path = "/research"
upstream = "hapi"
authentication = "none"
read_only = true
plugins = ["deid"]
operations = ["$everything"]
search_parameters = ["_count", "code", "gender", "status"]

[plugins.deid]
component = "{plugins}/deid.wasm"
on_failure = "refuse"
files = { rules = "{policies}/deid/research.json" }
grants.pseudonym = { key = "file:{key}", project = "scenarios" }
"#;

/// More versions than HAPI puts on one page.
#[tokio::test]
async fn a_long_history_can_be_paged() {
    let Some(config) = config("long-history") else { return };
    let world = World::with(&config).await;
    for number in 0..25 {
        let body =
            json!({"resourceType": "Patient", "id": "zq-long", "birthDate": format!("19{:02}", number + 10)});
        let put = world.client.put(format!("{}/Patient/zq-long", world.hapi.base_url()));
        let put = put.header("Content-Type", "application/fhir+json").body(body.to_string());
        assert!(put.send().await.unwrap().status().is_success());
    }
    let base = format!("{}/research", world.gateway.url());
    let pages = pages(&world, &format!("{base}/Patient/zq-long/_history"), &base).await;
    assert_eq!(resources(&pages, "Patient").len(), 25);
}

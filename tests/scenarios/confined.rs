//! Gates 1 and 2 on a real HAPI: what a patient's app may ask for and write, and what becomes of the rest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fireguard_test_support::gateway::Gateway;
use fireguard_test_support::hapi::Hapi;
use fireguard_test_support::issuer::Issuer;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::common::world::{client, gateway};

const SCOPES: &str = "patient/*.cruds";

/// Two patients, each with an Observation, and a Fireguard that lets in who shows a token.
struct Confined {
    hapi: &'static Hapi,
    gateway: Gateway,
    issuer: Issuer,
    client: reqwest::Client,
    /// What the ids of this test begin with.
    me: &'static str,
}

#[derive(Debug)]
struct Reply {
    status: StatusCode,
    challenge: Option<String>,
    version: Option<String>,
    body: Value,
}

impl Confined {
    async fn start(me: &'static str) -> Self {
        let hapi = Hapi::shared().await.expect("a HAPI");
        let issuer = Issuer::start().await.unwrap();
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n{}\
             [upstreams.hapi]\nurl = \"{{upstream}}\"\n\
             [routes.fhir]\npath = \"/fhir\"\nupstream = \"hapi\"\nauthentication = [\"id\"]\n\
             subscription_endpoints = [\"https://hooks.example\"]\n",
            issuer.configuration("id")
        );
        let gateway = gateway(&config, hapi.base_url()).await;
        let world = Self { hapi, gateway, issuer, client: client(), me };
        for who in ["own", "other"] {
            world
                .stored(json!({"resourceType": "Patient", "id": world.id(who), "name": [{"family": who}]}))
                .await;
            world.stored(world.observation(&format!("{who}-1"), who)).await;
        }
        world
    }

    fn id(&self, name: &str) -> String {
        format!("{}-{name}", self.me)
    }

    fn observation(&self, name: &str, of: &str) -> Value {
        json!({
            "resourceType": "Observation", "id": self.id(name), "status": "final", "code": {"text": "x"},
            "identifier": [{"system": "urn:confined", "value": self.id(name)}],
            "category": [{"coding": [{"system": "urn:c", "code": of}]}],
            "subject": {"reference": format!("Patient/{}", self.id(of))},
            "valueQuantity": {"value": 1.5},
        })
    }

    /// Straight to HAPI.
    async fn stored(&self, resource: Value) {
        let target =
            format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
        let url = format!("{}/{target}", self.hapi.base_url());
        let answer = self.client.put(url).json(&resource).header("Content-Type", JSON).send().await.unwrap();
        assert!(answer.status().is_success(), "{target}: {:?}", answer.text().await);
    }

    /// What HAPI holds.
    async fn held(&self, target: &str) -> Value {
        let url = format!("{}/{}", self.hapi.base_url(), target.replace("{me}", self.me));
        self.client.get(url).send().await.unwrap().json().await.unwrap()
    }

    async fn ask(&self, method: &str, target: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Reply {
        self.ask_with(SCOPES, method, target, headers, body).await
    }

    /// As the app of the patient `own`.
    async fn ask_with(
        &self,
        scopes: &str,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Reply {
        let token = self.issuer.token(json!({"patient": self.id("own"), "scope": scopes}));
        let url = format!("{}/fhir/{}", self.gateway.url(), target.replace("{me}", self.me));
        let mut request = self.client.request(method.parse::<Method>().unwrap(), url).bearer_auth(token);
        for (name, value) in headers {
            request = request.header(*name, value.replace("{me}", self.me));
        }
        if let Some(body) = body {
            let patch = body.is_array();
            let kind = if patch { "application/json-patch+json" } else { JSON };
            let kind = if body.is_string() { "application/x-www-form-urlencoded" } else { kind };
            let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
            request = request.header("Content-Type", kind).body(text.replace("{me}", self.me));
        }
        let answer = request.send().await.unwrap();
        let header = |name: &str| Some(answer.headers().get(name)?.to_str().unwrap().to_owned());
        let (challenge, version) = (header("www-authenticate"), header("etag"));
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(!text.contains("HAPI-"), "the server's own words: {text}");
        let body = if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() };
        Reply { status, challenge, version, body }
    }

    async fn get(&self, target: &str) -> Reply {
        self.ask("GET", target, &[], None).await
    }
}

const JSON: &str = "application/fhir+json";

impl Reply {
    /// The ids of its entries.
    fn ids(&self) -> Vec<&str> {
        let entries = self.body["entry"].as_array().map_or(&[][..], Vec::as_slice);
        entries.iter().map(|entry| entry["resource"]["id"].as_str().unwrap()).collect()
    }

    fn self_link(&self) -> &str {
        let links = self.body["link"].as_array().unwrap();
        links.iter().find(|link| link["relation"] == "self").unwrap()["url"].as_str().unwrap()
    }
}

#[tokio::test]
async fn searches_find_what_is_the_patients() {
    let world = Confined::start("cs").await;
    for target in [
        "Observation",
        "Observation?code:text=x",
        "Observation?patient={me}-own",
        "Observation?subject=Patient/{me}-own,Patient/{me}-other",
        "Observation?_sort=-_lastUpdated&_total=accurate&_count=5",
        "Observation?_elements=code",
    ] {
        let found = world.get(target).await;
        assert_eq!(found.status, 200, "{target}: {found:?}");
        assert_eq!(found.ids(), ["cs-own-1"], "{target}: {found:?}");
        assert!(found.self_link().contains("patient="), "{target}: {}", found.self_link());
    }
    let by_post = world.ask("POST", "Observation/_search", &[], Some(&json!("code:text=x"))).await;
    assert_eq!(by_post.ids(), ["cs-own-1"], "{by_post:?}");
    for target in ["Observation?patient={me}-other", "Observation?identifier=urn:confined|{me}-other-1"] {
        let nothing = world.get(target).await;
        assert_eq!((nothing.status.as_u16(), nothing.ids().len()), (200, 0), "{target}");
    }
    assert_eq!(world.get("Patient").await.ids(), ["cs-own"]);
    assert_eq!(world.get("Patient?_id={me}-other").await.ids(), [""; 0]);
    for (target, total) in [
        ("Observation?_summary=count", 1),
        ("Observation?_count=0&code:text=x", 1),
        ("Observation?_summary=count&patient={me}-other", 0),
        ("Observation?identifier=urn:confined|{me}-other-1&_summary=count", 0),
    ] {
        let count = world.get(target).await;
        assert_eq!(
            (count.status.as_u16(), &count.body["total"]),
            (200, &json!(total)),
            "{target}: {count:?}"
        );
        assert!(count.ids().is_empty() && count.body.get("link").is_none(), "{target}: {count:?}");
    }
    for (target, ids) in [
        ("Patient/{me}-own/Observation", &["cs-own-1"][..]),
        ("Patient/{me}-own/Observation?code:text=none", &[]),
        ("Patient/{me}-other/Observation", &[]),
    ] {
        let found = world.get(target).await;
        assert_eq!((found.status.as_u16(), &*found.ids()), (200, ids), "{target}: {found:?}");
    }
    for target in [
        "Patient/{me}-own/*",
        "Encounter/x/Observation",
        "Schedule?_summary=count",
        "Observation?patient.name=other",
        "Practitioner?_has:Observation:performer:patient={me}-other",
        "Observation?_filter=x",
        "Observation/_history",
        "Patient/{me}-other/$everything",
    ] {
        let refused = world.get(target).await;
        assert_eq!(refused.status, 403, "{target}: {refused:?}");
    }
    let unknown = world.get("Observation?of-our-own=x").await;
    assert_eq!(unknown.status, 400, "{unknown:?}");
    let scopes = world.ask_with("patient/Patient.rs", "GET", "Observation", &[], None).await;
    assert_eq!(scopes.status, 403);
    assert!(scopes.challenge.is_some_and(|c| c.contains("insufficient_scope") && c.contains("Observation")));
}

#[tokio::test]
async fn scopes_with_parameters_bound_searches_and_reads() {
    let world = Confined::start("cp").await;
    let mut second = world.observation("own-2", "own");
    second["category"][0]["coding"][0]["code"] = json!("second");
    world.stored(second).await;
    let one = "patient/Observation.rs?category=urn:c|second";
    let found = world.ask_with(one, "GET", "Observation", &[], None).await;
    assert_eq!(found.ids(), ["cp-own-2"], "{found:?}");
    for (id, status) in [("own-2", 200), ("own-1", 404), ("other-1", 404), ("none", 404)] {
        let read = world.ask_with(one, "GET", &format!("Observation/{{me}}-{id}"), &[], None).await;
        assert_eq!(read.status, status, "{id}: {read:?}");
    }
    let both = "patient/Observation.rs?category=urn:c|second patient/Observation.rs?category=urn:c|own";
    let found = world.ask_with(both, "GET", "Observation?_sort=_id", &[], None).await;
    assert_eq!(found.ids(), ["cp-own-1", "cp-own-2"], "{found:?}");
}

#[tokio::test]
async fn scopes_with_parameters_bound_writes_by_what_a_resource_says() {
    let world = Confined::start("cm").await;
    let of = |name: &str, of: &str, category: &str| {
        let mut observation = world.observation(name, of);
        observation["category"][0]["coding"][0]["code"] = json!(category);
        observation
    };
    world.stored(of("own-2", "own", "second")).await;
    world.stored(of("other-2", "other", "second")).await;
    const SEES: &str = "patient/Observation.rs patient/Observation.cud?category=urn:c|second";
    const BLIND: &str = "patient/Observation.cud?category=urn:c|second";
    const DATED: &str = "patient/Observation.cud?date=gt2020";
    let amend = json!([{"op": "replace", "path": "/status", "value": "amended"}]);
    let leave = json!([{"op": "replace", "path": "/category/0/coding/0/code", "value": "own"}]);
    for (scopes, method, target, body, status) in [
        (SEES, "POST", "Observation", Some(of("x", "own", "second")), 201),
        (BLIND, "POST", "Observation", Some(of("y", "own", "second")), 201),
        (SEES, "POST", "Observation", Some(of("z", "own", "own")), 403),
        (SEES, "POST", "Observation", Some(of("z", "other", "second")), 403),
        (DATED, "POST", "Observation", Some(of("z", "own", "second")), 403),
        (SEES, "PUT", "Observation/{me}-own-2", Some(of("own-2", "own", "second")), 200),
        (BLIND, "PUT", "Observation/{me}-own-2", Some(of("own-2", "own", "second")), 200),
        // Out of what the scope names, into it, and somebody else's.
        (SEES, "PUT", "Observation/{me}-own-2", Some(of("own-2", "own", "own")), 403),
        (SEES, "PUT", "Observation/{me}-own-1", Some(of("own-1", "own", "second")), 403),
        (BLIND, "PUT", "Observation/{me}-own-1", Some(of("own-1", "own", "second")), 404),
        (SEES, "PUT", "Observation/{me}-other-2", Some(of("other-2", "own", "second")), 404),
        (SEES, "PATCH", "Observation/{me}-own-2", Some(amend.clone()), 200),
        (SEES, "PATCH", "Observation/{me}-own-2", Some(leave), 403),
        (SEES, "PATCH", "Observation/{me}-own-1", Some(amend), 403),
        (SEES, "DELETE", "Observation/{me}-own-1", None, 403),
        (BLIND, "DELETE", "Observation/{me}-own-1", None, 404),
        (SEES, "DELETE", "Observation/{me}-other-2", None, 404),
        (SEES, "DELETE", "Observation/{me}-own-2", None, 200),
    ] {
        let reply = world.ask_with(scopes, method, target, &[], body.as_ref()).await;
        assert_eq!(reply.status, status, "{method} {target} {scopes}: {reply:?}");
    }
    assert_eq!(world.held("Observation/{me}-own-1").await["category"][0]["coding"][0]["code"], "own");
    let entry = |body: Value| {
        json!({"resourceType": "Bundle", "type": "batch", "entry": [
            {"resource": body, "request": {"method": "POST", "url": "Observation"}}
        ]})
    };
    for (category, status) in [("second", "201"), ("own", "403")] {
        let batch = entry(of("b", "own", category));
        let reply = world.ask_with(SEES, "POST", "", &[], Some(&batch)).await;
        let told = reply.body["entry"][0]["response"]["status"].as_str().unwrap_or_default();
        assert!(told.starts_with(status), "{category}: {reply:?}");
    }
}

#[tokio::test]
async fn writes_are_judged_by_what_is_stored_and_what_comes_of_it() {
    let world = Confined::start("cw").await;
    let own = world.observation("own-1", "own");
    let moved = world.observation("own-1", "other");
    let taken = world.observation("other-1", "own");
    let new = |name: &str, of: &str| world.observation(name, of);
    let replace = |path: &str, value: &str| json!([{"op": "replace", "path": path, "value": value}]);
    let other = world.held("Observation/{me}-other-1").await;
    for (method, target, headers, body, status) in [
        ("POST", "Observation", &[][..], Some(new("x", "own")), 201),
        ("POST", "Observation", &[], Some(new("x", "other")), 403),
        ("POST", "Patient", &[], Some(json!({"resourceType": "Patient"})), 403),
        ("PUT", "Observation/{me}-new", &[], Some(new("new", "own")), 201),
        ("PUT", "Observation/{me}-new2", &[], Some(new("new2", "other")), 403),
        ("PUT", "Observation/{me}-own-1", &[], Some(own.clone()), 200),
        // Away to somebody else, and somebody else's to oneself.
        ("PUT", "Observation/{me}-own-1", &[], Some(moved), 403),
        ("PUT", "Observation/{me}-other-1", &[], Some(taken), 404),
        ("PUT", "Observation/{me}-own-1", &[("If-Match", "W/\"77\"")], Some(own.clone()), 412),
        ("PUT", "Observation/{me}-none", &[("If-Match", "W/\"1\"")], Some(new("none", "own")), 412),
        ("PUT", "Observation/{me}-own-1", &[("If-None-Match", "*")], Some(own.clone()), 412),
        ("PATCH", "Observation/{me}-own-1", &[], Some(replace("/status", "amended")), 200),
        (
            "PATCH",
            "Observation/{me}-own-1",
            &[],
            Some(replace("/subject/reference", "Patient/cw-other")),
            403,
        ),
        ("PATCH", "Observation/{me}-own-1", &[], Some(json!([{"op": "remove", "path": "/subject"}])), 403),
        ("PATCH", "Observation/{me}-own-1", &[], Some(replace("/nowhere", "x")), 422),
        (
            "PATCH",
            "Observation/{me}-own-1",
            &[],
            Some(json!([{"op": "replace", "path": "", "value": new("own-1", "other")}])),
            403,
        ),
        ("PATCH", "Observation/{me}-other-1", &[], Some(replace("/status", "amended")), 404),
        ("PATCH", "Observation/{me}-none", &[], Some(replace("/status", "amended")), 404),
        ("DELETE", "Observation/{me}-other-1", &[], None, 404),
        ("DELETE", "Observation/{me}-none", &[], None, 404),
        ("DELETE", "Observation/{me}-new", &[], None, 200),
        ("PUT", "Observation/{me}-new", &[], Some(new("new", "own")), 404),
        // Conditions find only what may be seen.
        ("PUT", "Observation?identifier=urn:confined|{me}-own-1", &[], Some(own.clone()), 200),
        ("PUT", "Observation?identifier=urn:confined|{me}-fresh", &[], Some(new("fresh", "own")), 201),
        (
            "PATCH",
            "Observation?identifier=urn:confined|{me}-own-1",
            &[],
            Some(replace("/status", "corrected")),
            200,
        ),
        (
            "PATCH",
            "Observation?identifier=urn:confined|{me}-other-1",
            &[],
            Some(replace("/status", "amended")),
            404,
        ),
        ("DELETE", "Observation?identifier=urn:confined|{me}-other-1", &[], None, 404),
        ("DELETE", "Observation?identifier=urn:confined|{me}-fresh", &[], None, 200),
        (
            "POST",
            "Observation",
            &[("If-None-Exist", "identifier=urn:confined|{me}-own-1")],
            Some(own.clone()),
            200,
        ),
        // A conditional reference would look for whatever there is.
        (
            "POST",
            "Observation",
            &[],
            Some(json!({"resourceType": "Observation", "status": "final", "code": {"text": "x"},
                        "subject": {"reference": "Patient?name=other"}})),
            403,
        ),
        // What was not wholly shown cannot be written back.
        (
            "PUT",
            "Observation/{me}-own-1",
            &[],
            Some({
                let mut own = own.clone();
                own["meta"] = json!({"tag": [{"system": "urn:x", "code": "SUBSETTED"}]});
                own
            }),
            422,
        ),
    ] {
        let reply = world.ask(method, target, headers, body.as_ref()).await;
        assert_eq!(reply.status, status, "{method} {target} {body:?}: {reply:?}");
    }
    assert_eq!(world.held("Observation/{me}-other-1").await, other, "nothing of anybody else's has changed");
    let patched = world.held("Observation/{me}-own-1").await;
    assert_eq!(patched["status"], "corrected");
    assert_eq!(patched["subject"]["reference"], "Patient/cw-own");
}

/// An empty list would tell what a refusal does not: that there is such a resource.
#[tokio::test]
async fn histories_are_of_what_may_be_seen() {
    let world = Confined::start("ch").await;
    for (target, status) in [
        ("Observation/{me}-own-1/_history", 200),
        ("Observation/{me}-own-1/_history/1", 200),
        ("Observation/{me}-other-1/_history", 404),
        ("Observation/{me}-other-1/_history/1", 404),
        ("Observation/{me}-none/_history", 404),
        ("Observation/{me}-none/_history/1", 404),
    ] {
        let reply = world.get(target).await;
        assert_eq!(reply.status, status, "{target}: {reply:?}");
    }
}

/// Also for callers who are not confined: HAPI stores what was not wholly shown without a word.
#[tokio::test]
async fn what_was_not_wholly_shown_is_not_written_back() {
    let world = Confined::start("cm").await;
    let scopes = "user/*.cruds";
    let read = world.ask_with(scopes, "GET", "Observation/{me}-own-1?_elements=status", &[], None).await;
    assert_eq!(read.status, 200, "{read:?}");
    let back = world.ask_with(scopes, "PUT", "Observation/{me}-own-1", &[], Some(&read.body)).await;
    assert_eq!(back.status, 422, "{back:?}");
    let entry = json!({"resource": read.body, "request": {"method": "PUT", "url": "Observation/cm-own-1"}});
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": [entry]});
    let back = world.ask_with(scopes, "POST", "", &[], Some(&batch)).await;
    assert_eq!(back.body["entry"][0]["response"]["status"], "422 Unprocessable Entity", "{back:?}");
    let held = world.held("Observation/{me}-own-1").await;
    assert_eq!(held["valueQuantity"]["value"], 1.5, "{held}");
}

/// Whoever makes one reads its criteria.
#[tokio::test]
async fn subscriptions_read_what_their_makers_may_read() {
    let world = Confined::start("cb").await;
    let subscription = |criteria: &str, endpoint: &str| {
        json!({"resourceType": "Subscription", "status": "requested", "reason": "x", "criteria": criteria,
               "channel": {"type": "rest-hook", "endpoint": endpoint, "payload": "application/fhir+json"}})
    };
    let scopes = "user/Subscription.cruds user/Observation.rs";
    for (criteria, endpoint, refused) in [
        ("Observation?code=x", "https://hooks.example/in", false),
        ("Observation?code=x", "https://evil.example/in", true),
        ("Condition?code=x", "https://hooks.example/in", true),
        ("Observation?patient.name=x", "https://hooks.example/in", true),
    ] {
        let body = subscription(criteria, endpoint);
        let made = world.ask_with(scopes, "POST", "Subscription", &[], Some(&body)).await;
        assert_eq!(made.status == 403, refused, "{criteria} {endpoint}: {made:?}");
        let own = world.ask("POST", "Subscription", &[], Some(&body)).await;
        assert_eq!(own.status, 403, "of a patient: {own:?}");
    }
}

#[tokio::test]
async fn labels_stay() {
    let world = Confined::start("cl").await;
    let mut labelled = world.observation("own-1", "own");
    labelled["meta"] = json!({"security": [{"system": "urn:s", "code": "R"}]});
    world.stored(labelled).await;
    let bare = world.observation("own-1", "own");
    let written = world.ask("PUT", "Observation/{me}-own-1", &[], Some(&bare)).await;
    assert_eq!(written.status, 200, "{written:?}");
    assert_eq!(world.held("Observation/{me}-own-1").await["meta"]["security"][0]["code"], "R");
}

#[tokio::test]
async fn entries_are_judged_each() {
    let world = Confined::start("ce").await;
    let bundle =
        |kind: &str, entries: &[Value]| json!({"resourceType": "Bundle", "type": kind, "entry": entries});
    let request = |method: &str, url: &str| json!({"request": {"method": method, "url": url}});
    let put = |name: &str, of: &str| {
        let resource = world.observation(name, of);
        json!({"resource": resource, "request": {"method": "PUT", "url": format!("Observation/ce-{name}")}})
    };
    let other = world.held("Observation/{me}-other-1").await;
    let entries = [
        request("GET", "Observation/{me}-own-1"),
        request("GET", "Observation/{me}-other-1"),
        request("GET", "Observation/{me}-none"),
        request("GET", "Observation?patient={me}-other"),
        put("own-1", "own"),
        put("own-1", "other"),
        put("other-1", "own"),
        put("made", "own"),
        request("DELETE", "Observation/{me}-other-1"),
        request("DELETE", "Observation?identifier=urn:confined|{me}-other-1"),
        request("GET", "Observation/_history"),
        request("GET", "Patient/{me}-own/$everything"),
        request("GET", "Observation?patient={me}-own&_summary=count"),
        request("GET", "Observation/{me}-own-1/_history"),
        request("GET", "Observation/{me}-other-1/_history"),
        request("GET", "Observation?patient.name=other"),
        request("GET", "Patient/{me}-own/Observation"),
    ];
    let batch = world.ask("POST", "", &[], Some(&bundle("batch", &entries))).await;
    assert_eq!(batch.status, 200, "{batch:?}");
    let answers = batch.body["entry"].as_array().unwrap();
    let status = |answer: &Value| answer["response"]["status"].as_str().unwrap()[..3].to_owned();
    let statuses: Vec<_> = answers.iter().map(status).collect();
    let expected = [
        "200", "404", "404", "200", "200", "403", "404", "201", "404", "404", "403", "200", "200", "200",
        "404", "403", "200",
    ];
    assert_eq!(statuses, expected.map(str::to_owned), "{}", batch.body);
    let found = |place: usize| {
        let list = answers[place]["resource"]["entry"].as_array().map_or(&[][..], Vec::as_slice);
        list.iter().map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found(3), [""; 0], "{}", batch.body);
    for (place, own) in [(11, "ce-own-1"), (13, "ce-own-1"), (16, "ce-own-1"), (16, "ce-made")] {
        assert!(found(place).iter().any(|id| id == own), "{place}: {}", batch.body);
    }
    assert_eq!(answers[12]["resource"]["total"], 2, "its own two: {}", batch.body);
    assert!(!batch.body.to_string().contains("\"family\":\"other\""));
    for refused in [5, 6, 8] {
        let entries = [put("made", "own"), entries[refused].clone()];
        let whole = world.ask("POST", "", &[], Some(&bundle("transaction", &entries))).await;
        assert!(matches!(whole.status.as_u16(), 403 | 404), "{whole:?}");
    }
    let entries = [put("made", "own"), put("second", "own"), request("DELETE", "Observation/{me}-own-1")];
    let whole = world.ask("POST", "", &[], Some(&bundle("transaction", &entries))).await;
    assert_eq!(whole.status, 200, "{whole:?}");
    assert_eq!(world.held("Observation/{me}-second").await["subject"]["reference"], "Patient/ce-own");
    assert_eq!(world.held("Observation/{me}-other-1").await, other, "nothing of anybody else's has changed");
}

#[tokio::test]
async fn a_write_that_meets_another_is_not_lost() {
    let world = Confined::start("cr").await;
    let mut replies = Vec::new();
    for number in 0..6 {
        let mut body = world.observation("race", "own");
        body["valueQuantity"]["value"] = json!(number);
        replies.push(body);
    }
    let asked = replies.iter().map(|body| world.ask("PUT", "Observation/{me}-race", &[], Some(body)));
    let replies = futures_util::future::join_all(asked).await;
    let done = replies.iter().filter(|reply| reply.status.is_success()).count();
    let statuses: Vec<_> = replies.iter().map(|reply| reply.status.as_u16()).collect();
    assert!(done >= 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 201 | 409)), "{statuses:?}");
    let held = world.held("Observation/{me}-race").await;
    assert_eq!(held["meta"]["versionId"], done.to_string(), "{statuses:?}");
    assert!(replies.iter().filter(|reply| reply.status.is_success()).all(|reply| reply.version.is_some()));
}

/// A patch in a Bundle comes as a file. What it makes is sent, and to the version that was looked at.
#[tokio::test]
async fn patches_and_deletes_are_judged_in_bundles_too() {
    let world = Confined::start("cq").await;
    let data = |operations: Value| STANDARD.encode(operations.to_string());
    let patch = |name: &str, operations: Value| {
        json!({"resource": {"resourceType": "Binary", "contentType": "application/json-patch+json",
                            "data": data(operations)},
               "request": {"method": "PATCH", "url": format!("Observation/cq-{name}")}})
    };
    let replace = |path: &str, value: &str| json!([{"op": "replace", "path": path, "value": value}]);
    let parameters = json!({"resource": {"resourceType": "Parameters", "parameter": []},
        "request": {"method": "PATCH", "url": "Observation/cq-own-1"}});
    let delete =
        |name: &str| json!({"request": {"method": "DELETE", "url": format!("Observation/cq-{name}")}});
    // Whose text would make a search for somebody else of a reference, once it stands in one.
    let mut text = world.observation("text", "own");
    text["note"] = json!([{"text": "Patient?name=other"}]);
    text["performer"] = json!([{"reference": "Patient/cq-own"}]);
    world.stored(text).await;
    let copy = json!([{"op": "copy", "from": "/note/0/text", "path": "/performer/0/reference"}]);
    for kind in ["batch", "transaction"] {
        for (entry, status) in [
            (patch("own-1", replace("/status", "amended")), 200),
            (patch("own-1", replace("/subject/reference", "Patient/cq-other")), 403),
            (patch("own-1", replace("/nowhere", "x")), 422),
            (patch("other-1", replace("/status", "amended")), 404),
            (patch("none", replace("/status", "amended")), 404),
            (patch("text", copy.clone()), 403),
            (parameters.clone(), 415),
            (delete("other-1"), 404),
        ] {
            let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": [entry]});
            let reply = world.ask("POST", "", &[], Some(&bundle)).await;
            let said =
                reply.body["entry"][0]["response"]["status"].as_str().map(|status| status[..3].to_owned());
            let said = said.unwrap_or_else(|| reply.status.as_str().to_owned());
            assert_eq!(said, status.to_string(), "{kind} {bundle}: {reply:?}");
        }
        assert_eq!(world.held("Observation/{me}-own-1").await["status"], "amended", "{kind}");
        world.stored(world.observation("own-1", "own")).await;
        world.stored(world.observation("gone", "own")).await;
        let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": [delete("gone")]});
        let reply = world.ask("POST", "", &[], Some(&bundle)).await;
        assert_eq!(reply.body["entry"][0]["response"]["status"], "204 No Content", "{kind}: {reply:?}");
        assert_eq!(world.held("Observation/{me}-gone").await["resourceType"], "OperationOutcome", "{kind}");
    }
    let by_itself = world.ask("PATCH", "Observation/{me}-text", &[], Some(&copy)).await;
    assert_eq!(by_itself.status, 403, "{by_itself:?}");
    let other = world.held("Observation/{me}-other-1").await;
    assert_eq!((&other["status"], &other["meta"]["versionId"]), (&json!("final"), &json!("1")));
}

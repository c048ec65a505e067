//! What a confined caller sees of a server that answers whatever it likes: nothing of anybody else's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fireguard_test_support::gateway::Gateway;
use fireguard_test_support::issuer::Issuer;
use fireguard_test_support::standin::{Answer, StandIn};
use serde_json::{Value, json};

use crate::http::{Ask, Reply};
use crate::rig::asking_who;

/// What is in everything that is not the caller's.
pub(crate) const MARKER: &str = "MARKER";

pub(crate) struct Confined {
    pub(crate) standin: StandIn,
    gateway: Gateway,
    issuer: Issuer,
}

impl Confined {
    pub(crate) async fn start() -> Self {
        let (standin, issuer) = (StandIn::start().await.unwrap(), Issuer::start().await.unwrap());
        let gateway = asking_who(&standin, &issuer).await;
        Self { standin, gateway, issuer }
    }

    /// As patient `1`, with these scopes.
    pub(crate) async fn ask(&self, scope: &str, ask: Ask) -> Reply {
        let token = self.issuer.token(json!({ "patient": "1", "scope": scope }));
        ask.header("Authorization", &format!("Bearer {token}")).send(self.gateway.listen()).await
    }

    async fn get(&self, target: &str) -> Reply {
        self.ask("patient/*.cruds", Ask::get(target)).await
    }

    pub(crate) fn link(&self, rest: &str) -> Value {
        json!([{"relation": "self", "url": format!("{}{rest}", self.standin.base_url())}])
    }
}

pub(crate) fn of(patient: &str, id: &str) -> Value {
    let text = if patient == "1" { "own" } else { MARKER };
    json!({"resourceType": "Observation", "id": id, "subject": {"reference": format!("Patient/{patient}")},
           "note": [{"text": text}]})
}

pub(crate) fn entry(mode: &str, resource: Value) -> Value {
    json!({"fullUrl": format!("urn:x:{}", resource["id"].as_str().unwrap_or_default()), "resource": resource,
           "search": {"mode": mode}})
}

pub(crate) fn unseen(case: &str, reply: &Reply) {
    let text = reply.text();
    assert!(!text.contains(MARKER), "{case}: {text}");
    let told = reply.headers.iter().any(|(_, value)| value.contains(MARKER));
    assert!(!told, "{case}: {:?}", reply.headers);
}

#[tokio::test]
async fn one_resource_is_shown_or_is_not_there() {
    let confined = Confined::start().await;
    let practitioner = json!({"resourceType": "Practitioner", "id": "7"});
    let contained = json!({"resourceType": "Observation", "id": "7", "subject": {"reference": "Patient/1"},
        "contained": [{"resourceType": "Observation", "id": "c", "subject": {"reference": "Patient/2"},
                       "note": [{"text": MARKER}]}]});
    let hidden = json!({"resourceType": "Observation", "id": "7", "note": [{"text": MARKER}]});
    let twice = format!(
        r#"{{"resourceType":"Observation","subject":{{"reference":"Patient/2"}},
            "subject":{{"reference":"Patient/1"}},"note":[{{"text":"{MARKER}"}}]}}"#
    );
    let other = json!({"resourceType": "Group", "id": "7", "name": MARKER,
        "member": [{"entity": {"reference": "Patient/1"}}, {"entity": {"reference": "Patient/2"}}]});
    let table = [
        ("Observation", of("1", "7").to_string(), 200),
        ("Observation", of("2", "7").to_string(), 404),
        ("Observation", of("12", "7").to_string(), 404),
        ("Observation", contained.to_string(), 404),
        ("Observation", hidden.to_string(), 404),
        ("Observation", twice, 404),
        ("Practitioner", practitioner.to_string(), 200),
        ("Group", other.to_string(), 404),
    ];
    let missing = {
        confined.standin.always("GET", "/fhir/Observation/none", Answer::outcome(404, "not-found"));
        confined.get("/fhir/Observation/none").await.json()
    };
    for (ty, resource, status) in table {
        let path = format!("/fhir/{ty}/7");
        let tagged = Answer::json(200, resource.as_str()).header("ETag", "W/\"3\"");
        confined.standin.always("GET", &path, tagged);
        confined.standin.always(
            "HEAD",
            &path,
            Answer::status(200).header("Content-Type", "application/fhir+json"),
        );
        let reply = confined.get(&path).await;
        assert_eq!(reply.status, status, "{resource}: {}", reply.text());
        unseen(&resource, &reply);
        if status == 200 {
            assert_eq!(reply.text(), resource, "bytes stay");
            assert_eq!(reply.header("etag"), Some("W/\"3\""));
        } else {
            assert_eq!(reply.header("etag"), None);
            assert_eq!(without_id(reply.json()), without_id(missing.clone()), "as if it did not exist");
        }
        for ask in [
            Ask::new("HEAD", &path),
            Ask::get(&path).header("If-None-Match", "W/\"3\""),
            Ask::get(&path).header("If-Modified-Since", "Fri, 31 Dec 2100 23:59:59 GMT"),
        ] {
            let reply = confined.ask("patient/*.cruds", ask).await;
            let expected: &[u16] = if status == 200 { &[200, 304] } else { &[404] };
            assert!(expected.contains(&reply.status), "{resource}: {}", reply.status);
            unseen(&resource, &reply);
        }
    }
}

/// The request's own id is all that differs.
fn without_id(mut outcome: Value) -> Value {
    let text = &mut outcome["issue"][0]["diagnostics"];
    let said = text.as_str().unwrap().split(" (request ").next().unwrap().to_owned();
    *text = said.into();
    outcome
}

#[tokio::test]
async fn of_a_search_the_caller_s_own_is_left() {
    let confined = Confined::start().await;
    let entries = json!([
        entry("match", of("2", "a")),
        entry("match", of("1", "b")),
        entry("include", json!({"resourceType": "Patient", "id": "2", "name": [{"family": MARKER}]})),
        entry("include", json!({"resourceType": "Patient", "id": "1"})),
        entry("include", json!({"resourceType": "Practitioner", "id": "p"})),
        entry("outcome", json!({"resourceType": "OperationOutcome", "issue": [{"diagnostics": MARKER}]})),
        {"search": {"mode": "match"}, "x": MARKER},
        entry("match", json!({"resourceType": "Nothing", "text": MARKER})),
        entry("match", of("1", "c")),
    ]);
    let bundle = |link: Value| {
        json!({"resourceType": "Bundle", "id": "x", "type": "searchset", "total": 4711, "link": link, "entry": entries,
               "signature": {"data": MARKER}})
    };
    confined.standin.always("GET", "/fhir/Observation", Answer::json(200, bundle(json!([])).to_string()));
    let withheld = confined.get("/fhir/Observation").await;
    assert_eq!(withheld.status, 502, "{}", withheld.text());
    unseen("no self link", &withheld);
    // Whatever it was narrowed by, it is in what the server was asked.
    let asked = confined.standin.requests().into_iter().rev().find(|r| r.path() != "/fhir/metadata").unwrap();
    let rest = asked.target.strip_prefix("/fhir").unwrap();
    let path = asked.path().to_owned();
    for (link, status) in [
        (rest.to_owned(), 200),
        (rest.replace("Patient/1", "Patient/2"), 502),
        ("/Observation".to_owned(), 502),
    ] {
        let answer = Answer::json(200, bundle(confined.link(&link)).to_string());
        for answer in [answer.clone(), answer.chunked()] {
            confined.standin.always("GET", &path, answer);
            let reply = confined.get("/fhir/Observation").await;
            assert_eq!((reply.status, reply.whole), (status, true), "{link}: {}", reply.text());
            unseen(&link, &reply);
            if status == 200 {
                let ids: Vec<_> = reply.json()["entry"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|e| e["resource"]["id"].clone())
                    .collect();
                assert_eq!(ids, ["b", "1", "p", "c"]);
                assert_eq!(reply.json()["signature"], Value::Null);
            }
        }
    }
}

#[tokio::test]
async fn what_an_answer_says_besides_is_said_in_other_words() {
    let confined = Confined::start().await;
    let outcome = json!({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "processing",
        "diagnostics": format!("HAPI-0550: Observation/{MARKER} refers to it")}]});
    for status in [400, 404, 409, 410, 412, 422, 500, 503] {
        let answer = Answer::json(status, outcome.to_string()).header("Location", MARKER);
        confined.standin.always("GET", "/fhir/Observation/9", answer);
        let reply = confined.get("/fhir/Observation/9").await;
        assert!(reply.status >= 400 && reply.status != 410, "{status}: {}", reply.status);
        unseen(&status.to_string(), &reply);
    }
}

#[tokio::test]
async fn a_history_shows_the_versions_that_were_the_caller_s() {
    let confined = Confined::start().await;
    let history = json!({"resourceType": "Bundle", "type": "history", "total": 3, "entry": [
        {"resource": of("1", "h"), "request": {"method": "PUT", "url": "Observation/h"}},
        {"resource": of("2", "h"), "request": {"method": "PUT", "url": "Observation/h"}},
        {"request": {"method": "DELETE", "url": format!("Observation/{MARKER}")}},
    ]});
    // Whose it is now is asked first.
    let present = Answer::json(200, of("1", "h").to_string()).header("ETag", "W/\"2\"");
    confined.standin.always("GET", "/fhir/Observation/h", present);
    confined.standin.always("GET", "/fhir/Observation/h/_history", Answer::json(200, history.to_string()));
    let reply = confined.get("/fhir/Observation/h/_history").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    unseen("history", &reply);
    let shown = reply.json();
    assert_eq!((shown["entry"].as_array().unwrap().len(), &shown["total"]), (1, &Value::Null));
}

#[tokio::test]
async fn a_binary_is_whose_its_context_is() {
    let confined = Confined::start().await;
    let binary = |context: Value| {
        json!({"resourceType": "Binary", "id": "b", "contentType": "text/plain", "securityContext": context,
               "data": STANDARD.encode(MARKER)})
    };
    confined.standin.always("GET", "/fhir/DocumentReference/own", {
        let own =
            json!({"resourceType": "DocumentReference", "id": "own", "subject": {"reference": "Patient/1"}});
        Answer::json(200, own.to_string())
    });
    confined.standin.always("GET", "/fhir/DocumentReference/other", {
        let other = json!({"resourceType": "DocumentReference", "id": "other", "subject": {"reference": "Patient/2"}});
        Answer::json(200, other.to_string())
    });
    for (context, status) in [
        (json!({"reference": "Patient/1"}), 200),
        (json!({"reference": "DocumentReference/own"}), 200),
        (json!({"reference": "Patient/2"}), 404),
        (json!({"reference": "DocumentReference/other"}), 404),
        (json!({"reference": "DocumentReference/none"}), 404),
        (json!({"reference": "http://elsewhere/Patient/1"}), 404),
        (json!({"display": "Patient/1"}), 404),
        (Value::Null, 404),
    ] {
        confined.standin.always(
            "GET",
            "/fhir/Binary/b",
            Answer::json(200, binary(context.clone()).to_string()),
        );
        for accept in ["application/fhir+json", "text/plain"] {
            let reply =
                confined.ask("patient/*.cruds", Ask::get("/fhir/Binary/b").header("Accept", accept)).await;
            assert_eq!(reply.status, status, "{context} {accept}: {}", reply.text());
            if status == 200 {
                let raw = accept == "text/plain";
                let shown = if raw {
                    reply.text() == MARKER
                } else {
                    reply.text().contains(&STANDARD.encode(MARKER))
                };
                assert!(shown, "{}", reply.text());
                assert_eq!(reply.header("content-disposition").is_some(), raw);
            } else {
                assert!(!reply.text().contains(&STANDARD.encode(MARKER)) && !reply.text().contains(MARKER));
            }
        }
    }
}

#[tokio::test]
async fn xml_is_refused_where_every_resource_is_judged() {
    let confined = Confined::start().await;
    confined.standin.always("GET", "/fhir/Observation/7", Answer::json(200, of("1", "7").to_string()));
    for (target, accept) in
        [("/fhir/Observation/7?_format=xml", "*/*"), ("/fhir/Observation/7", "application/fhir+xml")]
    {
        let reply = confined.ask("patient/*.cruds", Ask::get(target).header("Accept", accept)).await;
        assert_eq!(reply.status, 406, "{}", reply.text());
    }
}

/// A scope that names search parameters holds on every page, and for what was searched for alone.
#[tokio::test]
async fn pages_of_a_search_within_a_scope_show_what_it_finds() {
    const SCOPE: &str = "patient/Observation.rs?category=laboratory patient/Patient.r";
    let confined = Confined::start().await;
    let next = |link: Value, token: &str| {
        let url = format!(
            "{}?_getpages={token}&_getpagesoffset=1&_count=1&_bundletype=searchset",
            confined.standin.base_url()
        );
        let mut links = link.as_array().unwrap().clone();
        links.push(json!({"relation": "next", "url": url}));
        links
    };
    let page = |links: Vec<Value>, entries: Value| {
        json!({"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries}).to_string()
    };
    confined.standin.always("GET", "/fhir/Observation", Answer::json(200, page(Vec::new(), json!([]))));
    assert_eq!(confined.ask(SCOPE, Ask::get("/fhir/Observation")).await.status, 502, "nothing is proved");
    let asked = confined.standin.requests().into_iter().rev().find(|r| r.path() != "/fhir/metadata").unwrap();
    let own = confined.link(asked.target.strip_prefix("/fhir").unwrap());
    let first = page(next(own.clone(), "a1"), json!([entry("match", of("1", "first"))]));
    confined.standin.always("GET", "/fhir/Observation", Answer::json(200, first));
    // Of an included Observation nobody has said that it is within the scope.
    let second = json!([
        entry("match", of("1", "second")),
        entry("match", of("2", "x")),
        entry("include", of("1", "beside"))
    ]);
    confined.standin.always("GET", "/fhir/", Answer::json(200, page(next(json!([]), "a1"), second)));
    let ids = |reply: &Reply| -> Vec<Value> {
        assert_eq!(reply.status, 200, "{}", reply.text());
        unseen("a page", reply);
        reply.json()["entry"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["resource"]["id"].clone())
            .collect()
    };
    let next_of = |reply: &Reply| {
        let links = reply.json()["link"].as_array().unwrap().clone();
        let url =
            links.iter().find(|link| link["relation"] == "next").unwrap()["url"].as_str().unwrap().to_owned();
        url[url.find("/fhir").unwrap()..].to_owned()
    };
    let reply = confined.ask(SCOPE, Ask::get("/fhir/Observation")).await;
    assert_eq!(ids(&reply), ["first"]);
    let mut target = next_of(&reply);
    for _ in 0..2 {
        let reply = confined.ask(SCOPE, Ask::get(&target)).await;
        assert_eq!(ids(&reply), ["second"]);
        target = next_of(&reply);
    }
    // Another confinement begins again.
    let other = confined.ask("patient/Observation.rs?category=vital-signs", Ask::get(&target)).await;
    assert_eq!(other.status, 400, "{}", other.text());
}

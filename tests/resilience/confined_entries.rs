//! What a confined caller is answered to the entries of a batch, by a server that answers whatever it likes: each by what
//! that entry asked for.

use fireguard_test_support::standin::Answer;
use serde_json::{Value, json};

use crate::confined::{Confined, MARKER, entry, of, unseen};
use crate::http::{Ask, Reply};

const ALL: &str = "patient/*.cruds";

fn get(url: &str) -> Value {
    json!({"request": {"method": "GET", "url": url}})
}

fn bundle(kind: &str, entries: &[Value]) -> String {
    json!({"resourceType": "Bundle", "type": kind, "entry": entries}).to_string()
}

impl Confined {
    /// Sends the batch; the server answers so. Answers what it was asked, too.
    async fn batch(&self, scope: &str, entries: &[Value], answers: &[Value]) -> (Reply, Vec<Value>) {
        self.standin.always("POST", "/fhir/", Answer::json(200, bundle("batch-response", answers)));
        let reply = self.ask(scope, Ask::json("POST", "/fhir", bundle("batch", entries))).await;
        let sent = self.standin.requests().into_iter().rev().find(|request| request.method == "POST");
        let sent = sent.map_or(Value::Null, |sent| serde_json::from_slice(&sent.body).unwrap());
        (reply, sent["entry"].as_array().cloned().unwrap_or_default())
    }
}

/// The answer to an entry: this resource.
fn ok(resource: Value) -> Value {
    json!({"resource": resource, "response": {"status": "200 OK"}})
}

fn searchset(links: Value, entries: Value) -> Value {
    json!({"resourceType": "Bundle", "type": "searchset", "total": 4711, "link": links, "entry": entries})
}

fn statuses(reply: &Reply) -> Vec<String> {
    assert_eq!(reply.status, 200, "{}", reply.text());
    let entries = reply.json()["entry"].as_array().unwrap().clone();
    entries.iter().map(|entry| entry["response"]["status"].as_str().unwrap()[..3].to_owned()).collect()
}

fn url(entry: &Value) -> &str {
    entry["request"]["url"].as_str().unwrap()
}

#[tokio::test]
async fn searches_prove_themselves_each() {
    let confined = Confined::start().await;
    let found = json!([
        entry("match", of("2", "a")),
        entry("match", of("1", "b")),
        entry("outcome", json!({"resourceType": "OperationOutcome", "issue": [{"diagnostics": MARKER}]}))
    ]);
    let link = |url: &str| confined.link(&format!("/{url}"));
    let narrowed = "Observation?code=x&patient=Patient%2F1";
    let asked =
        [get("Observation?code=x"), get("Observation?code=y"), get("Observation?code=z"), get("Condition")];
    let answers = [
        ok(searchset(link(narrowed), found.clone())),
        ok(searchset(link(&narrowed.replace("F1", "F2")), found.clone())),
        ok(searchset(json!([]), found.clone())),
        // That of another entry.
        ok(searchset(link(narrowed), found)),
    ];
    let (reply, sent) = confined.batch(ALL, &asked, &answers).await;
    assert_eq!(statuses(&reply), ["200", "502", "502", "502"], "{}", reply.text());
    unseen("searches", &reply);
    assert!(sent.iter().all(|entry| url(entry).contains("patient=Patient/1")), "{sent:?}");
    let shown = &reply.json()["entry"][0]["resource"];
    let ids: Vec<_> =
        shown["entry"].as_array().unwrap().iter().map(|e| e["resource"]["id"].clone()).collect();
    assert_eq!((ids, &shown["total"]), (vec![json!("b")], &json!(4711)), "{shown}");
}

#[tokio::test]
async fn counts_are_of_what_was_proved() {
    let confined = Confined::start().await;
    let link = |query: &str| confined.link(&format!("/Observation?{query}"));
    let one = json!([entry("match", of("1", "b"))]);
    let asked = [get("Observation?_summary=count&code=x"), get("Observation?_count=0&code=x")];
    let proof = "code=x&patient=Patient/1&_total=accurate&_count=1";
    let answers = [ok(searchset(link(proof), one.clone())), ok(searchset(link("code=x"), one.clone()))];
    let (reply, sent) = confined.batch(ALL, &asked, &answers).await;
    assert_eq!(statuses(&reply), ["200", "502"], "{}", reply.text());
    assert!(sent.iter().all(|entry| url(entry).ends_with("_total=accurate&_count=1")), "{sent:?}");
    let count = json!({"resourceType": "Bundle", "type": "searchset", "total": 4711});
    assert_eq!(reply.json()["entry"][0]["resource"], count);
    // By itself it is the same.
    for (links, status) in [(link(proof), 200), (json!([]), 502)] {
        let answer = searchset(links, one.clone()).to_string();
        confined.standin.always("GET", "/fhir/Observation", Answer::json(200, answer));
        let reply = confined.ask(ALL, Ask::get("/fhir/Observation?_summary=count&code=x")).await;
        assert_eq!(reply.status, status, "{}", reply.text());
        assert!(status != 200 || reply.json() == count, "{}", reply.text());
    }
}

#[tokio::test]
async fn single_resources_are_judged_by_what_was_asked() {
    let confined = Confined::start().await;
    let known = |version: &str| {
        let mut entry = get("Observation/a");
        entry["request"]["ifNoneMatch"] = json!(format!("W/\"{version}\""));
        entry
    };
    let of_version = |patient: &str| {
        let mut resource = of(patient, "a");
        resource["meta"] = json!({"versionId": "3"});
        ok(resource)
    };
    let asked = [known("3"), known("3"), known("2"), get("Observation/a"), get("Observation/a/_history/1")];
    let answers = [
        of_version("1"),
        of_version("2"),
        of_version("1"),
        json!({"response": {"status": "304 Not Modified"}}),
        of_version("2"),
    ];
    let (reply, sent) = confined.batch(ALL, &asked, &answers).await;
    // That nothing has changed is for those who may see it, and what was not asked for is no answer.
    assert_eq!(statuses(&reply), ["304", "404", "200", "502", "404"], "{}", reply.text());
    assert!(sent.iter().all(|entry| entry["request"].get("ifNoneMatch").is_none()), "{sent:?}");
    unseen("reads", &reply);
}

#[tokio::test]
async fn an_answer_that_nothing_was_asked_for_is_withheld() {
    let confined = Confined::start().await;
    let beside = ok(of("1", "a"));
    let (reply, _) = confined.batch(ALL, &[get("Observation/a")], &[beside.clone(), beside]).await;
    assert_eq!(statuses(&reply), ["200", "502"], "{}", reply.text());
}

/// A scope that names search parameters holds on the pages of a search in a batch, too.
#[tokio::test]
async fn links_to_pages_lead_their_holder_on() {
    const SCOPE: &str = "patient/Observation.rs?category=laboratory";
    let confined = Confined::start().await;
    let next = format!(
        "{}?_getpages=a1&_getpagesoffset=1&_count=1&_bundletype=searchset",
        confined.standin.base_url()
    );
    let mut links =
        confined.link("/Observation?category=laboratory&patient=Patient/1").as_array().unwrap().clone();
    links.push(json!({"relation": "next", "url": next}));
    let first = ok(searchset(json!(links), json!([entry("match", of("1", "first"))])));
    let (reply, _) = confined.batch(SCOPE, &[get("Observation")], &[first]).await;
    assert_eq!(statuses(&reply), ["200"], "{}", reply.text());
    let links = reply.json()["entry"][0]["resource"]["link"].as_array().unwrap().clone();
    let next =
        links.iter().find(|link| link["relation"] == "next").unwrap()["url"].as_str().unwrap().to_owned();
    assert!(!next.contains("_getpages"), "{next}");
    let second =
        searchset(json!([]), json!([entry("match", of("1", "second")), entry("match", of("2", "x"))]));
    confined.standin.always("GET", "/fhir/", Answer::json(200, second.to_string()));
    let target = &next[next.find("/fhir").unwrap()..];
    let page = confined.ask(SCOPE, Ask::get(target)).await;
    assert_eq!(page.status, 200, "{}", page.text());
    unseen("page two", &page);
    assert_eq!(page.json()["entry"][0]["resource"]["id"], "second", "{}", page.text());
    let other = confined.ask("patient/Observation.rs?category=vital-signs", Ask::get(target)).await;
    assert_eq!(other.status, 400, "{}", other.text());
}

/// HAPI keeps no condition on what an entry deletes: it deletes what is as it was looked at, or nothing.
#[tokio::test]
async fn what_was_changed_meanwhile_is_not_deleted() {
    let confined = Confined::start().await;
    let mut stored = of("1", "a");
    stored["meta"] = json!({"versionId": "3", "lastUpdated": "2026-11-22T04:50:16.089+00:00"});
    let answer = Answer::json(200, stored.to_string()).header("ETag", "W/\"3\"");
    confined.standin.always("GET", "/fhir/Observation/a", answer);
    let deleted = |code: &str| {
        json!({"response": {"status": "204 No Content", "outcome": {"resourceType": "OperationOutcome", "issue": [
            {"severity": "warning", "code": "not-found", "details": {"coding": [{"code": code}]}}]}}})
    };
    let asked = json!({"request": {"method": "DELETE", "url": "Observation/a"}});
    let answers = [deleted("SUCCESSFUL_DELETE"), deleted("SUCCESSFUL_DELETE_NOT_FOUND")];
    let (reply, sent) = confined.batch(ALL, &[asked.clone(), asked], &answers).await;
    assert_eq!(statuses(&reply), ["204", "409"], "{}", reply.text());
    assert_eq!(url(&sent[0]), "Observation?_id=a&_lastUpdated=eq2026-11-22T04:50:16.089%2B00:00");
}

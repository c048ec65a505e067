//! Where HAPI does otherwise than FHIR says: what it does, and what Fireguard makes of it (`docs/guide/hapi.md`).

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::common::World;
use crate::common::world::config;

const OFF: &str = r#"
[routes.as-it-is]
path = "/as-it-is"
upstream = "hapi"
authentication = "none"

[routes.as-it-is.hapi]
fresh_searches = false
check_versions = false
check_transactions = false
"#;

/// A client of the route that puts right, and of the one that does not.
struct Trap {
    world: World,
    right: String,
    plain: String,
}

impl Trap {
    async fn start() -> Self {
        let world = World::with(&config(OFF)).await;
        let (right, plain) = (world.base(), format!("{}/as-it-is", world.gateway.url()));
        Self { world, right, plain }
    }

    async fn send(
        &self,
        method: Method,
        url: String,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> (u16, String) {
        let mut request = self.world.client.request(method, url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("Content-Type", "application/fhir+json").body(body.to_string());
        }
        read(request.send().await.unwrap()).await
    }

    /// Writes versions one and two of a patient.
    async fn two_versions(&self, id: &str) {
        for family in ["One", "Two"] {
            let (status, text) = self.put(&self.right, id, &[], family).await;
            assert!(status < 300, "{status} {text}");
        }
    }

    async fn put(&self, base: &str, id: &str, headers: &[(&str, &str)], family: &str) -> (u16, String) {
        let patient = json!({"resourceType": "Patient", "id": id, "name": [{"family": family}]});
        self.send(Method::PUT, format!("{base}/Patient/{id}"), headers, Some(&patient)).await
    }

    async fn delete(&self, base: &str, id: &str, headers: &[(&str, &str)]) -> (u16, String) {
        self.send(Method::DELETE, format!("{base}/Patient/{id}"), headers, None).await
    }

    /// The status of a read, straight from HAPI.
    async fn there(&self, id: &str) -> u16 {
        let url = format!("{}/Patient/{id}", self.world.hapi.base_url());
        self.world.client.get(url).send().await.unwrap().status().as_u16()
    }

    async fn transaction(&self, base: &str, entries: Vec<Value>) -> (u16, String) {
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": entries});
        self.send(Method::POST, base.to_owned(), &[], Some(&bundle)).await
    }
}

async fn read(response: Response) -> (u16, String) {
    (response.status().as_u16(), response.text().await.unwrap())
}

const STALE: [(&str, &str); 1] = [("If-Match", "W/\"1\"")];
const CURRENT: [(&str, &str); 1] = [("If-Match", "W/\"2\"")];
const ANY: [(&str, &str); 1] = [("If-None-Match", "*")];

#[tokio::test]
async fn a_delete_keeps_its_if_match() {
    let trap = Trap::start().await;
    trap.two_versions("zq-trap-d").await;
    let (status, text) = trap.delete(&trap.right, "zq-trap-d", &STALE).await;
    assert_eq!((status, text.contains("\"conflict\"")), (412, true), "{text}");
    assert_eq!(trap.there("zq-trap-d").await, 200);
    assert_eq!(trap.delete(&trap.right, "zq-trap-d", &CURRENT).await.0, 200);
    assert_eq!(trap.there("zq-trap-d").await, 410);
    assert_eq!(trap.delete(&trap.right, "zq-trap-d", &CURRENT).await.0, 412, "deleted");
    assert_eq!(trap.delete(&trap.right, "zq-trap-never", &CURRENT).await.0, 412, "never there");
    // The trap itself.
    trap.two_versions("zq-trap-d").await;
    assert_eq!(trap.delete(&trap.plain, "zq-trap-d", &STALE).await.0, 200);
    assert_eq!(trap.there("zq-trap-d").await, 410);
}

#[tokio::test]
async fn an_update_keeps_its_conditions() {
    let trap = Trap::start().await;
    let (status, text) = trap.put(&trap.right, "zq-trap-absent", &STALE, "X").await;
    assert_eq!(status, 412, "{text}");
    assert_eq!(trap.there("zq-trap-absent").await, 404);
    trap.two_versions("zq-trap-u").await;
    assert_eq!(trap.put(&trap.right, "zq-trap-u", &STALE, "X").await.0, 412, "stale");
    assert_eq!(trap.put(&trap.right, "zq-trap-u", &ANY, "X").await.0, 412, "there");
    assert_eq!(trap.put(&trap.right, "zq-trap-u", &CURRENT, "Three").await.0, 200);
    assert_eq!(trap.put(&trap.right, "zq-trap-new", &ANY, "X").await.0, 201);
    // The traps themselves.
    assert_eq!(trap.put(&trap.plain, "zq-trap-new", &ANY, "Y").await.0, 200);
    assert_eq!(trap.put(&trap.plain, "zq-trap-u", &STALE, "X").await.0, 409);
    assert_eq!(trap.put(&trap.plain, "zq-trap-absent", &STALE, "X").await.0, 201);
}

/// At once on one node: one creates.
#[tokio::test]
async fn one_of_many_creates_where_nothing_was() {
    let trap = Trap::start().await;
    let all = (0..8).map(|_| trap.put(&trap.right, "zq-trap-race", &ANY, "X"));
    let mut statuses: Vec<u16> =
        futures_util::future::join_all(all).await.into_iter().map(|(s, _)| s).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [&[201][..], &[412; 7]].concat());
}

#[tokio::test]
async fn conditions_that_cannot_be_kept_are_refused() {
    let trap = Trap::start().await;
    let patient = json!({"resourceType": "Patient", "id": "zq-trap-b"});
    let query = format!("{}/Patient?identifier=urn:zq|trap", trap.right);
    assert_eq!(trap.send(Method::DELETE, query.clone(), &STALE, None).await.0, 400);
    assert_eq!(trap.send(Method::PUT, query, &ANY, Some(&patient)).await.0, 400);
    for entry in [
        json!({"request": {"method": "DELETE", "url": "Patient/zq-trap-b", "ifMatch": "W/\"1\""}}),
        json!({"resource": patient, "request": {"method": "PUT", "url": "Patient/zq-trap-b", "ifNoneMatch": "*"}}),
    ] {
        let (status, text) = trap.transaction(&trap.right, vec![entry.clone()]).await;
        assert_eq!((status, text.contains("not-supported")), (400, true), "{entry} {text}");
    }
}

#[tokio::test]
async fn no_entry_of_a_transaction_is_lost() {
    let trap = Trap::start().await;
    let entry = |n: u32, condition: &str| {
        let value = condition.rsplit(['|', 'C']).next();
        json!({
            "fullUrl": format!("urn:uuid:0195cbbc-1111-7222-8333-44444444444{n}"),
            "resource": {"resourceType": "Patient", "identifier": [{"system": "urn:zq", "value": value}], "name": [{"family": n.to_string()}]},
            "request": {"method": "POST", "url": "Patient", "ifNoneExist": condition},
        })
    };
    let same = || vec![entry(1, "identifier=urn:zq|merged"), entry(2, "identifier=urn:zq%7Cmerged")];
    let (status, text) = trap.transaction(&trap.right, same()).await;
    assert_eq!((status, text.contains("same condition")), (400, true), "{text}");
    // The trap itself: one entry in the answer.
    let alike = || vec![entry(1, "identifier=urn:zq|merged"), entry(2, "identifier=urn:zq|merged")];
    let (status, text) = trap.transaction(&trap.plain, alike()).await;
    let answered = serde_json::from_str::<Value>(&text).unwrap()["entry"].as_array().map_or(0, Vec::len);
    assert_eq!((status, answered), (200, 1), "{text}");
    // As a batch nothing is lost, and different conditions are no matter.
    let batch = json!({"resourceType": "Bundle", "type": "batch", "entry": same()});
    assert_eq!(trap.send(Method::POST, trap.right.clone(), &[], Some(&batch)).await.0, 200);
    let others = vec![entry(1, "identifier=urn:zq|one"), entry(2, "identifier=urn:zq|two")];
    let (status, text) = trap.transaction(&trap.right, others).await;
    assert_eq!(status, 200, "{text}");
}

#[tokio::test]
async fn searches_see_what_was_written() {
    let trap = Trap::start().await;
    let count = async |base: &str| {
        let url = format!("{base}/Patient?family=Zqfresh&_summary=count");
        let (status, text) = trap.send(Method::GET, url, &[], None).await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str::<Value>(&text).unwrap()["total"].as_u64().unwrap()
    };
    assert_eq!((count(&trap.right).await, count(&trap.plain).await), (0, 0));
    assert_eq!(trap.put(&trap.right, "zq-trap-fresh", &[], "Zqfresh").await.0, 201);
    assert_eq!(count(&trap.right).await, 1);
    // The trap itself.
    assert_eq!(count(&trap.plain).await, 0);
}

#[tokio::test]
async fn exports_and_forms_that_hapi_would_widen_are_refused() {
    let trap = Trap::start().await;
    let export = format!("{}/$export?patient=Patient/1", trap.right);
    let (status, text) = trap.send(Method::GET, export, &[("Prefer", "respond-async")], None).await;
    assert_eq!(status, 400, "{text}");
    let search = trap.world.client.post(format!("{}/Patient/_search", trap.right));
    let search = search.header("Content-Type", "application/json").body(r#"{"name":"x"}"#);
    assert_eq!(read(search.send().await.unwrap()).await.0, 415);
}

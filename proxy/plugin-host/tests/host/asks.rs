//! Capabilities as a guest sees them: granted, refused, and asked for too much.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fireguard_plugin_host::{
    By, Direction, Directory, FhirAnswer, FhirAnswers, FhirClient, FhirClientGrant, FhirFault, FhirRequest,
    Grants, HttpOutGrant, Item, Kept, KeyValueEntry, KeyValueFault, KeyValueGrant, KeyValueStore, NamedFile,
    ObjectStoreGrant, Outcome, Plugin, PluginSpec, PseudonymGrant, Session, TerminologyGrant,
};
use serde_json::{Value, json};

use crate::guests::{engine, exchange, spec};

/// What a plugin with these grants is answered.
async fn asked(grants: Grants, asks: Value) -> Vec<Value> {
    asked_times(grants, asks, 1).await
}

async fn asked_times(grants: Grants, asks: Value, times: u32) -> Vec<Value> {
    let plugin = granted(grants, asks, times).await;
    answers(&mut plugin.session()).await
}

async fn granted(grants: Grants, asks: Value, times: u32) -> Plugin {
    let settings = json!({"act": "ask", "asks": asks, "times": times});
    Plugin::load(engine(), PluginSpec { grants, ..spec(settings) }).await.unwrap()
}

async fn answers(session: &mut Session) -> Vec<Value> {
    let item = Item::new(Bytes::from_static(b"{}"));
    let verdicts = session.process(&exchange("x"), Direction::ToClient, &[item]).await.unwrap();
    let verdict = verdicts.into_iter().next().unwrap();
    let Outcome::Changed(text) = verdict.apply(&Bytes::from_static(b"{}")).unwrap() else { panic!() };
    serde_json::from_slice(&text).unwrap()
}

fn codes(answers: &[Value]) -> Vec<&str> {
    answers.iter().map(|answer| answer["error"].as_str().unwrap_or("none")).collect()
}

#[tokio::test]
async fn without_a_grant_each_names_its_own() {
    let cases = [
        ("pseudonym", json!({"seal": ["", ["1"]]})),
        ("pseudonym", json!({"open": ["", ["1"]]})),
        ("key_value", json!({"kv-get": ["k"]})),
        ("key_value", json!({"kv-set": [["k", "v"]]})),
        ("key_value", json!({"kv-delete": ["k"]})),
        ("key_value", json!({"kv-swap": [["k", "v"], null]})),
        ("terminology", json!({"translate": ["m", []]})),
        ("object_store", json!({"put": ["a", ""]})),
        ("object_store", json!({"get": "a"})),
        ("object_store", json!({"delete": "a"})),
        ("object_store", json!({"names": ["", ""]})),
        ("http_out", json!({"http": {"method": "GET", "url": "https://a.example"}})),
        ("fhir_client", json!({"fhir": [{"method": "GET", "url": "Patient/1"}]})),
    ];
    let asks = cases.iter().map(|(_, ask)| ask.clone()).collect();
    let answers = asked(Grants::default(), asks).await;
    for ((grant, ask), answer) in cases.iter().zip(&answers) {
        let answer = answer.get(0).unwrap_or(answer);
        assert_eq!(answer["error"], "not-granted", "{ask}");
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(&format!("[plugins.guest.grants.{grant}]")), "{message}");
    }
}

fn pseudonym(open: bool) -> Grants {
    let key = "c2a4b51b0f8e2f9d3ab7a6f4e1d0c9b8a7f6e5d4c3b2a1908f7e6d5c4b3a2917".to_owned().into();
    let grant = PseudonymGrant { key, project: String::new(), date_range_days: 182, open };
    Grants { pseudonym: Some(grant), ..Grants::default() }
}

#[tokio::test]
async fn ids_are_sealed_and_opened_where_that_is_granted() {
    let sealed = "UPo9RypHITERjvdnatpz-OrfYm-QhiT.-KV1sMcOGKLpmB6PeZXJ8dNialVC429A";
    let asks = json!([
        {"seal": ["Patient", ["1"]]}, {"open": ["Patient", [sealed, "1"]]}, {"open": ["Other", [sealed]]},
        {"seal": ["", ["1", "a b"]]},
    ]);
    let answers = asked(pseudonym(true), asks.clone()).await;
    assert_eq!(answers[..3], [json!([sealed]), json!(["1", null]), json!([null])]);
    assert_eq!(answers[3]["error"], "invalid");
    assert!(answers[3]["message"].as_str().unwrap().starts_with("value 1 "), "{}", answers[3]);
    let answers = asked(pseudonym(false), asks).await;
    assert_eq!(codes(&answers), ["none", "not-granted", "not-granted", "invalid"]);
    assert!(answers[1]["message"].as_str().unwrap().contains("open = true"));
}

/// Remembers in memory, up to three.
#[derive(Debug, Default)]
struct Memory(Mutex<Vec<KeyValueEntry>>);

impl Memory {
    fn find(&self, key: &str) -> Option<Vec<u8>> {
        self.0.lock().unwrap().iter().rfind(|entry| entry.key == key).map(|entry| entry.value.clone())
    }
}

impl KeyValueStore for Memory {
    fn get(&self, keys: Vec<String>) -> Kept<'_, Vec<Option<Vec<u8>>>> {
        Box::pin(async move { Ok(keys.iter().map(|key| self.find(key)).collect()) })
    }

    fn set(&self, entries: Vec<KeyValueEntry>) -> Kept<'_, ()> {
        Box::pin(async move {
            let mut kept = self.0.lock().unwrap();
            if kept.len() + entries.len() > 3 {
                return Err(KeyValueFault::Full("there is room for 3 entries".to_owned()));
            }
            kept.extend(entries);
            Ok(())
        })
    }

    fn delete(&self, keys: Vec<String>) -> Kept<'_, ()> {
        Box::pin(async move {
            self.0.lock().unwrap().retain(|entry| !keys.contains(&entry.key));
            Ok(())
        })
    }

    fn swap(&self, entry: KeyValueEntry, expected: Option<Vec<u8>>) -> Kept<'_, bool> {
        Box::pin(async move {
            let swaps = self.find(&entry.key) == expected;
            if swaps {
                self.0.lock().unwrap().push(entry);
            }
            Ok(swaps)
        })
    }
}

#[tokio::test]
async fn values_are_kept_within_bounds() {
    let store = Arc::new(Memory::default());
    let grants = || Grants { key_value: Some(KeyValueGrant { store: store.clone() }), ..Grants::default() };
    let asks = json!([
        {"kv-set": [["a", "1", 60], ["b", "2"]]}, {"kv-get": ["a", "c", "b"]}, {"kv-swap": [["a", "3"], "2"]},
        {"kv-swap": [["a", "3"], "1"]}, {"kv-set": [["d", ""]]}, {"kv-delete": ["a"]}, {"kv-get": ["a"]},
    ]);
    let full = json!({"error": "too-much", "message": "there is room for 3 entries"});
    let expected = json!([true, ["1", null, "2"], false, true, full, true, [null]]);
    assert_eq!(Value::Array(asked(grants(), asks).await), expected);
    assert_eq!(store.0.lock().unwrap()[0].stays, None);
    let asks = json!([
        {"kv-get": [""]}, {"kv-get": [257]}, {"kv-set": [["k", 65_537]]}, {"kv-get": 257}, {"kv-set": [["", ""]]},
        {"kv-swap": [["", ""], null]}, {"kv-swap": [["k", 65_537], null]}, {"kv-get": 256},
    ]);
    let answers = asked(grants(), asks).await;
    let expected = ["invalid", "invalid", "too-much", "too-much", "invalid", "invalid", "too-much", "none"];
    assert_eq!(codes(&answers), expected);
    let answers = asked_times(grants(), json!([{"kv-get": ["k"]}]), 257).await;
    assert_eq!(codes(&answers), ["too-much"], "one call asks 256 times");
}

#[tokio::test]
async fn codes_are_translated_by_granted_maps() {
    let csv =
        "system,code,target_system,target_code,display,equivalence\nlocal,A,http://loinc.org,1-1,Shown,\n";
    let file = |name: &str, path: &str, content: &str| NamedFile {
        name: name.into(),
        path: path.into(),
        content: content.to_owned().into(),
    };
    let group = json!({"source": "s", "target": "t", "unmapped": {"mode": "provided"}});
    let map = json!({"resourceType": "ConceptMap", "group": [group]}).to_string();
    let grants = || {
        let maps = vec![file("labs", "labs.csv", csv), file("rest", "rest.json", &map)];
        Grants { terminology: Some(TerminologyGrant { maps }), ..Grants::default() }
    };
    let asks = json!([
        {"translate": ["labs", [["local", "A"], ["local", "B"]]]}, {"translate": ["rest", [["s", "x"]]]},
        {"translate": ["other", []]}, {"translate": ["labs", vec![["local", "A"]; 4097]]},
    ]);
    let answers = asked(grants(), asks).await;
    assert_eq!(answers[0], json!([[["http://loinc.org", "1-1", "Shown", "equivalent"]], []]));
    assert_eq!(answers[1], json!([[["t", "x", null, "relatedto", "provided"]]]));
    assert_eq!(codes(&answers[2..]), ["invalid", "too-much"]);
    assert!(answers[2]["message"].as_str().unwrap().ends_with("only: labs, rest"), "{}", answers[2]);

    let broken = vec![file("labs", "maps/labs.csv", "system,code\n")];
    let grants = Grants { terminology: Some(TerminologyGrant { maps: broken }), ..Grants::default() };
    let said =
        Plugin::load(engine(), PluginSpec { grants, ..spec(json!({})) }).await.unwrap_err().to_string();
    let expected =
        "the grant [plugins.guest.grants.terminology] cannot be used: maps/labs.csv: line 1: the header";
    assert!(said.starts_with(expected), "{said}");
}

#[tokio::test]
async fn objects_stay_in_their_directory() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("in");
    let open = |path: &Path| Arc::new(Directory::open(path, 20 << 20).unwrap());
    let grants =
        || Grants { object_store: Some(ObjectStoreGrant { store: open(&inside) }), ..Grants::default() };
    let asks = json!([
        {"put": ["a/b.ndjson", "one"]}, {"get": "a/b.ndjson"}, {"get": "none"}, {"names": ["a/", ""]},
        {"names": ["", "a/b.ndjson"]}, {"delete": "a/b.ndjson"}, {"names": ["", ""]},
    ]);
    let expected = json!([true, "one", null, ["a/b.ndjson"], [], true, []]);
    assert_eq!(Value::Array(asked(grants(), asks).await), expected);
    let mut asks = Vec::new();
    for name in ["", "../out", "/etc/passwd", "a/../../out", "a\0", ".hidden", "a//b"] {
        asks.extend([json!({"put": [name, "x"]}), json!({"get": name}), json!({"delete": name})]);
    }
    asks.push(json!({"names": ["../", ""]}));
    asks.push(json!({"names": ["", "/"]}));
    let answers = asked(grants(), Value::Array(asks)).await;
    assert!(answers.iter().all(|answer| answer["error"] == "invalid"), "{answers:?}");
    let (over, large) = ((16 << 20) + 1, 16 << 20);
    let asks = json!([{"put": ["c", over]}, {"put": ["c", large]}, {"get": "c"}, {"put": ["b", 5 << 20]}]);
    let answers = asked(grants(), asks).await;
    assert_eq!(codes(&answers), ["too-much", "none", "none", "too-much"]);
    assert_eq!(answers[2], 16 << 20);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn other_hosts_are_not_reached() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let hosts = vec![
        format!("http://127.0.0.1:{port}"),
        format!("http://localhost:{port}"),
        "https://a.example".to_owned(),
    ];
    let grant = |private: &[&str]| {
        let private = private.iter().map(|network| network.parse().unwrap()).collect();
        let grant = HttpOutGrant {
            hosts: hosts.clone(),
            private,
            authorities: None,
            timeout: Duration::from_millis(300),
            body_bytes: 1000,
        };
        Grants { http_out: Some(grant), ..Grants::default() }
    };
    let get = |url: String| json!({"http": {"method": "GET", "url": url}});
    let mut asks: Vec<_> =
        ["127.0.0.1", "localhost", "LOCALHOST", "2130706433", "0x7f.1", "[::ffff:7f00:1]", "127.1"]
            .map(|host| get(format!("http://{host}:{port}/")))
            .into();
    asks.push(get("https://b.example".to_owned()));
    let answers = asked(grant(&[]), Value::Array(asks)).await;
    assert!(answers.iter().all(|answer| answer["error"] == "denied"), "{answers:?}");
    assert_eq!(accepted.load(Ordering::SeqCst), 0);
    let mut bad = get("https://a.example".to_owned());
    bad["http"]["headers"] = json!([["host", "b.example"]]);
    let mut long = get("https://a.example".to_owned());
    long["http"]["body"] = json!(1001);
    let asks = json!([bad, long, get("nonsense".to_owned()), get(format!("http://127.0.0.1:{port}/"))]);
    let answers = asked(grant(&["127.0.0.0/8"]), asks).await;
    assert_eq!(codes(&answers), ["invalid", "too-much", "invalid", "unavailable"]);
    assert_eq!(accepted.load(Ordering::SeqCst), 1, "what is granted is connected to");
    let answers = asked_times(grant(&[]), json!([get("https://b.example".to_owned())]), 65).await;
    assert_eq!(codes(&answers), ["too-much"]);
}

/// Answers with what it was asked.
#[derive(Default)]
struct Echo(AtomicUsize);

impl FhirClient for Echo {
    fn send<'a>(&'a self, by: &'a By, requests: Vec<FhirRequest>, _: usize) -> FhirAnswers<'a> {
        self.0.fetch_add(requests.len(), Ordering::SeqCst);
        let answer = move |request: FhirRequest| {
            if request.method.is_empty() {
                return Err(FhirFault::Invalid("no method".to_owned()));
            }
            let body = format!("{by:?} {} {}", request.method, request.url).into_bytes();
            Ok(FhirAnswer { status: 200, headers: request.headers, body })
        };
        Box::pin(async move { requests.into_iter().map(answer).collect() })
    }
}

#[tokio::test]
async fn the_fhir_server_is_asked_for_an_exchange_and_not_for_ever() {
    let grants = || Grants { fhir_client: Some(FhirClientGrant { by: By::Caller }), ..Grants::default() };
    let request = json!({"method": "GET", "url": "Patient/1", "headers": [["prefer", "x"]]});
    let asks = json!([{"fhir": [request, {"method": "", "url": ""}]}, {"fhir": []}]);
    let plugin = granted(grants(), asks, 1).await;
    let told = answers(&mut plugin.session()).await;
    assert_eq!(told[0][0]["error"], "unavailable", "nobody has lent a client");
    let mut session = plugin.session();
    session.lend(Arc::new(Echo::default()));
    let told = answers(&mut session).await;
    assert_eq!(
        told[0][0],
        json!({"status": 200, "headers": {"prefer": "x"}, "body": "Caller GET Patient/1"})
    );
    assert_eq!((&told[0][1]["error"], &told[1]), (&json!("invalid"), &json!([])));

    let echo = Arc::new(Echo::default());
    let plugin = granted(grants(), json!([{"fhir": vec![request; 32]}]), 9).await;
    let mut session = plugin.session();
    session.lend(echo.clone());
    let told = answers(&mut session).await;
    assert!(told[0].as_array().unwrap().iter().all(|answer| answer["error"] == "too-much"));
    assert_eq!(echo.0.load(Ordering::SeqCst), 256, "of one exchange");
    let large = json!({"method": "POST", "url": "Basic", "body": (8 << 20) + 1});
    let many = json!({"method": "GET", "url": "", "headers": vec![["a", "b"]; 33]});
    let asks =
        json!([{"fhir": [large]}, {"fhir": [many]}, {"fhir": vec![json!({"method": "GET", "url": ""}); 33]}]);
    let plugin = granted(grants(), asks, 1).await;
    let mut session = plugin.session();
    session.lend(echo.clone());
    let told = answers(&mut session).await;
    assert!(told.iter().all(|answers| answers[0]["error"] == "too-much"), "{told:?}");
    assert_eq!(echo.0.load(Ordering::SeqCst), 256);
}

#[tokio::test]
async fn figures_may_be_counted_without_end() {
    let asks = json!([{"count": ["seen", 1]}, {"observe": ["size", 2.5]}, {"count": ["no name", 1]}]);
    assert_eq!(asked_times(Grants::default(), asks, 10_000).await, [Value::Null, Value::Null, Value::Null]);
}

//! Entries of a batch that were throttled inside a 200: they are asked for again, and nothing else is.

use std::time::Duration;

use fireguard_test_support::standin::{Answer, Gate};
use serde_json::{Value, json};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::{Ask, Reply};
use crate::rig::{Change, Rig};
use crate::volume::growth;

/// A read, a create, an update and a search, each recognisable.
fn requests() -> Vec<Value> {
    let patient = |id: &str| json!({"resourceType": "Patient", "id": id});
    vec![
        json!({"request": {"method": "GET", "url": "Patient/0"}}),
        json!({"resource": patient("1"), "request": {"method": "POST", "url": "Patient"}}),
        json!({"resource": patient("2"), "request": {"method": "PUT", "url": "Patient/2"}}),
        json!({"request": {"method": "GET", "url": "Patient?name=3"}}),
    ]
}

fn bundle(kind: &str, entries: &[Value]) -> String {
    json!({"resourceType": "Bundle", "type": kind, "entry": entries}).to_string()
}

fn says(status: &str, what: &str) -> Value {
    json!({"response": {"status": status, "etag": what}})
}

fn answer(entries: &[Value]) -> Answer {
    Answer::json(200, bundle("batch-response", entries)).header("Retry-After", "0")
}

async fn ask(rig: &Rig, kind: &str) -> Reply {
    rig.send(Ask::json("POST", "/fhir", bundle(kind, &requests()))).await
}

fn statuses(reply: &Reply) -> Vec<String> {
    let entries = reply.json()["entry"].as_array().unwrap().clone();
    entries.iter().map(|entry| entry["response"]["status"].as_str().unwrap().to_owned()).collect()
}

/// What was sent after the first request, entry by entry.
fn asked_again(rig: &Rig, before: usize) -> Vec<Vec<Value>> {
    let again = rig.arrived().split_off(before + 1).into_iter();
    let bodies = again.map(|request| serde_json::from_slice::<Value>(&request.body).unwrap());
    bodies.map(|body| body["entry"].as_array().unwrap().clone()).collect()
}

#[tokio::test]
async fn throttled_entries_are_asked_for_again_and_put_in_their_places() {
    let rig = Rig::start().await;
    let ok = |n: usize| says("200 OK", &n.to_string());
    let busy = || says("429 Too Many Requests", "busy");
    let all = requests();
    for throttled in [vec![0], vec![1, 2], vec![3], vec![0, 1, 2, 3], vec![]] {
        let first: Vec<_> = (0..4).map(|n| if throttled.contains(&n) { busy() } else { ok(n) }).collect();
        let second: Vec<_> = throttled.iter().map(|n| ok(*n)).collect();
        rig.standin.next("POST", "/fhir/", [answer(&first)]);
        if !throttled.is_empty() {
            rig.standin.next("POST", "/fhir/", [answer(&second).chunked()]);
        }
        let before = rig.arrived().len();
        let reply = ask(&rig, "batch").await;
        assert!(reply.whole);
        assert_eq!(reply.json()["entry"], json!([ok(0), ok(1), ok(2), ok(3)]), "{throttled:?}");
        let expected: Vec<Vec<Value>> = if throttled.is_empty() {
            vec![]
        } else {
            vec![throttled.iter().map(|n| all[*n].clone()).collect()]
        };
        assert_eq!(asked_again(&rig, before), expected, "{throttled:?}");
    }
}

/// Each round asks for fewer; what is left in the end stays as it was answered.
#[tokio::test]
async fn what_stays_throttled_stays() {
    let rig = Rig::start().await;
    let (ok, busy) = (|n: &str| says("200 OK", n), || says("429 Too Many Requests", "busy"));
    rig.standin.next(
        "POST",
        "/fhir/",
        [
            answer(&[ok("0"), busy(), busy(), busy()]),
            answer(&[busy(), ok("2"), busy()]),
            answer(&[busy(), ok("3")]),
        ],
    );
    let reply = ask(&rig, "batch").await;
    assert_eq!(reply.json()["entry"], json!([ok("0"), busy(), ok("2"), ok("3")]));
    assert_eq!(asked_again(&rig, 0).iter().map(Vec::len).collect::<Vec<_>>(), [3, 2]);
}

/// A 503 inside goes by the row of its own entry: a create only where the server sheds before it works.
#[tokio::test]
async fn unavailable_entries_go_by_their_own_rows() {
    for (sheds, expected) in [(false, 3), (true, 4)] {
        let upstream = format!("sheds_before_working = {sheds}");
        let rig = Rig::with(Change { upstream, ..Change::default() }).await;
        let down = || says("503 Service Unavailable", "down");
        let ok = || says("200 OK", "x");
        rig.standin.next(
            "POST",
            "/fhir/",
            [answer(&[down(), down(), down(), down()]), answer(&vec![ok(); expected])],
        );
        let reply = ask(&rig, "batch").await;
        assert_eq!(asked_again(&rig, 0)[0].len(), expected);
        let left = statuses(&reply).iter().filter(|status| status.starts_with("503")).count();
        assert_eq!(left, 4 - expected, "{}", reply.text());
    }
}

#[tokio::test]
async fn nothing_is_asked_again_if_it_is_not_certain_what_belongs_to_what() {
    let rig = Rig::start().await;
    let busy = || says("429 Too Many Requests", "busy");
    let html = Answer::html(200, "<html>429</html>");
    let short = answer(&[busy(), busy(), busy()]);
    let long = answer(&vec![busy(); 5]);
    let other = Answer::json(200, bundle("transaction-response", &vec![busy(); 4]));
    for (case, kind, answered, status) in [
        ("too few", "batch", short, 200),
        ("too many", "batch", long, 200),
        ("a transaction", "transaction", answer(&vec![busy(); 4]), 200),
        ("carried out as a transaction", "batch", other, 200),
        ("HTML", "batch", html, 502),
    ] {
        rig.standin.next("POST", "/fhir/", [answered]);
        let before = rig.arrived().len();
        let reply = ask(&rig, kind).await;
        assert_eq!((reply.status, reply.whole), (status, true), "{case}: {}", reply.text());
        assert!(asked_again(&rig, before).is_empty(), "{case}");
        if status == 200 {
            assert!(statuses(&reply).iter().all(|status| status.starts_with("429")), "{case}");
        }
    }
}

/// The second answer is lost: of what changes something nobody knows, and that is what is said.
#[tokio::test]
async fn what_may_have_been_carried_out_is_said_so() {
    let rig = Rig::start().await;
    let busy = || says("429 Too Many Requests", "busy");
    let ok = || says("200 OK", "x");
    for (case, second) in [
        ("lost", Answer::reset()),
        ("a timeout", Answer::outcome(504, "timeout")),
        ("too few", answer(&[ok(), ok()])),
        ("cut", answer(&vec![ok(); 4]).cut(20)),
    ] {
        rig.standin.next("POST", "/fhir/", [answer(&vec![busy(); 4]), second]);
        let reply = ask(&rig, "batch").await;
        let expected =
            ["429 Too Many Requests", "502 Bad Gateway", "502 Bad Gateway", "429 Too Many Requests"];
        assert_eq!(statuses(&reply), expected, "{case}: {}", reply.text());
        let outcome = &reply.json()["entry"][1]["response"]["outcome"];
        assert_eq!(outcome["issue"][0]["code"], "transient", "{case}");
    }
    // Refused as a whole: nothing was carried out.
    rig.standin.next("POST", "/fhir/", [answer(&vec![busy(); 4]), Answer::outcome(400, "invalid")]);
    let reply = ask(&rig, "batch").await;
    assert!(statuses(&reply).iter().all(|status| status.starts_with("429")), "{}", reply.text());
}

/// The Fireguard and a batch of the four requests, the first of whose answers is throttled; the others are this long.
async fn long(replay: &str, bytes: usize) -> (Rig, [Value; 3]) {
    let limits = format!("replay = \"{replay}\"");
    let rig = Rig::with(Change { server: "workers = 1".to_owned(), limits, ..Change::default() }).await;
    let long = json!({"resource": {"resourceType": "Binary", "data": "A".repeat(bytes)}});
    let last = says("200 OK", "x");
    let entries = [says("429 Too Many Requests", "busy"), long.clone(), long.clone(), last.clone()];
    rig.standin.next("POST", "/fhir/", [answer(&entries)]);
    (rig, [long.clone(), long, last])
}

/// Too much to hold while entries are asked for again: the answer goes on as it came.
#[tokio::test]
async fn an_answer_over_the_limit_passes_with_its_refusals() {
    for bytes in [1 << 20, 100_000, 60_000] {
        let (rig, rest) = long("100KiB", bytes).await;
        let reply = ask(&rig, "batch").await;
        assert!(reply.whole, "{bytes}");
        let expected = [&[says("429 Too Many Requests", "busy")][..], &rest].concat();
        assert_eq!(reply.json()["entry"], json!(expected), "{bytes}");
        assert!(asked_again(&rig, 0).is_empty(), "{bytes}");
    }
}

/// What is held while entries are asked for again lies in a file.
#[tokio::test]
async fn a_long_answer_is_held_in_flat_memory() {
    const FLAT_KIB: u64 = 24 << 10;
    for bytes in [100_000, 200_000, 32 << 20] {
        let (rig, rest) = long("128MiB", bytes).await;
        rig.assert_serving().await;
        rig.standin.next("POST", "/fhir/", [answer(&[says("200 OK", "again")])]);
        let (reply, grown) = growth(rig.gateway.pid(), ask(&rig, "batch")).await;
        println!("{} bytes, {grown} KiB more at the most", reply.body.len());
        assert!(reply.whole);
        let expected = [&[says("200 OK", "again")][..], &rest].concat();
        assert!(reply.json()["entry"] == json!(expected), "{bytes}");
        let asked = rig.arrived().iter().filter(|request| request.method == "POST").count();
        assert_eq!(asked, 2, "{bytes}");
        assert!(grown < FLAT_KIB, "{grown} KiB more");
    }
}

/// What stands before the first refusal is with the client while the rest is asked for.
#[tokio::test]
async fn what_stands_before_does_not_wait() {
    // As routes are unless they say otherwise.
    let tables =
        "[routes.usual]\npath = \"/usual\"\nupstream = \"hapi\"\nauthentication = \"none\"\n".to_owned();
    let rig = Rig::with(Change { server: "workers = 1".to_owned(), tables, ..Change::default() }).await;
    let gate = Gate::new();
    let (before, after) = (says("200 OK", "before"), says("200 OK", "last"));
    let busy = says("429 Too Many Requests", "busy");
    // As long as what may be waited for, to see whether it is all.
    let long = json!({"resource": {"resourceType": "Binary", "data": "A".repeat(100_000)}});
    let first = answer(&[before.clone(), long, before, busy, after]);
    rig.standin.next("POST", "/fhir/", [first, answer(&[says("200 OK", "again")]).after(&gate)]);
    let all = [requests(), vec![json!({"request": {"method": "GET", "url": "Patient/4"}})]].concat();
    let body = bundle("batch", &all);
    let head = format!(
        "POST /usual HTTP/1.1\r\nHost: x\r\nContent-Type: application/fhir+json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(rig.gateway.listen()).await.unwrap();
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    let mut received = String::new();
    let mut buffer = [0; 4096];
    while received.matches("before").count() < 2 {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut buffer)).await;
        let read = read.expect("the first entries wait").unwrap();
        assert!(read > 0, "{received}");
        received.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    assert!(!received.contains("last") && !received.contains("busy"), "{received}");
    gate.open();
    stream.read_to_string(&mut received).await.unwrap();
    assert!(
        received.contains("again") && received.contains("last") && received.ends_with("0\r\n\r\n"),
        "{received}"
    );
}

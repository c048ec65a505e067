//! A server with too much to do, or out of order: it is asked for what it can take, and left alone when it fails.

use std::time::Duration;

use fireguard_test_support::standin::{Answer, Gate, Received};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::http::{Ask, Reply};
use crate::rig::{Change, Rig, WELL};

const TARGET: &str = "/fhir/Patient/1";

async fn rig(upstream: &str) -> Rig {
    let server = "workers = 1".to_owned();
    Rig::with(Change { server, upstream: upstream.to_owned(), ..Change::default() }).await
}

fn create() -> Ask {
    Ask::json("POST", "/fhir/Patient", WELL)
}

fn shed(reply: &Reply, code: &str, case: &str) {
    reply.assert_outcome(503, code, case);
    let wait: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&wait), "{case}: {wait}");
}

/// So many requests for this path have arrived.
async fn arrived(rig: &Rig, path: &str, count: usize) {
    let enough = |r: &[Received]| r.iter().filter(|r| r.path() == path).count() >= count;
    assert!(rig.standin.received(enough).await, "{path}");
}

#[tokio::test]
async fn more_than_the_limit_wait_and_more_than_may_wait_are_sent_away() {
    let rig = rig("concurrency = { start = 2, least = 2, most = 2, queue = 1 }").await;
    let gate = Gate::new();
    rig.standin.always("GET", "/fhir/*", Answer::json(200, WELL).after(&gate));
    let ask = |name: &str| Ask::get(&format!("/fhir/Patient/{name}")).send(rig.gateway.listen());
    let test = async {
        arrived(&rig, "/fhir/Patient/a", 1).await;
        arrived(&rig, "/fhir/Patient/b", 1).await;
        // Of these two one waits, the other is sent away at once.
        let sent_away = async {
            let (c, d) = (Box::pin(ask("c")), Box::pin(ask("d")));
            let (first, other) = futures_util::future::select(c, d).await.factor_first();
            gate.open();
            (first, other.await)
        };
        let (first, second) = sent_away.await;
        shed(&first, "throttled", "the queue is full");
        assert_eq!(second.status, 200);
    };
    let (a, b, ()) = tokio::join!(ask("a"), ask("b"), test);
    assert_eq!((a.status, b.status), (200, 200));
    assert_eq!(rig.standin.most_in_flight(), 2);
    assert!(
        rig.metrics().await.contains(r#"fireguard_shed_total{upstream="hapi",class="read",cause="full"} 1"#)
    );
}

#[tokio::test]
async fn who_waits_too_long_is_told_when_to_come_back() {
    let rig = rig("concurrency = { start = 1, least = 1, most = 1, queue_time = \"50ms\" }").await;
    let gate = Gate::new();
    rig.standin.always("GET", TARGET, Answer::json(200, WELL).after(&gate));
    let waits = async {
        arrived(&rig, TARGET, 1).await;
        shed(&rig.send(create()).await, "throttled", "a write");
        gate.open();
    };
    let (first, ()) = tokio::join!(rig.get(TARGET), waits);
    assert_eq!(first.status, 200);
    assert!(rig.standin.requests_to("POST", "*").is_empty(), "it never left");
}

#[tokio::test]
async fn reads_go_before_searches_and_writes() {
    let rig = rig("concurrency = { start = 1, least = 1, most = 1 }").await;
    let gate = Gate::new();
    rig.standin.always("*", "/fhir/*", Answer::json(200, WELL));
    rig.standin.always("GET", TARGET, Answer::json(200, WELL).after(&gate));
    let pause = || tokio::time::sleep(Duration::from_millis(300));
    let (search, write) = (rig.get("/fhir/Patient?name=x"), rig.send(create()));
    let others = async {
        arrived(&rig, TARGET, 1).await;
        let late = async {
            // They wait already; whether they do is not to be seen from outside.
            pause().await;
            let read = async {
                pause().await;
                gate.open();
            };
            tokio::join!(rig.get("/fhir/Patient/late"), read).0
        };
        tokio::join!(search, write, late)
    };
    let (first, (search, write, late)) = tokio::join!(rig.get(TARGET), others);
    assert!([first, search, write, late].iter().all(|reply| reply.status == 200));
    let order: Vec<_> = rig.arrived().into_iter().map(|request| request.path().to_owned()).collect();
    assert_eq!(order[..2], [TARGET, "/fhir/Patient/late"], "{order:?}");
}

/// A client that sends slowly keeps no place at the server.
#[tokio::test]
async fn a_slow_upload_waits_here() {
    let rig = rig("concurrency = { start = 1, least = 1, most = 1 }").await;
    let mut slow = TcpStream::connect(rig.gateway.listen()).await.unwrap();
    let head = "POST /fhir/Patient HTTP/1.1\r\nHost: x\r\nContent-Type: application/fhir+json\r\nContent-Length: 99\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.unwrap();
    rig.assert_serving().await;
    assert!(rig.standin.requests_to("POST", "*").is_empty());
}

/// Looking whether an update was carried out needs a place of its own: that of the conflict is free by then.
#[tokio::test]
async fn a_second_look_finds_a_place() {
    let rig = rig("concurrency = { start = 1, least = 1, most = 1, queue_time = \"200ms\" }").await;
    rig.standin.always("HEAD", TARGET, Answer::json(200, WELL));
    rig.standin.next("PUT", TARGET, [Answer::reset(), Answer::outcome(409, "conflict").chunked()]);
    let body = r#"{"resourceType":"Patient","id":"1"}"#;
    rig.standin.always("GET", "/fhir/Patient/1/_history/4", Answer::json(200, body));
    let reply = rig.send(Ask::json("PUT", TARGET, body).header("If-Match", "W/\"3\"")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

/// HAPI's words for it, in a 500 that closes the connection.
#[tokio::test]
async fn a_read_that_found_no_connection_is_sent_again() {
    let rig = rig("concurrency = { start = 8, least = 2, most = 8 }").await;
    for text in [
        "HAPI-0389: Failed to call access method: org.springframework.transaction.CannotCreateTransactionException: \
         Could not open JPA EntityManager for transaction",
        "HikariPool-1 - Connection is not available, request timed out after 1002ms (total=5, active=5, idle=0)",
    ] {
        let outcome = serde_json::json!({"resourceType": "OperationOutcome", "issue": [
            {"severity": "error", "code": "processing", "diagnostics": text}]});
        let no_connection =
            || Answer::json(500, outcome.to_string()).header("Connection", "close").chunked().closing();
        rig.standin.next("GET", TARGET, [no_connection(), Answer::json(200, WELL)]);
        let reply = rig.get(TARGET).await;
        assert_eq!((reply.status, reply.header("x-fireguard-attempts")), (200, Some("2")));
        // That nothing was begun is likely, and not enough for a write.
        rig.standin.next("POST", "/fhir/Patient", [no_connection()]);
        assert_eq!(rig.send(create()).await.status, 500);
    }
    // Another 500 is the answer.
    rig.standin.next("GET", TARGET, [Answer::outcome(500, "exception")]);
    assert_eq!(rig.get(TARGET).await.status, 500);
}

#[tokio::test]
async fn a_server_that_fails_is_left_alone_and_looked_at_again() {
    let rig = rig("breaker = { faults = 6 }").await;
    rig.standin.always("*", "/fhir/*", Answer::json(200, WELL));
    rig.standin.next("GET", TARGET, std::iter::repeat_n(Answer::outcome(504, "timeout"), 6));
    for _ in 0..2 {
        assert_eq!(rig.get(TARGET).await.status, 504, "three attempts each");
    }
    let before = rig.arrived().len();
    shed(&rig.get(TARGET).await, "transient", "open");
    assert_eq!(rig.arrived().len(), before);
    assert_eq!(rig.get("/fhir/Patient?name=x").await.status, 200, "another class");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    for _ in 0..10 {
        assert_eq!(rig.get(TARGET).await.status, 200);
    }
}

/// What the client or the moment is to blame for is no fault of the server's.
#[tokio::test]
async fn other_refusals_are_no_faults() {
    let rig = rig("breaker = { faults = 1 }").await;
    for status in [400, 404, 409, 410, 412, 422, 429, 500] {
        for _ in 0..3 {
            rig.standin.next(
                "GET",
                TARGET,
                [Answer::outcome(status, "processing").header("Retry-After", "60")],
            );
            assert_eq!(rig.get(TARGET).await.status, status);
        }
    }
    rig.assert_serving().await;
}

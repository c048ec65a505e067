//! What is sent again, and what never is: a write arrives once at the most, whatever becomes of its answer.

use std::time::{Duration, Instant};

use fireguard_test_support::standin::Answer;

use crate::http::Ask;
use crate::rig::{Rig, WELL};

const TARGET: &str = "/fhir/Patient/1";
const BODY: &str = r#"{"resourceType":"Patient","id":"1"}"#;
const BUNDLE: &str = r#"{"resourceType":"Bundle","type":"searchset"}"#;

/// Everything that only reads.
fn safe() -> Vec<(&'static str, Ask)> {
    vec![
        ("read", Ask::get(TARGET)),
        ("HEAD", Ask::new("HEAD", TARGET)),
        ("search", Ask::get("/fhir/Patient?name=x")),
        ("search by POST", Ask::form("/fhir/Patient/_search", "name=x")),
        ("history", Ask::get("/fhir/Patient/1/_history")),
    ]
}

/// Everything that changes something.
fn writes() -> Vec<(&'static str, Ask)> {
    let patch = r#"[{"op":"replace","path":"/active","value":true}]"#;
    let patch = Ask::new("PATCH", TARGET).header("Content-Type", "application/json-patch+json").body(patch);
    let resource = r#"{"resourceType":"Patient"}"#;
    let bundle = |kind: &str| {
        let entry = r#"[{"request":{"method":"GET","url":"Patient/1"}}]"#;
        Ask::json("POST", "/fhir", format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":{entry}}}"#))
    };
    vec![
        ("create", Ask::json("POST", "/fhir/Patient", resource)),
        (
            "conditional create",
            Ask::json("POST", "/fhir/Patient", resource).header("If-None-Exist", "identifier=x"),
        ),
        ("update", Ask::json("PUT", TARGET, BODY)),
        ("update of a version", Ask::json("PUT", TARGET, BODY).header("If-Match", "W/\"1\"")),
        ("conditional update", Ask::json("PUT", "/fhir/Patient?identifier=x", resource)),
        ("patch", patch),
        ("delete", Ask::new("DELETE", TARGET)),
        ("transaction", bundle("transaction")),
        ("batch", bundle("batch")),
    ]
}

#[tokio::test]
async fn a_read_on_a_connection_that_was_closing_is_sent_once_more() {
    for ending in [Answer::reset(), Answer::close()] {
        let rig = Rig::start().await;
        rig.assert_serving().await;
        for (case, ask) in safe() {
            // The connection before this one was used: only then may it just have been closing.
            let before = rig.arrived().len();
            rig.standin.next("*", "/fhir/*", [ending.clone(), Answer::json(200, BUNDLE)]);
            let reply = rig.send(ask).await;
            assert_eq!(reply.status, 200, "{case}: {reply:?}");
            let arrived = rig.arrived();
            assert_eq!(arrived.len() - before, 2, "{case}");
            assert_ne!(arrived[before].connection, arrived[before + 1].connection, "{case}");
            assert_eq!(arrived[before].target, arrived[before + 1].target, "{case}");
            assert_eq!(arrived[before].body, arrived[before + 1].body, "{case}");
        }
    }
}

/// On a new connection a reset means that the server has a fault, not that it was closing.
#[tokio::test]
async fn a_read_on_a_new_connection_is_not_sent_again() {
    let rig = Rig::start().await;
    for (case, ask) in safe() {
        rig.standin.next("*", "/fhir/*", [Answer::reset()]);
        let before = rig.arrived().len();
        let reply = rig.send(ask).await;
        assert_eq!(reply.status, 502, "{case}: {reply:?}");
        assert_eq!(rig.arrived().len() - before, 1, "{case}");
        // What is not safe to repeat says so; what is safe has nothing to say.
        assert!(!reply.text().contains("may have been carried out"), "{case}");
    }
}

#[tokio::test]
async fn a_write_is_never_sent_twice() {
    let rig = Rig::start().await;
    for reused in [false, true] {
        for (case, ask) in writes() {
            for ending in [Answer::reset(), Answer::close()] {
                if reused {
                    rig.assert_serving().await;
                }
                // Were it sent again, it would succeed.
                let before = rig.arrived().len();
                rig.standin.always("*", "/fhir*", Answer::json(200, BUNDLE));
                rig.standin.next("*", "/fhir*", [ending]);
                let reply = rig.send(ask.clone()).await;
                reply.assert_outcome(502, "transient", case);
                assert!(reply.diagnostics().contains("may have been carried out"), "{case}: {reply:?}");
                let arrived = rig.arrived();
                assert_eq!(arrived.len() - before, 1, "{case}, reused: {reused}");
                assert!(arrived[before].complete, "{case}");
            }
        }
    }
}

/// The server had closed the connection in its pool before the write came: it never left, and is not lost.
#[tokio::test]
async fn a_write_finds_another_connection_when_its_own_was_closed_before() {
    let rig = Rig::start().await;
    for round in 0..30 {
        rig.standin.next("GET", TARGET, [Answer::json(200, BODY).header("Connection", "close").closing()]);
        assert_eq!(rig.get(TARGET).await.status, 200);
        rig.standin.next("POST", "/fhir/Patient", [Answer::json(201, BODY)]);
        let reply = rig.send(Ask::json("POST", "/fhir/Patient", r#"{"resourceType":"Patient"}"#)).await;
        assert_eq!(reply.status, 201, "round {round}");
    }
    assert_eq!(rig.standin.requests_to("POST", "/fhir/Patient").len(), 30);
}

#[tokio::test]
async fn a_throttled_read_is_sent_again() {
    let rig = Rig::start().await;
    for status in [429, 503] {
        for (case, ask) in safe() {
            let busy = || Answer::outcome(status, "throttled").header("Retry-After", "0");
            rig.standin.next("*", "/fhir/*", [busy(), busy(), Answer::json(200, BUNDLE)]);
            let before = rig.arrived().len();
            let reply = rig.send(ask).await;
            assert_eq!(reply.status, 200, "{case} {status}: {reply:?}");
            assert_eq!(rig.arrived().len() - before, 3, "{case} {status}");
        }
    }
    rig.standin.next(
        "GET",
        TARGET,
        [Answer::outcome(429, "throttled").header("Retry-After", "1"), Answer::json(200, BODY)],
    );
    let began = Instant::now();
    assert_eq!(rig.get(TARGET).await.status, 200);
    assert!(began.elapsed() >= Duration::from_secs(1), "it came back before it was asked to");
}

#[tokio::test]
async fn what_stays_throttled_is_passed_on_with_its_retry_after() {
    let rig = Rig::limited("retry_attempts = 2").await;
    for (case, status, after, sent) in [
        ("always busy", 429, Some("0"), 2),
        ("always down", 503, Some("0"), 2),
        ("no time given", 503, None, 1),
        ("over the limit", 429, Some("3600"), 1),
        ("over the limit", 503, Some("3600"), 1),
        ("a date far away", 429, Some("Fri, 31 Dec 2100 23:59:59 GMT"), 1),
    ] {
        let answer = Answer::outcome(status, "throttled");
        let answer = after.map_or(answer.clone(), |after| answer.header("Retry-After", after));
        rig.standin.always("GET", TARGET, answer);
        let before = rig.arrived().len();
        let reply = rig.get(TARGET).await;
        reply_is(&reply, status, after, case);
        assert_eq!(rig.arrived().len() - before, sent, "{case}");
    }
}

#[tokio::test]
async fn a_throttled_write_is_passed_on() {
    let rig = Rig::start().await;
    for status in [429, 503] {
        for (case, ask) in writes() {
            let busy = Answer::outcome(status, "throttled").header("Retry-After", "0");
            rig.standin.always("*", "/fhir*", busy);
            let before = rig.arrived().len();
            reply_is(&rig.send(ask).await, status, Some("0"), case);
            assert_eq!(rig.arrived().len() - before, 1, "{case} {status}");
        }
    }
    rig.standin.always("GET", "/fhir/Patient/well", Answer::json(200, WELL));
    rig.assert_serving().await;
}

#[track_caller]
fn reply_is(reply: &crate::http::Reply, status: u16, after: Option<&str>, case: &str) {
    assert_eq!((reply.status, reply.header("retry-after")), (status, after), "{case}: {reply:?}");
    assert_eq!(reply.code(), "throttled", "{case}");
}

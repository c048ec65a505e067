//! What is sent again, and what never is: a write that may have been carried out is not carried out twice.

use std::time::{Duration, Instant};

use fireguard_test_support::standin::Answer;

use crate::http::Ask;
use crate::rig::{Change, Rig, WELL};

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

/// Everything that changes something, and what a second time would change again.
fn writes() -> Vec<(&'static str, Ask)> {
    let patch = r#"[{"op":"replace","path":"/active","value":true}]"#;
    let patch = Ask::new("PATCH", TARGET).header("Content-Type", "application/json-patch+json").body(patch);
    let resource = r#"{"resourceType":"Patient"}"#;
    let bundle = |kind: &str| {
        let entry =
            r#"[{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}]"#;
        Ask::json("POST", "/fhir", format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":{entry}}}"#))
    };
    vec![
        ("create", Ask::json("POST", "/fhir/Patient", resource)),
        ("update", Ask::json("PUT", TARGET, BODY)),
        ("conditional update", Ask::json("PUT", "/fhir/Patient?identifier=x", resource)),
        ("patch", patch),
        ("conditional delete", Ask::new("DELETE", "/fhir/Patient?identifier=x")),
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

#[tokio::test]
async fn a_read_without_an_answer_is_sent_again_a_few_times() {
    let rig = Rig::start().await;
    for (case, ask) in safe() {
        let lost = [Answer::reset(), Answer::outcome(504, "timeout")];
        rig.standin.next("*", "/fhir/*", lost.into_iter().chain([Answer::json(200, BUNDLE)]));
        let before = rig.arrived().len();
        let reply = rig.send(ask.clone()).await;
        assert_eq!((reply.status, rig.arrived().len() - before), (200, 3), "{case}: {reply:?}");

        rig.standin.next("*", "/fhir/*", std::iter::repeat_n(Answer::close(), 4));
        let reply = rig.send(ask).await;
        // The first went to a connection that might just have been closing, and does not count.
        assert_eq!((reply.status, rig.arrived().len() - before), (502, 7), "{case}: {reply:?}");
        // What is not safe to repeat says so; what is safe has nothing to say.
        assert!(!reply.text().contains("may have been carried out"), "{case}");
    }
}

/// Until the first byte has gone to the client.
#[tokio::test]
async fn a_read_whose_answer_breaks_off_is_sent_again_if_nothing_was_sent_on() {
    let rig = Rig::start().await;
    let long = Answer::binary(1 << 20);
    for (case, answer, status, whole, sent) in [
        ("before the body", long.clone().cut(0), 200, true, 2),
        ("by a reset before the body", long.clone().cut_by_reset(0), 200, true, 2),
        ("within the body", long.clone().cut(1 << 19), 200, false, 1),
    ] {
        rig.standin.next("GET", TARGET, [answer, long.clone()]);
        let before = rig.arrived().len();
        let reply = rig.get(TARGET).await;
        assert_eq!((reply.status, reply.whole), (status, whole), "{case}");
        assert_eq!(rig.arrived().len() - before, sent, "{case}");
        rig.standin.next("GET", TARGET, std::iter::repeat_n(long.clone(), 2 - sent));
        for _ in sent..2 {
            rig.get(TARGET).await;
        }
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

/// The server did not begin: nothing happens twice. Of a 503 that is not sure enough for a create.
#[tokio::test]
async fn a_throttled_write_is_sent_again() {
    let rig = Rig::start().await;
    for status in [429, 503] {
        for (case, ask) in writes() {
            let busy = || Answer::outcome(status, "throttled").header("Retry-After", "0");
            let create = status == 503 && case == "create";
            rig.standin.next("*", "/fhir*", [busy(), busy(), Answer::json(200, BUNDLE)]);
            let before = rig.arrived().len();
            let reply = rig.send(ask).await;
            let arrived = rig.arrived().split_off(before);
            assert_eq!((reply.status, arrived.len()), if create { (503, 1) } else { (200, 3) }, "{case}");
            for again in &arrived[1..] {
                assert_eq!((&again.target, &again.body), (&arrived[0].target, &arrived[0].body), "{case}");
            }
            rig.standin.next("*", "/fhir*", []);
            while rig.arrived().len() < before + 3 {
                rig.get(TARGET).await;
            }
        }
    }
    let metrics = rig.metrics().await;
    assert!(metrics.contains(r#"fireguard_retries_total{route="fhir",fault="throttled"}"#), "{metrics}");
}

#[tokio::test]
async fn a_create_is_sent_again_after_503_where_the_server_sheds_before_it_works() {
    let upstream = "sheds_before_working = true".to_owned();
    let rig = Rig::with(Change { upstream, ..Change::default() }).await;
    let busy = Answer::outcome(503, "throttled").header("Retry-After", "0");
    rig.standin.next("POST", "/fhir/Patient", [busy, Answer::json(201, BODY)]);
    assert_eq!(rig.send(Ask::json("POST", "/fhir/Patient", BODY)).await.status, 201);
    assert_eq!(rig.arrived().len(), 2);
}

/// Whatever its length, and however it comes: what is over `replay` is sent once.
#[tokio::test]
async fn a_long_body_is_sent_again_byte_for_byte() {
    let rig = Rig::limited("replay = \"1MiB\"").await;
    for (bytes, chunked, sent) in
        [(100, false, 2), (300 << 10, true, 2), (900 << 10, false, 2), (2 << 20, true, 1)]
    {
        let data = "A".repeat(bytes);
        let body = format!(r#"{{"resourceType":"Binary","contentType":"text/plain","data":"{data}"}}"#);
        let busy = || Answer::outcome(429, "throttled").header("Retry-After", "0");
        rig.standin.always("PUT", "/fhir/Binary/1", Answer::json(200, WELL));
        rig.standin.next("PUT", "/fhir/Binary/1", [busy()]);
        let ask = Ask::json("PUT", "/fhir/Binary/1", body.clone());
        let before = rig.arrived().len();
        let reply = rig.send(if chunked { ask.chunked() } else { ask }).await;
        let arrived = rig.arrived().split_off(before);
        assert_eq!(arrived.len(), sent, "{bytes}");
        assert_eq!(reply.status, if sent == 2 { 200 } else { 429 }, "{bytes}");
        assert!(arrived.iter().all(|again| again.body == body.as_bytes()), "{bytes}");
    }
}

/// Even if less is kept than is read before a request takes its place at the server.
#[tokio::test]
async fn what_is_not_kept_is_sent_once_and_whole() {
    for replay in ["0B", "1KiB", "100KiB"] {
        let rig = Rig::limited(&format!("replay = \"{replay}\"")).await;
        rig.standin.always("PUT", "/fhir/Binary/1", Answer::json(200, WELL));
        let body = format!(r#"{{"resourceType":"Binary","data":"{}"}}"#, "A".repeat(150 << 10));
        let reply = rig.send(Ask::json("PUT", "/fhir/Binary/1", body.clone()).chunked()).await;
        assert_eq!(reply.status, 200, "{replay}: {reply:?}");
        let arrived = rig.arrived();
        assert_eq!((arrived.len(), &arrived[0].body[..]), (1, body.as_bytes()), "{replay}");
    }
}

/// The second delete finds nothing: that is what the first one was for.
#[tokio::test]
async fn a_delete_that_may_have_been_done_is_done() {
    let rig = Rig::start().await;
    for (then, status) in [(200, 200), (204, 204), (404, 204), (410, 204), (400, 400), (409, 502), (500, 502)]
    {
        for lost in [Answer::reset(), Answer::outcome(504, "timeout")] {
            let then = if then == 204 { Answer::status(204) } else { Answer::outcome(then, "processing") };
            rig.standin.next("DELETE", TARGET, [lost, then]);
            let reply = rig.send(Ask::new("DELETE", TARGET)).await;
            assert_eq!(reply.status, status, "{reply:?}");
            assert_eq!(status == 502, reply.text().contains("may have been carried out"), "{reply:?}");
        }
        // Without a lost answer before it, the answer is the answer.
        rig.standin.next("DELETE", TARGET, [Answer::outcome(404, "not-found")]);
        assert_eq!(rig.send(Ask::new("DELETE", TARGET)).await.status, 404);
    }
}

/// A conflict after a lost answer: the next version tells whether it is ours.
#[tokio::test]
async fn an_update_of_a_version_that_may_have_been_done_is_looked_up() {
    let rig = Rig::start().await;
    let stored = |name: &str, version: u32| {
        let meta = format!(r#""meta":{{"versionId":"{version}","lastUpdated":"2026-01-01T00:00:00Z"}}"#);
        let body = format!(r#"{{"id":"1",{meta},"resourceType":"Patient","gender":"{name}"}}"#);
        Answer::json(200, body).header("ETag", &format!("W/\"{version}\""))
    };
    let ask = || {
        let body = r#"{"resourceType":"Patient","id":"1","gender":"female"}"#;
        Ask::json("PUT", TARGET, body).header("If-Match", "W/\"3\"")
    };
    let next_version = "/fhir/Patient/1/_history/4";
    for conflict in [409, 412] {
        for (case, found, status) in [
            ("ours", stored("female", 4), 200),
            ("somebody else's", stored("male", 4), 502),
            ("nothing", Answer::outcome(404, "not-found"), 502),
        ] {
            rig.standin.next("PUT", TARGET, [Answer::reset(), Answer::outcome(conflict, "conflict")]);
            rig.standin.next("GET", next_version, [found]);
            let reply = rig.send(ask()).await;
            assert_eq!(reply.status, status, "{case}: {reply:?}");
            assert_eq!(reply.header("etag"), (status == 200).then_some("W/\"4\""), "{case}");
        }
    }
    // Once: two lost answers are enough.
    rig.standin.next("PUT", TARGET, [Answer::reset(), Answer::reset(), Answer::json(200, BODY)]);
    let before = rig.arrived().len();
    rig.send(ask()).await.assert_outcome(502, "transient", "lost twice");
    assert_eq!(rig.arrived().len() - before, 2);
}

/// A batch that only reads and deletes may be sent again as a whole, a transaction as well.
#[tokio::test]
async fn a_bundle_is_sent_again_if_each_of_its_entries_may_be() {
    let rig = Rig::start().await;
    let create = r#"{"resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}"#;
    let read = r#"{"request":{"method":"GET","url":"Patient/1"}}"#;
    let delete = r#"{"request":{"method":"DELETE","url":"Patient/1"}}"#;
    for kind in ["batch", "transaction"] {
        for (entries, sent) in [(vec![read, delete], 2), (vec![read, create], 1), (vec![], 2)] {
            let entries = entries.join(",");
            let body = format!(r#"{{"resourceType":"Bundle","type":"{kind}","entry":[{entries}]}}"#);
            rig.standin.always("POST", "/fhir/", Answer::json(200, BUNDLE));
            rig.standin.next("POST", "/fhir/", [Answer::reset()]);
            let before = rig.arrived().len();
            let reply = rig.send(Ask::json("POST", "/fhir", body)).await;
            assert_eq!(rig.arrived().len() - before, sent, "{kind} [{entries}]");
            assert_eq!(reply.status, if sent == 2 { 200 } else { 502 }, "{kind} [{entries}]");
        }
    }
}

/// What was created can be found after a moment; a second one is not made.
#[tokio::test]
async fn a_conditional_create_is_sent_again_once_and_after_a_moment() {
    let rig = Rig::start().await;
    rig.standin.next("POST", "/fhir/Patient", [Answer::reset(), Answer::json(200, BODY)]);
    let began = Instant::now();
    let ask = Ask::json("POST", "/fhir/Patient", BODY).header("If-None-Exist", "identifier=x");
    assert_eq!(rig.send(ask).await.status, 200);
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(rig.arrived().len(), 2);
}

#[track_caller]
fn reply_is(reply: &crate::http::Reply, status: u16, after: Option<&str>, case: &str) {
    assert_eq!((reply.status, reply.header("retry-after")), (status, after), "{case}: {reply:?}");
    assert_eq!(reply.code(), "throttled", "{case}");
}

//! Servers that say nothing, or little.

use std::time::{Duration, Instant};

use fireguard_test_support::standin::{Answer, Gate};

use crate::http::Ask;
use crate::rig::{Change, Rig};

const TARGET: &str = "/fhir/Patient/1";
const BODY: &str = r#"{"resourceType":"Patient","id":"1","active":true}"#;
const CREATED: &str = r#"{"resourceType":"Patient"}"#;

#[tokio::test]
async fn silence_before_the_head_is_a_504() {
    let rig = Rig::limited("answer_head = \"300ms\"\nbundle_answer_head = \"900ms\"").await;
    rig.standin.always("*", "/fhir/*", Answer::silence());
    rig.standin.always("POST", "/fhir", Answer::silence());
    let began = Instant::now();
    rig.get(TARGET).await.assert_outcome(504, "timeout", "read");
    assert!(began.elapsed() >= Duration::from_millis(300));
    let reply = rig.send(Ask::json("POST", "/fhir/Patient", CREATED)).await;
    reply.assert_outcome(504, "timeout", "create");
    let began = Instant::now();
    let batch = r#"{"resourceType":"Bundle","type":"batch"}"#;
    rig.send(Ask::json("POST", "/fhir", batch)).await.assert_outcome(504, "timeout", "batch");
    assert!(began.elapsed() >= Duration::from_millis(900), "a batch may take longer");
    assert_eq!(rig.arrived().len(), 3, "nothing is sent twice");
    rig.assert_serving().await;
}

#[tokio::test]
async fn silence_in_the_body_aborts() {
    let rig = Rig::limited("body_idle = \"300ms\"").await;
    let hour = Duration::from_secs(3600);
    for answer in [Answer::json(200, BODY).drip(30, hour), Answer::json(200, BODY).chunked().drip(30, hour)] {
        rig.standin.next("GET", TARGET, [answer]);
        let reply = rig.get(TARGET).await;
        assert_eq!((reply.status, reply.whole), (200, false));
        assert_eq!(reply.body, &BODY.as_bytes()[..30]);
    }
    rig.assert_serving().await;
}

/// Slower in all than the patience for silence, but never silent for so long.
#[tokio::test]
async fn a_slow_drip_passes() {
    let rig = Rig::limited("body_idle = \"2s\"").await;
    let answer = Answer::json(200, BODY).drip(1, Duration::from_millis(50));
    rig.standin.next("GET", TARGET, [answer.clone(), answer.chunked()]);
    for _ in 0..2 {
        let began = Instant::now();
        let reply = rig.get(TARGET).await;
        assert!(began.elapsed() > Duration::from_secs(2), "the drip was too quick to prove anything");
        assert_eq!((reply.status, reply.whole, reply.text().as_str()), (200, true, BODY));
    }
}

/// One client's slow request holds up nobody else on the same core.
#[tokio::test]
async fn a_slow_answer_holds_up_nobody() {
    let upstream = "concurrency = { start = 32 }".to_owned();
    let rig = Rig::with(Change { server: "workers = 1".to_owned(), upstream, ..Change::default() }).await;
    let gate = Gate::new();
    rig.standin.always("GET", TARGET, Answer::json(200, BODY).after(&gate));
    let address = rig.gateway.listen().to_owned();
    let slow: Vec<_> = (0..20)
        .map(|_| {
            let address = address.clone();
            tokio::spawn(async move { Ask::get(TARGET).send(&address).await })
        })
        .collect();
    assert!(rig.standin.received(|r| r.iter().filter(|r| r.path() == TARGET).count() == 20).await);
    rig.assert_serving().await;
    gate.open();
    for slow in slow {
        assert_eq!(slow.await.unwrap().status, 200);
    }
}

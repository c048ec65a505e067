//! Clients that stop in the middle: they are let go, and hold nothing of the server's for ever.

use std::time::Duration;

use fireguard_test_support::standin::Answer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::{Rig, WELL};

/// Far longer than the limits here.
const PATIENCE: Duration = Duration::from_secs(10);

/// What comes until Fireguard ends the connection of a client that sent this and then nothing more.
async fn answer_to(rig: &Rig, sent: &str) -> String {
    let mut stream = TcpStream::connect(rig.gateway.listen()).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut received)).await;
    assert!(ended.is_ok(), "the connection is held after {sent:?}: {}", String::from_utf8_lossy(&received));
    String::from_utf8(received).unwrap()
}

fn head(method: &str, target: &str, content_type: &str) -> String {
    format!(
        "{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nContent-Length: 100\r\n\r\n"
    )
}

#[tokio::test]
async fn a_client_that_stops_sending_is_let_go() {
    let rig = Rig::limited("client_head = \"300ms\"\nanswer_head = \"300ms\"\nbody_idle = \"300ms\"").await;
    rig.standin.always("*", "/fhir/*", Answer::json(201, WELL));
    let json = "application/fhir+json";
    for (case, sent, status) in [
        ("in its head", "GET /fhir/Patient/1 HTTP/1.1\r\nHost:".to_owned(), None),
        ("before its body", head("POST", "/fhir/Patient", json), Some("408")),
        ("in its body", head("POST", "/fhir/Patient", json) + "{\"resourceType\":", Some("408")),
        ("in an update", head("PUT", "/fhir/Patient/1", json) + "{", Some("408")),
    ] {
        let answer = answer_to(&rig, &sent).await;
        // hyper answers half a head with 408 or not at all.
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{case}: {answer}");
        assert!(status.is_none() || !answer.is_empty(), "{case}: no answer");
    }
    assert!(rig.arrived().iter().all(|request| !request.complete), "{:?}", rig.arrived());
    rig.assert_serving().await;
}

/// The server's connection is given up when nobody takes what comes over it.
/// A client that leaves while it is being answered takes its request to the server with it.
#[tokio::test]
async fn a_client_that_leaves_ends_its_read() {
    let rig = Rig::start().await;
    rig.standin.always("GET", "/fhir/Patient/1", Answer::silence());
    let mut stream = TcpStream::connect(rig.gateway.listen()).await.unwrap();
    stream.write_all(b"GET /fhir/Patient/1 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(rig.standin.received(|r| r.iter().any(|r| r.path() == "/fhir/Patient/1")).await);
    drop(stream);
    let abandoned =
        rig.standin.received(|r| r.iter().any(|r| r.path() == "/fhir/Patient/1" && r.abandoned)).await;
    assert!(abandoned, "the server still works for nobody");
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go() {
    let rig = Rig::limited("client_head = \"300ms\"").await;
    assert_eq!(answer_to(&rig, "").await, "");
    assert_eq!(answer_to(&rig, "PRI * HTTP/2").await, "");
}

#[tokio::test]
async fn a_client_that_stops_in_a_form_is_let_go() {
    let rig = Rig::limited("client_head = \"300ms\"\nanswer_head = \"300ms\"\nbody_idle = \"300ms\"").await;
    let form = head("POST", "/fhir/Patient/_search", "application/x-www-form-urlencoded");
    let answer = answer_to(&rig, &(form + "name=")).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(rig.arrived().is_empty());
}

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

/// A client that leaves while it is being answered takes its request to the server with it.
#[tokio::test]
async fn a_client_that_leaves_ends_its_read() {
    let rig = Rig::start().await;
    rig.standin.always("GET", "/fhir/Patient/1", Answer::silence());
    let mut stream = TcpStream::connect(rig.gateway.listen()).await.unwrap();
    stream.write_all(b"GET /fhir/Patient/1 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(rig.standin.received(|r| r.iter().any(|r| r.path() == "/fhir/Patient/1")).await);
    drop(stream);
    assert!(rig.given_up("/fhir/Patient/1").await, "the server still works for nobody");
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go() {
    let rig = Rig::limited("client_head = \"300ms\"").await;
    assert_eq!(answer_to(&rig, "").await, "");
    assert_eq!(answer_to(&rig, "PRI * HTTP/2").await, "");
}

/// Between two requests a client may be silent for longer than in the middle of one.
#[tokio::test]
async fn a_client_may_rest_between_requests() {
    let rig = Rig::limited("client_head = \"300ms\"\nclient_idle = \"60s\"").await;
    rig.standin.always("GET", "/fhir/Patient/1", Answer::json(200, WELL));
    let ask = "GET /fhir/Patient/1 HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut stream = TcpStream::connect(rig.gateway.listen()).await.unwrap();
    for rest in [0, 900, 0] {
        tokio::time::sleep(Duration::from_millis(rest)).await;
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut received = Vec::new();
        while !String::from_utf8_lossy(&received).contains(WELL) {
            let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut received)).await;
            assert!(read.is_ok_and(|read| read.unwrap_or(0) > 0), "closed");
        }
    }
    // What comes while an answer is on its way counts as said in time.
    tokio::time::sleep(Duration::from_millis(200)).await;
    stream.write_all(b"GET /fhir/Pat").await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok(), "half a head rests as long as none");
}

/// What nobody reads does not keep a connection to the server.
#[tokio::test]
async fn a_client_that_does_not_read_is_let_go() {
    let rig = Rig::limited("client_unread = \"300ms\"").await;
    rig.standin.always("GET", "/fhir/Binary/1", Answer::binary(64 << 20).chunked());
    let mut stream = TcpStream::connect(rig.gateway.listen()).await.unwrap();
    let ask = "GET /fhir/Binary/1 HTTP/1.1\r\nHost: x\r\nAccept: application/fhir+json\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    assert!(rig.given_up("/fhir/Binary/1").await, "the server's connection is held");
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the client's connection is held");
    assert!(rest.len() < 64 << 20);
    rig.assert_serving().await;
}

/// The same for one stream of an HTTP/2 connection, on which others go on.
#[tokio::test]
async fn a_stream_that_is_not_read_is_taken_back() {
    let rig = Rig::limited("client_unread = \"300ms\"\nclient_head = \"300ms\"").await;
    rig.standin.always("GET", "/fhir/Binary/1", Answer::binary(8 << 20).chunked());
    rig.standin.always("GET", "/fhir/Patient/1", Answer::json(200, WELL));
    let stream = TcpStream::connect(rig.gateway.listen()).await.unwrap();
    let mut builder = h2::client::Builder::new();
    let (client, connection) = builder
        .initial_window_size(1 << 10)
        .initial_connection_window_size(1 << 20)
        .handshake::<_, bytes::Bytes>(stream)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let ask = |path: &str| {
        let request = http::Request::get(format!("http://{}{path}", rig.gateway.listen()));
        request.header("accept", "application/fhir+json").body(()).unwrap()
    };
    let (unread, _) = client.send_request(ask("/fhir/Binary/1"), true).unwrap();
    let mut unread = unread.await.unwrap().into_body();
    assert!(rig.given_up("/fhir/Binary/1").await, "the server's connection is held");
    let (other, _) = client.send_request(ask("/fhir/Patient/1"), true).unwrap();
    let mut other = other.await.unwrap().into_body();
    assert_eq!(other.data().await.unwrap().unwrap(), WELL);
    let broken = async {
        while let Some(data) = unread.data().await {
            unread.flow_control().release_capacity(data?.len())?;
        }
        Ok::<_, h2::Error>(())
    };
    assert!(broken.await.is_err(), "the answer seems to be whole");
    drop((client, unread, other));
    connection.await.unwrap().unwrap();
}

/// An HTTP/2 connection without requests ends with a goodbye.
#[tokio::test]
async fn a_resting_connection_is_told_before_it_ends() {
    let rig = Rig::limited("client_idle = \"500ms\"").await;
    rig.standin.always("GET", "/fhir/Patient/1", Answer::json(200, WELL));
    let stream = TcpStream::connect(rig.gateway.listen()).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let request = http::Request::get(format!("http://{}/fhir/Patient/1", rig.gateway.listen()));
    let (answer, _) = client.send_request(request.body(()).unwrap(), true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    let ended = tokio::time::timeout(PATIENCE, connection).await.expect("it never ends").unwrap();
    assert!(ended.is_ok(), "{ended:?}");
}

#[tokio::test]
async fn a_client_that_stops_in_a_form_is_let_go() {
    let rig = Rig::limited("client_head = \"300ms\"\nanswer_head = \"300ms\"\nbody_idle = \"300ms\"").await;
    let form = head("POST", "/fhir/Patient/_search", "application/x-www-form-urlencoded");
    let answer = answer_to(&rig, &(form + "name=")).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(rig.arrived().is_empty());
}

//! The stand-in misbehaves exactly as it is told, and tells exactly what it was sent.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail like the test")]

use std::io::ErrorKind;
use std::time::Duration;

use fireguard_test_support::standin::{Answer, Gate, StandIn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const GET: &str = "GET /fhir/Patient/1?_format=json HTTP/1.1\r\nHost: x\r\nX-Case: Kept\r\n\r\n";
const BODY: &str = r#"{"resourceType":"Patient","id":"1"}"#;

#[tokio::test]
async fn each_answer_is_written_as_scripted() {
    let head = "HTTP/1.1 200 Scripted\r\nContent-Type: application/fhir+json;charset=UTF-8\r\n";
    let json = || Answer::json(200, BODY).closing();
    let length = format!("{head}Content-Length: 35\r\n\r\n");
    let cases = [
        (json(), format!("{length}{BODY}")),
        (json().cut(3), format!("{length}{}", &BODY[..3])),
        (
            json().chunked().closing(),
            format!("{head}Transfer-Encoding: chunked\r\n\r\n23\r\n{BODY}\r\n0\r\n\r\n"),
        ),
        (json().chunked().cut(3), format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\n{{\"r\r\n")),
        (json().until_close(), format!("{head}Connection: close\r\n\r\n{BODY}")),
        (
            Answer::status(200).chunked().body("abcdef").drip(4, Duration::from_millis(1)).closing(),
            "HTTP/1.1 200 Scripted\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n2\r\nef\r\n0\r\n\r\n"
                .into(),
        ),
        (Answer::status(304).closing(), "HTTP/1.1 304 Scripted\r\n\r\n".into()),
        (
            Answer::html(502, "<h1>Bad</h1>").header("Retry-After", "7").closing(),
            "HTTP/1.1 502 Scripted\r\nContent-Type: text/html;charset=utf-8\r\nRetry-After: 7\r\n\
             Content-Length: 12\r\n\r\n<h1>Bad</h1>"
                .into(),
        ),
        (Answer::raw("HTTP/1.1 banana\r\n\r\n").closing(), "HTTP/1.1 banana\r\n\r\n".into()),
        (Answer::close(), String::new()),
    ];
    let standin = StandIn::start().await.unwrap();
    for (answer, expected) in cases {
        standin.next("GET", "/fhir/Patient/1", [answer.clone()]);
        let (received, end) = exchange(&standin, GET).await;
        assert_eq!((received, end), (expected, None), "{answer:?}");
    }
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let standin = StandIn::start().await.unwrap();
    for answer in [Answer::reset(), Answer::json(200, BODY).cut_by_reset(5)] {
        standin.next("GET", "/fhir/Patient/1", [answer]);
        let (_, end) = exchange(&standin, GET).await;
        assert_eq!(end, Some(ErrorKind::ConnectionReset));
    }
}

#[tokio::test]
async fn queued_answers_come_first_and_the_latest_rule_wins() {
    let standin = StandIn::start().await.unwrap();
    standin.always("*", "/fhir/*", Answer::status(201).closing());
    standin.always("GET", "/fhir/Patient/1", Answer::status(202).closing());
    standin.next("GET", "/fhir/*", [Answer::status(503).closing(), Answer::status(429).closing()]);
    for status in ["503", "429", "202", "202"] {
        assert_eq!(exchange(&standin, GET).await.0.split(' ').nth(1), Some(status));
    }
    let post = "POST /fhir HTTP/1.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    standin.always("POST", "/fhir", Answer::outcome(400, "invalid").closing());
    assert!(exchange(&standin, post).await.0.contains(r#""code":"invalid""#));
    assert_eq!(standin.requests_to("GET", "/fhir/*").len(), 4);
    assert_eq!(standin.requests_to("*", "/fhir").len(), 1);
}

#[tokio::test]
async fn requests_are_remembered_as_sent() {
    let standin = StandIn::start().await.unwrap();
    let mut stream = TcpStream::connect(standin.address()).await.unwrap();
    stream.write_all(GET.as_bytes()).await.unwrap();
    let chunked = "POST /fhir HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n";
    stream.write_all(chunked.as_bytes()).await.unwrap();
    assert!(standin.received(|all| all.len() == 2 && all.iter().all(|r| r.complete && r.answered)).await);
    stream.write_all(b"PUT /fhir/Patient/1 HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf").await.unwrap();
    drop(stream);
    assert!(standin.received(|all| all.len() == 3 && all[2].abandoned).await);

    let all = standin.requests();
    assert_eq!((all[0].path(), all[0].target.as_str()), ("/fhir/Patient/1", "/fhir/Patient/1?_format=json"));
    assert_eq!(all[0].headers[1], ("X-Case".to_owned(), "Kept".to_owned()));
    assert_eq!(all[0].header("x-case"), Some("Kept"));
    assert_eq!(all[1].body, b"abcde");
    assert_eq!((all[2].body.as_slice(), all[2].complete, all[2].answered), (&b"half"[..], false, false));
    assert_eq!((standin.connections(), all[2].connection), (1, 1));
}

#[tokio::test]
async fn a_gate_holds_answers_and_counts_them() {
    let standin = StandIn::start().await.unwrap();
    let gate = Gate::new();
    standin.always("GET", "/fhir/*", Answer::json(200, BODY).after(&gate).closing());
    let one = exchange(&standin, GET);
    let two = exchange(&standin, GET);
    let open = async {
        assert!(standin.received(|all| all.len() == 2).await);
        assert!(standin.requests().iter().all(|request| !request.answered));
        gate.open();
    };
    let (one, two, ()) = tokio::join!(one, two, open);
    assert!(one.0.ends_with(BODY) && two.0.ends_with(BODY));
    assert_eq!(standin.most_in_flight(), 2);
}

#[tokio::test]
async fn who_leaves_early_is_noticed() {
    let standin = StandIn::start().await.unwrap();
    standin.always("GET", "/fhir/*", Answer::silence());
    let mut stream = TcpStream::connect(standin.address()).await.unwrap();
    stream.write_all(GET.as_bytes()).await.unwrap();
    assert!(standin.received(|all| all.len() == 1 && all[0].complete).await);
    drop(stream);
    assert!(standin.received(|all| all[0].abandoned && !all[0].answered).await);
}

#[tokio::test]
async fn an_early_answer_does_not_wait_for_the_body() {
    let standin = StandIn::start().await.unwrap();
    standin.always("POST", "/fhir", Answer::outcome(413, "too-long").early());
    let post = "POST /fhir HTTP/1.1\r\nContent-Length: 1000000\r\n\r\nonly the beginning";
    let (received, end) = exchange(&standin, post).await;
    assert!(received.starts_with("HTTP/1.1 413") && end.is_none());
    assert!(!standin.requests()[0].complete);
}

#[tokio::test]
async fn expectations_are_answered() {
    let standin = StandIn::start().await.unwrap();
    standin.always("POST", "/fhir", Answer::status(201).closing());
    let post = "POST /fhir HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}";
    let (received, _) = exchange(&standin, post).await;
    assert!(received.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201"), "{received}");
}

#[tokio::test]
async fn a_large_body_is_a_resource() {
    let standin = StandIn::start().await.unwrap();
    standin.always("GET", "/fhir/*", Answer::binary(1_000_000).closing());
    let (received, _) = exchange(&standin, GET).await;
    let body = received.split_once("\r\n\r\n").unwrap().1;
    assert!(body.len() > 1_000_000);
    let resource: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(resource["resourceType"], "Binary");
}

#[tokio::test]
async fn the_port_is_free_after_a_stop() {
    let standin = StandIn::start().await.unwrap();
    let address = standin.address();
    let metadata = "GET /fhir/metadata HTTP/1.1\r\n\r\n";
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(metadata.as_bytes()).await.unwrap();
    assert!(standin.received(|all| all.len() == 1 && all[0].answered).await);
    standin.stop().await;
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    assert!(String::from_utf8(rest).unwrap().contains(r#""fhirVersion":"4.0.1""#));
    assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

/// Sends on a connection of its own and reads until the end; how it ended unless well.
async fn exchange(standin: &StandIn, request: &str) -> (String, Option<ErrorKind>) {
    let mut stream = TcpStream::connect(standin.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    let end = stream.read_to_end(&mut received).await;
    (String::from_utf8(received).unwrap(), end.err().map(|error| error.kind()))
}

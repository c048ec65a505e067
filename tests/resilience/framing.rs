//! Where a request ends and whom it is for, told in two ways: it is refused, its connection closed, and nothing of it
//! or of what follows reaches the server.

use std::time::Duration;

use fireguard_test_support::standin::Answer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rig::{Rig, WELL};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// What hides behind a request whose end is not clear.
const HIDDEN: &str = "GET /fhir/Patient/hidden HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// What comes back until the connection ends; it must end.
async fn answers_to(rig: &Rig, sent: &str) -> String {
    let mut stream = TcpStream::connect(rig.gateway.listen()).await.unwrap();
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut received)).await;
    assert!(read.is_ok(), "the connection is kept after {sent:?}: {}", String::from_utf8_lossy(&received));
    String::from_utf8_lossy(&received).into_owned()
}

fn statuses(answers: &str) -> Vec<u16> {
    let lines = answers.split("HTTP/1.").skip(1);
    lines.map(|line| line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)).collect()
}

async fn rig() -> Rig {
    let rig = Rig::start().await;
    rig.standin.always("*", "/fhir/*", Answer::json(200, WELL));
    rig
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_refused_and_nothing_after_it_is_read() {
    let rig = rig().await;
    let post = |headers: &str, body: &str| {
        format!(
            "POST /fhir/Patient HTTP/1.1\r\nHost: a\r\nContent-Type: application/fhir+json\r\n{headers}\r\n{body}{HIDDEN}"
        )
    };
    let get = |line: &str, headers: &str| format!("{line}\r\n{headers}\r\n{HIDDEN}");
    let plain = "GET /fhir/Patient/1 HTTP/1.1";
    for (case, sent) in [
        ("lengths that differ", post("Content-Length: 2\r\nContent-Length: 3\r\n", "{}")),
        ("a list of lengths", post("Content-Length: 2, 2\r\n", "{}")),
        ("a signed length", post("Content-Length: +2\r\n", "{}")),
        ("a negative length", post("Content-Length: -2\r\n", "{}")),
        ("a hexadecimal length", post("Content-Length: 0x2\r\n", "{}")),
        ("an empty length", post("Content-Length:\r\n", "{}")),
        ("a length no number holds", post("Content-Length: 99999999999999999999\r\n", "{}")),
        ("another coding", post("Transfer-Encoding: gzip\r\n", "{}")),
        ("identity", post("Transfer-Encoding: identity\r\n", "{}")),
        ("identity, chunked", post("Transfer-Encoding: identity, chunked\r\n", "2\r\n{}\r\n0\r\n\r\n")),
        ("gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n", "2\r\n{}\r\n0\r\n\r\n")),
        ("chunked twice", post("Transfer-Encoding: chunked, chunked\r\n", "2\r\n{}\r\n0\r\n\r\n")),
        (
            "chunked in two headers",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"),
        ),
        ("chunked not last", post("Transfer-Encoding: chunked, identity\r\n", "2\r\n{}\r\n0\r\n\r\n")),
        ("a quoted coding", post("Transfer-Encoding: \"chunked\"\r\n", "2\r\n{}\r\n0\r\n\r\n")),
        ("a coding that only looks so", post("Transfer-Encoding: xchunked\r\n", "2\r\n{}\r\n0\r\n\r\n")),
        ("chunked in HTTP/1.0", "POST /fhir/Patient HTTP/1.0\r\nHost: a\r\nContent-Type: application/fhir+json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n".to_owned() + HIDDEN),
        ("a space before the colon", post("Content-Length : 2\r\n", "{}")),
        ("a space before the name", post(" Content-Length: 2\r\n", "{}")),
        ("a folded line", get(plain, "Host: a\r\nX-A: b\r\n c\r\n")),
        ("a bare CR in a value", get(plain, "Host: a\r\nX-A: b\rX-C: d\r\n")),
        ("a NUL in a value", get(plain, "Host: a\r\nX-A: b\0c\r\n")),
        ("no Host", get(plain, "X-A: b\r\n")),
        ("two Hosts", get(plain, "Host: a\r\nHost: b\r\n")),
        ("the same Host twice", get(plain, "Host: a\r\nHost: a\r\n")),
        ("another host in the target", get("GET http://b/fhir/Patient/1 HTTP/1.1", "Host: a\r\n")),
        ("another port in the target", get("GET http://a:81/fhir/Patient/1 HTTP/1.1", "Host: a\r\n")),
        ("another scheme", get("GET ftp://a/fhir/Patient/1 HTTP/1.1", "Host: a\r\n")),
        ("a tunnel", get("CONNECT a:443 HTTP/1.1", "Host: a:443\r\n")),
        ("another version", get("GET /fhir/Patient/1 HTTP/1.2", "Host: a\r\n")),
        ("no version", get("GET /fhir/Patient/1", "")),
        ("two spaces", get("GET  /fhir/Patient/1 HTTP/1.1", "Host: a\r\n")),
        ("a tab", get("GET\t/fhir/Patient/1 HTTP/1.1", "Host: a\r\n")),
        ("a relative target", get("GET fhir/Patient/1 HTTP/1.1", "Host: a\r\n")),
    ] {
        let answers = answers_to(&rig, &sent).await;
        assert_eq!(statuses(&answers), [400], "{case}: {answers}");
    }
    assert!(rig.arrived().is_empty(), "{:?}", rig.arrived());
    rig.assert_serving().await;
}

/// A length beside chunks, or told twice (RFC 9112 §6.3): HAPI's Tomcat takes the one, and refuses the other.
#[tokio::test]
async fn a_length_is_told_once() {
    let rig = rig().await;
    let chunks = format!("{:x}\r\n{WELL}\r\n0\r\n\r\n", WELL.len());
    let length = WELL.len();
    let post = |headers: &str, body: &str| {
        format!(
            "POST /fhir/Patient HTTP/1.1\r\nHost: a\r\nContent-Type: application/fhir+json\r\n{headers}\r\n{body}"
        )
    };
    let chunked = post("Transfer-Encoding: chunked\r\n", &chunks);
    for (case, headers, body) in [
        ("before", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n".to_owned(), &chunks[..]),
        ("after", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n".to_owned(), &chunks),
        (
            "around",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n".to_owned(),
            &chunks,
        ),
        ("odd letters", "content-LENGTH:5\r\ntransfer-ENCODING:\tchunked\r\n".to_owned(), &chunks),
        ("twice", format!("Content-Length: {length}\r\nContent-Length: {length}\r\n"), WELL),
    ] {
        for before in ["", "GET /fhir/Patient/1 HTTP/1.1\r\nHost: a\r\n\r\n", &chunked] {
            let arrived = rig.arrived().len();
            let answers = answers_to(&rig, &format!("{before}{}{HIDDEN}", post(&headers, body))).await;
            let expected = if before.is_empty() { vec![400] } else { vec![200, 400] };
            assert_eq!(statuses(&answers), expected, "{case} after {before:?}: {answers}");
            assert!(answers.contains("\"invalid\""), "{case}: {answers}");
            assert_eq!(rig.arrived().len() - arrived, expected.len() - 1, "{case} after {before:?}");
        }
    }
    rig.assert_serving().await;
}

#[tokio::test]
async fn odd_requests_that_mean_one_thing_are_answered() {
    let rig = rig().await;
    let host = "Host: a\r\nConnection: close\r\n\r\n";
    for (case, sent, expected) in [
        ("absolute", format!("GET http://a/fhir/Patient/1 HTTP/1.1\r\n{host}"), vec![200]),
        ("absolute, in capitals", format!("GET HTTP://A/fhir/Patient/1 HTTP/1.1\r\n{host}"), vec![200]),
        ("OPTIONS *", format!("OPTIONS * HTTP/1.1\r\n{host}"), vec![404]),
        ("OPTIONS", format!("OPTIONS /fhir/Patient HTTP/1.1\r\n{host}"), vec![405]),
        ("TRACE", format!("TRACE /fhir/Patient/1 HTTP/1.1\r\n{host}"), vec![405]),
        // RFC 9112 §2.2 allows it; what goes to the server is written anew.
        (
            "lines that end in LF",
            "GET /fhir/Patient/1 HTTP/1.1\nHost: a\nConnection: close\n\n".to_owned(),
            vec![200],
        ),
        ("an unknown method", format!("PROPFIND /fhir/Patient HTTP/1.1\r\n{host}"), vec![405]),
        ("empty lines before", format!("\r\n\r\nGET /fhir/Patient/1 HTTP/1.1\r\n{host}"), vec![200]),
        (
            "another protocol",
            "GET /fhir/Patient/1 HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade, close\r\nHost: a\r\n\r\n"
                .to_owned(),
            vec![200],
        ),
        ("HTTP/1.0", "GET /fhir/Patient/1 HTTP/1.0\r\nHost: a\r\n\r\n".to_owned() + HIDDEN, vec![200]),
        (
            "one after the other",
            format!("GET /fhir/Patient/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /fhir/Patient/2 HTTP/1.1\r\n{host}"),
            vec![200, 200],
        ),
    ] {
        let answers = answers_to(&rig, &sent).await;
        let found = statuses(&answers);
        assert_eq!(found, expected, "{case}: {answers}");
    }
    // The connection is kept where the length of the answer is told, and ends with it otherwise.
    let kept = "GET /fhir/Patient/1 HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";
    let answers = answers_to(&rig, &format!("{kept}GET /fhir/Patient/2 HTTP/1.0\r\nHost: a\r\n\r\n")).await;
    let found = statuses(&answers);
    assert!(found == [200] || (found == [200, 200] && answers.contains("content-length: ")), "{answers}");
    assert!(
        rig.arrived().iter().all(|request| request.path() != "/fhir/Patient/hidden"),
        "{:?}",
        rig.arrived()
    );
}

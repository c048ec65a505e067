//! So many at once and no more: connections, those of one client, requests of a route, bytes of its bodies.

use std::net::SocketAddr;
use std::time::Duration;

use fireguard_test_support::standin::{Answer, Gate};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::http::Ask;
use crate::rig::{Change, Rig, WELL};

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);
const GET: &[u8] = b"GET /fhir/Patient/well HTTP/1.1\r\nHost: x\r\n\r\n";

async fn rig(server: &str, limits: &str, route: &str) -> Rig {
    let server = format!("workers = 2\n{server}");
    let change = Change { server, limits: limits.to_owned(), tables: route.to_owned(), ..Change::default() };
    let rig = Rig::with(change).await;
    rig.standin.always("*", "/fhir/*", Answer::json(200, WELL));
    rig
}

/// A connection on which something was asked, and the head and body of the answer. It stays open if it may.
async fn connection(rig: &Rig, from: &str) -> (TcpStream, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let listen: SocketAddr = rig.gateway.listen().parse().unwrap();
    let mut stream = socket.connect(listen).await.unwrap();
    stream.write_all(GET).await.unwrap();
    let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
    while !received.ends_with(b"}") {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap();
        match read {
            Ok(0) | Err(_) => break,
            Ok(read) => received.extend_from_slice(&buffer[..read]),
        }
    }
    (stream, String::from_utf8(received).unwrap())
}

/// An answer for one too many: when to come back, and that the connection ends.
async fn assert_told(rig: &Rig, from: &str) {
    let (mut stream, answer) = connection(rig, from).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    let head = answer.to_ascii_lowercase();
    assert!(head.contains("\"throttled\"") && head.contains("retry-after: 1"), "{answer}");
    assert!(head.contains("connection: close") && head.contains("x-request-id: "), "{answer}");
    let ended = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 1])).await.unwrap();
    assert_eq!(ended.unwrap_or(0), 0, "the connection is kept");
}

/// The place of a connection that was closed is free a moment later.
async fn served_in_time(rig: &Rig, from: &str) -> TcpStream {
    let begin = std::time::Instant::now();
    loop {
        let (stream, answer) = connection(rig, from).await;
        if answer.starts_with("HTTP/1.1 200 ") {
            return stream;
        }
        assert!(begin.elapsed() < PATIENCE, "the place is not free again: {answer}");
    }
}

#[tokio::test]
async fn connections_over_the_limit_are_told_so() {
    let rig = rig("", "connections = 3", "").await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let (stream, answer) = connection(&rig, "127.0.0.1").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        open.push(stream);
    }
    let arrived = rig.arrived().len();
    for _ in 0..5 {
        assert_told(&rig, "127.0.0.1").await;
    }
    let http2 = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let get = http2.get(format!("http://{}/fhir/Patient/well", rig.gateway.listen()));
    let answer = get.send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (503, reqwest::Version::HTTP_2));
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(rig.arrived().len(), arrived, "nothing of it reached the server");
    // Those that were there go on.
    open[0].write_all(GET).await.unwrap();
    let mut first = [0; 12];
    open[0].read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    drop(open.pop());
    drop(served_in_time(&rig, "127.0.0.1").await);
    let metrics = rig.metrics().await;
    assert!(metrics.contains("fireguard_connections_refused_total{step=\"full\"} "), "{metrics}");
}

/// Whoever says nothing on a connection too many is let go as soon as one that sends half a head.
#[tokio::test]
async fn silent_connections_over_the_limit_are_let_go() {
    let rig = rig("", "connections = 1\nclient_head = \"300ms\"", "").await;
    let (_first, _) = connection(&rig, "127.0.0.1").await;
    let mut silent = TcpStream::connect(rig.gateway.listen()).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, silent.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok(), "it is held");
}

#[tokio::test]
async fn one_client_has_so_many_connections() {
    let rig = rig("", "connections_per_client = 2", "").await;
    let mut open = Vec::new();
    for client in ["127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.2"] {
        let (stream, answer) = connection(&rig, client).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{client}: {answer}");
        open.push(stream);
    }
    for client in ["127.0.0.1", "127.0.0.2"] {
        assert_told(&rig, client).await;
    }
    drop(open.remove(0));
    drop(served_in_time(&rig, "127.0.0.1").await);
    assert_told(&rig, "127.0.0.2").await;
    assert!(rig.metrics().await.contains("fireguard_connections_refused_total{step=\"client\"} "));
}

/// A balancer is no client: it connects for many.
#[tokio::test]
async fn a_trusted_peer_has_as_many_as_there_are() {
    let rig = rig("trusted_peers = [\"127.0.0.1/32\"]", "connections_per_client = 1", "").await;
    let mut open = Vec::new();
    for _ in 0..5 {
        let (stream, answer) = connection(&rig, "127.0.0.1").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        open.push(stream);
    }
    let (_one, _) = connection(&rig, "127.0.0.2").await;
    assert_told(&rig, "127.0.0.2").await;
}

/// A route's requests have so many places; a write keeps its own until the server has answered, though its client
/// has left.
#[tokio::test]
async fn a_route_has_so_many_requests_at_once() {
    let other = "[routes.other]\npath = \"/other\"\nupstream = \"hapi\"\nauthentication = \"none\"\n";
    let rig = rig("", "", &format!("requests_at_once = 2\n{other}")).await;
    let gate = Gate::new();
    rig.standin.always("*", "/fhir/Patient/slow", Answer::json(200, WELL).after(&gate));
    let address = rig.gateway.listen().to_owned();
    let read = tokio::spawn({
        let address = address.clone();
        async move { Ask::get("/fhir/Patient/slow").send(&address).await }
    });
    let write = format!(
        "PUT /fhir/Patient/slow HTTP/1.1\r\nHost: x\r\nContent-Type: application/fhir+json\r\nContent-Length: {}\r\n\r\n{WELL}",
        WELL.len()
    );
    let mut leaving = TcpStream::connect(&address).await.unwrap();
    leaving.write_all(write.as_bytes()).await.unwrap();
    let both = |r: &[fireguard_test_support::standin::Received]| {
        r.iter().filter(|r| r.path() == "/fhir/Patient/slow" && r.complete).count() == 2
    };
    assert!(rig.standin.received(both).await);
    drop(leaving);
    for ask in
        [Ask::get("/fhir/Patient/well"), Ask::json("POST", "/fhir/Patient", WELL), Ask::get("/fhir/metadata")]
    {
        let reply = rig.send(ask).await;
        reply.assert_outcome(503, "throttled", "the third");
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
    assert_eq!(rig.get("/other/Patient/well").await.status, 200, "another route");
    gate.open();
    assert_eq!(read.await.unwrap().status, 200);
    let begin = std::time::Instant::now();
    while rig.get("/fhir/Patient/well").await.status != 200 {
        assert!(begin.elapsed() < PATIENCE, "the places are not free again");
    }
    assert!(rig.metrics().await.contains("fireguard_route_full_total{route=\"fhir\"} "));
}

#[tokio::test]
async fn a_route_takes_smaller_bodies_than_others() {
    let other = "[routes.other]\npath = \"/other\"\nupstream = \"hapi\"\nauthentication = \"none\"\nhapi = { check_versions = false }\n";
    let rig = rig("", "request_body = \"1MiB\"", &format!("request_body = \"10KiB\"\n{other}")).await;
    let body = |bytes: usize| format!(r#"{{"resourceType":"Binary","data":"{}"}}"#, "A".repeat(bytes));
    for (route, bytes, status) in [
        ("/fhir", 9_000, 200),
        ("/fhir", 11_000, 413),
        ("/other", 11_000, 200),
        ("/other", 1_000_000, 200),
        ("/other", 1_100_000, 413),
    ] {
        let ask = Ask::json("POST", &format!("{route}/Binary"), body(bytes));
        for ask in [ask.clone(), ask.chunked()] {
            let reply = rig.send(ask).await;
            assert_eq!(reply.status, status, "{route} {bytes}: {}", reply.text());
        }
    }
    let form = |bytes: usize| Ask::form("/fhir/Patient/_search", &format!("name={}", "x".repeat(bytes)));
    assert_eq!(rig.send(form(7_000)).await.status, 200);
    rig.send(form(11_000)).await.assert_outcome(413, "too-long", "a form");
}

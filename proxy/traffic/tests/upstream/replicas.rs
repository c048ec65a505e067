//! Several replicas of one server: who is asked, and who no longer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fireguard_traffic::body::{self, Outgoing};
use fireguard_traffic::upstream::replicas::{
    Endpoint, HealthCheck, ReplicaSettings, Resolve, Resolving, Rules, SystemResolver,
};
use fireguard_traffic::upstream::{Balanced, Credentials, Replicas, SendError, Tls, Upstream};
use http::HeaderValue;
use http_body_util::BodyExt;
use tokio::net::TcpSocket;
use tokio::time::{sleep, timeout};

use super::server::{Server, Step, answers};
use super::tls::PKI;
use super::{ask, request, send};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nContent-Length: 2\r\n\r\n{}";
const FAULT: &str = "HTTP/1.1 503 Busy\r\nContent-Type: application/fhir+json\r\nContent-Length: 2\r\n\r\n{}";
const CHECK: &str = "/fhir/Patient/check";

/// A server that gives this answer again and again.
async fn always(answer: &str) -> Server {
    Server::start([answers([answer; 500])]).await
}

fn endpoint(address: SocketAddr) -> Endpoint {
    let authority = HeaderValue::from_str(&address.to_string()).unwrap();
    Endpoint { host: address.ip().to_string(), port: address.port(), authority }
}

fn settings(endpoints: impl IntoIterator<Item = Endpoint>) -> ReplicaSettings {
    ReplicaSettings {
        name: "hapi".into(),
        endpoints: endpoints.into_iter().collect(),
        tls: None,
        connect_timeout: Duration::from_secs(5),
        body_idle_timeout: Duration::from_secs(20),
        keep_idle: Duration::from_secs(20),
        max_idle: 8,
        resolve_interval: Duration::from_secs(3600),
        health: HealthCheck {
            target: CHECK.parse().unwrap(),
            interval: Duration::from_millis(10),
            timeout: Duration::from_secs(5),
            alone: false,
        },
        rules: Rules { eject_after: 3, unhealthy_after: 2, healthy_after: 2 },
        credentials: None,
    }
}

fn to<const N: usize>(servers: [&Server; N]) -> (Arc<Replicas>, Balanced) {
    let settings = settings(servers.map(|server| endpoint(server.address)));
    let replicas = Replicas::new(settings, Arc::new(SystemResolver), None);
    let balanced = Balanced::new(&replicas, None);
    (replicas, balanced)
}

/// An address where nobody listens, as long as the socket lives.
fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// What was asked besides health checks.
fn asked(server: &Server) -> usize {
    let requests = server.seen().requests;
    requests.iter().filter(|request| !request.windows(CHECK.len()).any(|at| at == CHECK.as_bytes())).count()
}

fn words(replicas: &Replicas) -> Vec<&'static str> {
    replicas.seen().iter().map(|seen| seen.standing.as_str()).collect()
}

async fn until(what: &str, there: impl Fn() -> bool) {
    let wait = async {
        while !there() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(timeout(Duration::from_secs(20), wait).await.is_ok(), "{what}");
}

#[tokio::test]
async fn where_nobody_listens_another_is_asked_at_once() {
    let server = always(OK).await;
    for n in 0..20 {
        let (_socket, address) = nobody();
        let both = settings([endpoint(address), endpoint(server.address)]);
        let replicas = Replicas::new(both, Arc::new(SystemResolver), None);
        let balanced = Balanced::new(&replicas, None);
        let body = match n % 2 {
            0 => Outgoing::Whole(Bytes::from_static(b"a whole body")),
            _ => Outgoing::Stream(body::full("a whole body")),
        };
        let answer = balanced.send(&mut request("POST"), body).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(server.seen().requests[n].ends_with(b"a whole body"));
    }
    let (_socket, address) = nobody();
    let (_other, other) = nobody();
    let settings = settings([endpoint(address), endpoint(other)]);
    let balanced = Balanced::new(&Replicas::new(settings, Arc::new(SystemResolver), None), None);
    let answer = send(&balanced, "GET", "").await;
    assert!(matches!(answer, Err(Ok(SendError::Connect(_)))), "{answer:?}");
}

#[tokio::test]
async fn one_that_cannot_be_connected_to_is_not_tried_by_every_request() {
    let server = always(OK).await;
    let (_socket, address) = nobody();
    let both = settings([endpoint(address), endpoint(server.address)]);
    let replicas = Replicas::new(both, Arc::new(SystemResolver), None);
    let balanced = Balanced::new(&replicas, None);
    for _ in 0..200 {
        ask(&balanced, "GET").await.unwrap();
        if words(&replicas) == ["ejected", "serving"] {
            break;
        }
    }
    assert_eq!(words(&replicas), ["ejected", "serving"]);
    assert_eq!(replicas.seen()[0].requests, 0);
}

#[tokio::test]
async fn what_may_have_arrived_is_not_sent_to_another() {
    let breaking = || Server::start([vec![Step::Request]]);
    let (one, other) = (breaking().await, breaking().await);
    let (_, balanced) = to([&one, &other]);
    let answer = send(&balanced, "POST", "{}").await;
    assert!(matches!(answer, Err(Ok(SendError::Broken { reused: false, .. }))), "{answer:?}");
    assert_eq!(asked(&one) + asked(&other), 1);
}

#[tokio::test]
async fn faults_in_a_row_leave_one_out_and_never_both() {
    let (good, bad) = (always(OK).await, always(FAULT).await);
    let (replicas, balanced) = to([&good, &bad]);
    // The good one gets busy, so that the bad one is asked although it has just failed.
    let mut held = Vec::new();
    while words(&replicas) == ["serving", "serving"] && held.len() < 100 {
        held.push(balanced.send(&mut request("GET"), Outgoing::Whole(Bytes::new())).await.unwrap());
    }
    held.clear();
    assert_eq!(words(&replicas), ["serving", "ejected"]);
    let before = asked(&bad);
    for _ in 0..20 {
        assert_eq!(ask(&balanced, "GET").await.unwrap().0, 200);
    }
    assert_eq!(asked(&bad), before);

    let (one, other) = (always(FAULT).await, always(FAULT).await);
    let (replicas, balanced) = to([&one, &other]);
    for _ in 0..50 {
        assert_eq!(ask(&balanced, "GET").await.unwrap().0, 503);
    }
    let left_out = words(&replicas).iter().filter(|word| **word == "ejected").count();
    assert_eq!(left_out, 1);
}

#[tokio::test]
async fn one_that_holds_requests_gets_no_more_than_others_do() {
    let stuck = Server::start([vec![Step::Request, Step::Hold]]).await;
    let well = always(OK).await;
    let (replicas, balanced) = to([&stuck, &well]);
    let mut waiting = Vec::new();
    for _ in 0..40 {
        let balanced = balanced.clone();
        let asking =
            tokio::spawn(async move { ask(&balanced, "GET").await.map(|(status, ..)| status.as_u16()) });
        until("it has arrived", || replicas.seen().iter().map(|seen| seen.in_flight).sum::<usize>() <= 1)
            .await;
        waiting.push(asking);
        sleep(Duration::from_millis(1)).await;
    }
    until("the others are answered", || asked(&well) >= 39).await;
    assert_eq!(replicas.seen()[0].in_flight, 1, "the first it got is the last");
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn each_is_called_by_its_name_and_told_who_asks() {
    struct Counting(AtomicU32);
    impl Credentials for Counting {
        fn authorization(&self) -> Option<HeaderValue> {
            let count = self.0.fetch_add(1, Ordering::Relaxed);
            HeaderValue::from_str(&format!("Bearer token-{count}")).ok()
        }
    }
    let (one, other) = (always(OK).await, always(OK).await);
    let mut settings = settings([endpoint(one.address), endpoint(other.address)]);
    settings.endpoints[1].authority = HeaderValue::from_static("hapi-2.example.org");
    settings.credentials = Some(Arc::new(Counting(AtomicU32::new(0))));
    let balanced = Balanced::new(&Replicas::new(settings, Arc::new(SystemResolver), None), None);
    let held = balanced.send(&mut request("GET"), Outgoing::Whole(Bytes::new())).await.unwrap();
    ask(&balanced, "GET").await.unwrap();
    drop(held);
    let text = |server: &Server| String::from_utf8(server.seen().requests[0].clone()).unwrap();
    assert!(text(&one).contains(&format!("host: {}\r\n", one.address)));
    assert!(text(&other).contains("host: hapi-2.example.org\r\n"));
    let mut tokens =
        [text(&one), text(&other)].map(|text| text.contains("authorization: Bearer token-0\r\n"));
    tokens.sort_unstable();
    assert_eq!(tokens, [false, true], "each request gets a value of its own");
}

#[tokio::test]
async fn checks_find_out_who_is_ill_and_who_is_well_again() {
    let html = "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nno";
    let gone = "HTTP/1.1 404 Not Found\r\nContent-Type: application/fhir+json\r\nContent-Length: 2\r\n\r\n{}";
    for ill in [FAULT, html, "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n"] {
        let well = always(gone).await;
        let getting_well = answers([ill, ill, ill, gone, gone, gone, gone, gone, gone, gone, gone, gone]);
        let other = Server::start([getting_well, answers([gone; 500])]).await;
        let (replicas, balanced) = to([&well, &other]);
        let tending = tokio::spawn(replicas.tend());
        until("it is found to be ill", || words(&replicas) == ["serving", "unhealthy"]).await;
        for _ in 0..5 {
            ask(&balanced, "GET").await.unwrap();
        }
        assert_eq!((asked(&well), asked(&other)), (5, 0), "{ill}");
        until("it is found to be well", || words(&replicas) == ["serving", "warming"]).await;
        tending.abort();
    }
}

#[tokio::test]
async fn a_replica_alone_is_not_checked_and_asked_all_the_same() {
    let server = always(FAULT).await;
    let (replicas, balanced) = to([&server]);
    let tending = tokio::spawn(replicas.tend());
    for _ in 0..20 {
        assert_eq!(ask(&balanced, "GET").await.unwrap().0, 503);
    }
    assert_eq!((words(&replicas), server.seen().requests.len()), (vec!["serving"], 20));
    drop(balanced);
    drop(replicas);
    // It ends with the last who holds them, at its next turn.
    assert!(!tending.is_finished());
    tending.abort();
}

#[tokio::test]
async fn connections_are_made_before_requests() {
    let (one, other) = (always(OK).await, always(OK).await);
    let (_, balanced) = to([&one, &other]);
    balanced.prepare().await;
    until("they are made", || one.seen().connections == 2 && other.seen().connections == 2).await;
    balanced.prepare().await;
    assert_eq!((asked(&one), asked(&other)), (0, 0));
    for _ in 0..20 {
        ask(&balanced, "GET").await.unwrap();
    }
    assert_eq!(one.seen().connections + other.seen().connections, 4);
}

/// What names lead to, as a test wishes.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<Vec<SocketAddr>>>);

impl Names {
    fn are(&self, addresses: &[SocketAddr]) {
        *self.0.lock().unwrap() = addresses.to_vec();
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, _: &'a str, _: u16) -> Resolving<'a> {
        let found = self.0.lock().unwrap().clone();
        Box::pin(async move {
            if found.is_empty() { Err(std::io::ErrorKind::NotFound.into()) } else { Ok(found) }
        })
    }
}

fn named(tls: Option<Tls>) -> ReplicaSettings {
    let name = HeaderValue::from_static("hapi.example.org");
    let endpoint = Endpoint { host: "hapi.example.org".into(), port: 443, authority: name };
    ReplicaSettings { tls, resolve_interval: Duration::from_millis(10), ..settings([endpoint]) }
}

#[tokio::test]
async fn requests_follow_a_name_to_where_it_leads_now() {
    let servers = [always(OK).await, always(OK).await, always(OK).await];
    let [one, two, three] = [0, 1, 2].map(|n| servers[n].address);
    let names = Names::default();
    names.are(&[one]);
    let replicas = Replicas::new(named(None), Arc::new(names.clone()), None);
    let balanced = Balanced::new(&replicas, None);
    let tending = tokio::spawn(replicas.tend());
    let found = || replicas.all().iter().flat_map(|replica| replica.addresses().to_vec()).collect::<Vec<_>>();
    let is_in = || words(&replicas).iter().filter(|word| **word != "unhealthy").count();
    let sorted = |mut addresses: Vec<SocketAddr>| {
        addresses.sort_unstable();
        addresses
    };
    until("the name leads somewhere", || found() == [one]).await;
    ask(&balanced, "GET").await.unwrap();
    assert_eq!(asked(&servers[0]), 1);

    // It moves: what rests is closed.
    names.are(&[two]);
    until("the name leads elsewhere", || found() == [two]).await;
    ask(&balanced, "GET").await.unwrap();
    assert_eq!((asked(&servers[0]), asked(&servers[1])), (1, 1));
    servers[0].finished(1).await;

    // It leads to several: each is a replica, the new one after its first check.
    names.are(&[three, two]);
    until("both are in", || found() == sorted(vec![two, three]) && is_in() == 2).await;

    // A name that leads nowhere for a moment leads where it did.
    names.are(&[]);
    sleep(Duration::from_millis(50)).await;
    assert_eq!(found(), sorted(vec![two, three]));
    names.are(&[three]);
    until("one is left", || found() == [three]).await;
    let before = asked(&servers[2]);
    ask(&balanced, "GET").await.unwrap();
    assert_eq!(asked(&servers[2]), before + 1);
    tending.abort();
}

#[tokio::test]
async fn a_certificate_names_the_host_not_the_address() {
    for (name, good) in [("hapi.example.org", true), ("127.0.0.1", false)] {
        let server = Server::with([answers([OK; 9])], Some(PKI.acceptor_for(name))).await;
        let names = Names::default();
        names.are(&[server.address]);
        let replicas = Replicas::new(named(Some(PKI.believing())), Arc::new(names), None);
        let balanced = Balanced::new(&replicas, None);
        let tending = tokio::spawn(replicas.tend());
        until("the name leads somewhere", || !replicas.all()[0].addresses().is_empty()).await;
        let answer = ask(&balanced, "GET").await;
        assert_eq!(answer.is_ok(), good, "{answer:?}");
        tending.abort();
    }
}

#[tokio::test]
async fn what_stays_keeps_its_connections() {
    let (one, other) = (always(OK).await, always(OK).await);
    let (replicas, balanced) = to([&one]);
    ask(&balanced, "GET").await.unwrap();
    let more = settings([endpoint(other.address), endpoint(one.address)]);
    let after = Replicas::new(more, Arc::new(SystemResolver), Some(&replicas));
    let balanced = Balanced::new(&after, Some(&balanced));
    assert!(balanced.leads_to(&after) && !balanced.leads_to(&replicas));
    // The other has to be checked first.
    for _ in 0..9 {
        ask(&balanced, "GET").await.unwrap();
    }
    assert_eq!((one.seen().connections, asked(&one), asked(&other)), (1, 10, 0));
}

/// Answers that are being read count.
#[tokio::test]
async fn a_request_is_in_flight_until_its_answer_has_been_read() {
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{}", "x".repeat(100_000));
    let server = always(&long).await;
    let (replicas, balanced) = to([&server]);
    let in_flight = || replicas.seen()[0].in_flight;
    let answer = balanced.send(&mut request("GET"), Outgoing::Whole(Bytes::new())).await.unwrap();
    assert_eq!(in_flight(), 1);
    let mut body = answer.into_body();
    assert!(body.frame().await.is_some());
    assert_eq!(in_flight(), 1);
    while body.frame().await.is_some() {}
    assert_eq!(in_flight(), 0, "though the body is still held");
    let answer = balanced.send(&mut request("GET"), Outgoing::Whole(Bytes::new())).await.unwrap();
    assert_eq!(in_flight(), 1);
    drop(answer);
    assert_eq!((in_flight(), replicas.seen()[0].requests), (0, 2));
    drop(body);
}

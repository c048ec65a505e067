//! Connections to HAPI over many requests, and the end of a Fireguard that still has some.

use std::time::Duration;

use fireguard_test_support::standin::{Answer, Gate, StandIn};
use tokio::net::TcpStream;

use crate::common::World;
use crate::common::raw::{PATIENCE, connect, exchange, status};
use crate::common::resources::new_patient;
use crate::common::world::{client, gateway};

/// HAPI closes after every 100th request, and after every 400: nobody may notice.
#[tokio::test]
async fn hundreds_of_requests_over_one_connection() {
    let world = World::start().await;
    let base = world.base();
    let patient = new_patient("zq-keep-alive", "Kept").to_string();
    for number in 0..150 {
        let get = world.client.get(format!("{base}/Patient/none-{number}")).send().await.unwrap();
        assert_eq!(get.status(), 404, "read {number}");
        get.bytes().await.unwrap();
    }
    // A create cannot be repeated: it must not meet a connection that is being closed.
    for number in 0..130 {
        if number % 40 == 0 {
            let bad = world.client.get(format!("{base}/Patient?nonsense={number}")).send().await.unwrap();
            assert_eq!(bad.status(), 400);
            bad.bytes().await.unwrap();
        }
        let post =
            world.client.post(format!("{base}/Patient")).header("Content-Type", "application/fhir+json");
        let created = post.body(patient.clone()).send().await.unwrap();
        assert_eq!(created.status(), 201, "create {number}");
        created.bytes().await.unwrap();
    }
    let faults: Vec<_> =
        world.gateway.log().lines().filter(|l| l.contains("\"status\":50")).map(str::to_owned).collect();
    assert!(faults.is_empty(), "{faults:?}");
}

#[tokio::test]
async fn a_stop_lets_running_requests_finish() {
    let standin = StandIn::start().await.unwrap();
    let gate = Gate::new();
    let body = r#"{"resourceType":"Patient","id":"slow"}"#;
    standin.always("GET", "/fhir/Patient/slow", Answer::json(200, body).after(&gate));
    let gateway = gateway(CONFIG, &standin.base_url()).await;
    let (listen, url) = (gateway.listen().to_owned(), format!("{}/fhir/Patient/slow", gateway.url()));
    let slow = tokio::spawn(client().get(url).send());
    assert!(standin.received(|all| all.iter().any(|r| r.target.contains("slow") && r.complete)).await);
    gateway.terminate();
    refuses(&listen).await;
    gate.open();
    let answer = tokio::time::timeout(PATIENCE, slow).await.unwrap().unwrap().unwrap();
    assert_eq!((answer.status().as_u16(), answer.text().await.unwrap().as_str()), (200, body));
    let ended = tokio::task::spawn_blocking(move || gateway.stop()).await.unwrap().unwrap();
    assert!(ended.success(), "{ended}");
}

/// A connection that does nothing does not hold a stop up.
#[tokio::test]
async fn a_stop_does_not_wait_for_idle_connections() {
    let standin = StandIn::start().await.unwrap();
    let gateway = gateway(CONFIG, &standin.base_url()).await;
    let _silent = connect(gateway.listen(), None).await;
    let kept = client();
    let answer = kept.get(format!("{}/fhir/Patient/1", gateway.url())).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    answer.bytes().await.unwrap();
    let stopping = tokio::task::spawn_blocking(move || gateway.stop());
    // The drain time is 30 s: ending by it would be too late.
    let ended =
        tokio::time::timeout(Duration::from_secs(20), stopping).await.expect("ends before the drain time");
    assert!(ended.unwrap().unwrap().success());
}

#[tokio::test]
async fn two_requests_in_one_packet_are_answered_in_order() {
    let standin = StandIn::start().await.unwrap();
    for id in ["1", "2"] {
        let body = format!(r#"{{"resourceType":"Patient","id":"{id}"}}"#);
        standin.always("GET", &format!("/fhir/Patient/{id}"), Answer::json(200, body));
    }
    let gateway = gateway(CONFIG, &standin.base_url()).await;
    let mut stream = connect(gateway.listen(), None).await;
    let requests = "GET /fhir/Patient/1 HTTP/1.1\r\nHost: x\r\n\r\nGET /fhir/Patient/2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answers = exchange(&mut stream, requests.as_bytes()).await;
    assert_eq!(status(&answers), 200);
    let (one, two) = (answers.find(r#""id":"1""#), answers.find(r#""id":"2""#));
    assert!(one.is_some() && one < two, "{answers}");
}

/// Waits until nobody listens any more.
async fn refuses(address: &str) {
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("new connections are refused");
}

const CONFIG: &str = r#"
[server]
listen = "127.0.0.1:0"
workers = 1

[admin]
listen = "127.0.0.1:0"

[upstreams.standin]
url = "{upstream}"

[routes.fhir]
path = "/fhir"
upstream = "standin"
authentication = "none"
"#;

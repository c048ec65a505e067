//! One client's limit on one route.

use crate::http::Ask;
use crate::rig::{Change, Rig, WELL};
use fireguard_test_support::standin::Answer;

const TARGET: &str = "/limited/Patient/well";

async fn limited() -> Rig {
    let rig = Rig::with(Change {
        server: "trusted_peers = [\"127.0.0.0/8\"]".to_owned(),
        tables: "[routes.limited]\npath = \"/limited\"\nupstream = \"hapi\"\n\
                 rate = { per_second = 1, burst = 2 }\n"
            .to_owned(),
        ..Change::default()
    })
    .await;
    rig.standin.always("GET", "/fhir/Patient/well", Answer::json(200, WELL));
    rig
}

fn from(client: &str) -> Ask {
    Ask::get(TARGET).header("X-Forwarded-For", client)
}

/// Asks until it is refused; the machine would have to take a second for each request to never get there.
async fn exhaust(rig: &Rig, client: &str) -> crate::http::Reply {
    for _ in 0..100 {
        let reply = rig.send(from(client)).await;
        if reply.status != 200 {
            return reply;
        }
    }
    panic!("never limited");
}

#[tokio::test]
async fn a_client_over_its_limit_is_told_when_to_come_back() {
    let rig = limited().await;
    let reply = exhaust(&rig, "203.0.113.1").await;
    reply.assert_outcome(429, "throttled", "over the limit");
    let after: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&after), "{after}");
    // Who waits as long as it was told is let in.
    tokio::time::sleep(std::time::Duration::from_secs(after)).await;
    assert_eq!(rig.send(from("203.0.113.1")).await.status, 200);
}

#[tokio::test]
async fn nobody_else_notices() {
    let rig = limited().await;
    exhaust(&rig, "203.0.113.1").await;
    assert_eq!(rig.send(from("203.0.113.2")).await.status, 200, "another client");
    let other = Ask::get("/fhir/Patient/well").header("X-Forwarded-For", "203.0.113.1");
    for _ in 0..10 {
        assert_eq!(rig.send(other.clone()).await.status, 200, "another route");
    }
    exhaust(&rig, "2001:db8:1:1::1").await;
    let neighbour = rig.send(from("2001:db8:1:1::2")).await;
    assert_eq!(neighbour.status, 429, "the same network of one IPv6 client");
    assert_eq!(rig.send(from("2001:db8:1:2::1")).await.status, 200, "another network");
}

/// A client cannot choose who it is: what stands left of the address that the trusted peer saw is hearsay.
#[tokio::test]
async fn an_invented_address_does_not_help() {
    let rig = limited().await;
    exhaust(&rig, "203.0.113.9").await;
    let invented: Vec<u16> = {
        let mut statuses = Vec::new();
        for n in 0..5 {
            statuses.push(rig.send(from(&format!("198.51.100.{n}, 203.0.113.9"))).await.status);
        }
        statuses
    };
    assert!(invented.contains(&429), "{invented:?}");
}

#[tokio::test]
async fn refused_requests_do_not_reach_the_server() {
    let rig = limited().await;
    let mut passed = 0;
    for _ in 0..20 {
        passed += usize::from(rig.send(from("203.0.113.1")).await.status == 200);
    }
    assert_eq!(rig.arrived().len(), passed);
    assert!(rig.metrics().await.contains("fireguard_rate_limited_total{route=\"limited\"}"));
}

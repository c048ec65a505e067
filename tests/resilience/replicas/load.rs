//! A replica goes and comes back while clients write and read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fireguard_test_support::standin::store::{Odds, Store, mark};

use super::relay::Relay;
use super::{HEALTH, gateway, metric, until};
use crate::http::{Ask, Reply};

const CLIENTS: u64 = 12;
const ROUNDS: usize = 3;

/// What clients were told of their writes, by their marks.
#[derive(Default)]
struct Told(Vec<(u64, Reply)>);

#[derive(Default)]
struct Progress {
    requests: AtomicU64,
    over: AtomicBool,
}

async fn client(number: u64, address: String, progress: Arc<Progress>) -> Told {
    let mut told = Told::default();
    for turn in 0.. {
        if progress.over.load(Ordering::Relaxed) {
            break;
        }
        let read = Ask::get("/fhir/Patient/well").send(&address).await;
        assert_eq!((read.status, read.whole), (200, true), "a read can always be sent again: {read:?}");
        let this = number * 1_000_000 + turn;
        let body = format!(r#"{{"resourceType":"Patient","name":[{{"text":"{}"}}]}}"#, mark(this));
        told.0.push((this, Ask::json("POST", "/fhir/Patient", body).send(&address).await));
        progress.requests.fetch_add(2, Ordering::Relaxed);
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_goes_and_comes_back_and_nothing_is_lost_or_done_twice() {
    let store = Store::start(1, Odds { requests: 0, entries: 0, short: 0 }).await.unwrap();
    let target: SocketAddr = store.base_url()["http://".len()..].trim_end_matches("/fhir").parse().unwrap();
    let mut relays = [Relay::to(target, None), Relay::to(target, None)];
    let gateway = gateway(&relays.each_ref().map(Relay::base_url), HEALTH).await;
    let well = r#"{"resourceType":"Patient","id":"well"}"#;
    let stored = Ask::json("PUT", "/fhir/Patient/well", well).send(gateway.listen()).await;
    assert_eq!(stored.status, 201);

    let progress = Arc::new(Progress::default());
    let clients: Vec<_> = (1..=CLIENTS)
        .map(|n| tokio::spawn(client(n, gateway.listen().to_owned(), Arc::clone(&progress))))
        .collect();
    let sent = async |relay: &Relay| {
        metric(&gateway, "fireguard_replica_requests_total", &relay.address().to_string(), "").await
    };
    let more = async |count: u64| {
        let goal = progress.requests.load(Ordering::Relaxed) + count;
        until("requests go on", async || progress.requests.load(Ordering::Relaxed) >= goal).await;
    };
    more(400).await;
    let shares = [sent(&relays[0]).await, sent(&relays[1]).await];
    assert!(
        shares.iter().all(|share| share * 4.0 > shares.iter().sum()),
        "alike, they get alike: {shares:?}"
    );
    for round in 0..ROUNDS {
        let (gone, stays) = (round % 2, 1 - round % 2);
        more(200).await;
        relays[gone].cut().await;
        more(100).await;
        let (before, others) = (sent(&relays[gone]).await, sent(&relays[stays]).await);
        more(200).await;
        assert_eq!(sent(&relays[gone]).await, before, "nobody is there");
        assert!(sent(&relays[stays]).await >= others + 200.0, "the other has it all");
        relays[gone].mend();
        until("it is asked again", async || sent(&relays[gone]).await >= before + 50.0).await;
    }
    progress.over.store(true, Ordering::Relaxed);

    let (mut accepted, mut unknown) = (0, 0);
    for client in clients {
        for (mark, reply) in client.await.unwrap().0 {
            let times = store.carried_out(mark);
            match reply.status {
                201 => {
                    accepted += 1;
                    assert_eq!(times, 1, "{mark}");
                }
                502 => {
                    unknown += 1;
                    assert!(reply.text().contains("may have been carried out") && times <= 1, "{reply:?}");
                }
                _ => panic!("{reply:?}"),
            }
        }
    }
    let most = CLIENTS * ROUNDS as u64;
    assert!(unknown <= most, "only what was under way when it went: {unknown} of {accepted}");
    println!(
        "{accepted} writes accepted, {unknown} of which nobody knows, {ROUNDS} times a replica went and came back"
    );
    gateway.logged("left out").await;
}

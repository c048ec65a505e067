//! Several replicas of one server, and TLS toward them.

mod load;
mod relay;
mod tls;

use std::time::Duration;

use fireguard_test_support::gateway::Gateway;
use fireguard_test_support::standin::{Answer, StandIn};

use crate::http::{Ask, Reply};
use crate::rig::{Change, WELL, before};

/// Checks often enough for a test; what they read is not what clients ask for.
const HEALTH: &str =
    "health = { path = \"metadata\", interval = \"50ms\", unhealthy_after = 2, healthy_after = 1 }";
const TARGET: &str = "/fhir/Patient/1";

/// A Fireguard before these servers.
async fn gateway(servers: &[String], upstream: &str) -> Gateway {
    let others: Vec<_> = servers[1..].iter().map(|url| format!("{url:?}")).collect();
    let upstream = format!("replicas = [{}]\n{upstream}", others.join(", "));
    let server = "workers = 2".to_owned();
    let gateway = before(&servers[0], &Change { server, upstream, ..Change::default() }).await;
    until("ready", async || admin(&gateway, Ask::get("/ready")).await.status == 200).await;
    gateway
}

async fn standins() -> [StandIn; 2] {
    let both = [StandIn::start().await.unwrap(), StandIn::start().await.unwrap()];
    for standin in &both {
        standin.always("GET", "/fhir/Patient/*", Answer::json(200, WELL));
    }
    both
}

/// What it was asked besides its version and its health.
fn asked(standin: &StandIn) -> usize {
    let own = ["/fhir/metadata", "/fhir/Patient/fireguard-health"];
    standin.requests().iter().filter(|request| !own.contains(&request.path())).count()
}

async fn admin(gateway: &Gateway, ask: Ask) -> Reply {
    ask.send(gateway.admin_url().trim_start_matches("http://")).await
}

/// The value of a metric of a replica.
async fn metric(gateway: &Gateway, name: &str, replica: &str, more: &str) -> f64 {
    let metrics = admin(gateway, Ask::get("/metrics")).await.text();
    let wanted = format!("{name}{{upstream=\"hapi\",replica=\"{replica}\"{more}}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&wanted));
    line.unwrap_or_else(|| panic!("no {wanted} in {metrics}")).parse().unwrap()
}

async fn is(gateway: &Gateway, replica: &str, state: &str) -> bool {
    metric(gateway, "fireguard_replica_state", replica, &format!(",state=\"{state}\"")).await == 1.0
}

/// Asks again until it is so.
async fn until(what: &str, mut there: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !there().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waited).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn links_of_every_replica_become_the_client_s() {
    let [one, other] = standins().await;
    let bases = [one.base_url(), other.base_url()];
    let gateway = gateway(&bases, "").await;
    let answer = |own: &str, others: &str| {
        let bundle = serde_json::json!({"resourceType": "Bundle", "type": "searchset", "link": [
            {"relation": "next", "url": format!("{own}?_getpages=4d0c9d3a-5f5f-4f3a-9f6f-0a6a1d1f2b3c&_getpagesoffset=1&_count=1&_bundletype=searchset")}],
            "entry": [{"fullUrl": format!("{others}/Patient/1"), "resource":
                {"resourceType": "Patient", "id": "1", "managingOrganization": {"reference": format!("{own}/Organization/2")}}}]});
        Answer::json(200, bundle.to_string())
    };
    one.always("GET", "/fhir/Patient", answer(&bases[0], &bases[1]));
    other.always("GET", "/fhir/Patient", answer(&bases[1], &bases[0]));
    for standin in [&one, &other] {
        // The server's page, whoever made the link.
        standin.always("GET", "/fhir/", Answer::json(200, r#"{"resourceType":"Bundle","type":"searchset"}"#));
    }
    for _ in 0..20 {
        let reply = Ask::get("/fhir/Patient?name=x").send(gateway.listen()).await;
        let text = reply.text();
        assert_eq!(reply.status, 200);
        for standin in [&one, &other] {
            assert!(!text.contains(&standin.address().to_string()), "{text}");
        }
        let base = format!("{}/fhir", gateway.url());
        assert_eq!(reply.json()["entry"][0]["fullUrl"], format!("{base}/Patient/1"));
        let next = reply.json()["link"][0]["url"].as_str().unwrap().to_owned();
        let page = Ask::get(next.strip_prefix(&gateway.url()).unwrap()).send(gateway.listen()).await;
        assert_eq!(page.status, 200, "{page:?}");
    }
    for standin in [&one, &other] {
        let requests = standin.requests_to("GET", "/fhir/Patient");
        assert!(!requests.is_empty());
        // Each is called by its own name.
        let host = standin.address().to_string();
        assert!(requests.iter().all(|request| request.header("host") == Some(&host)));
    }
}

#[tokio::test]
async fn it_starts_while_the_first_replica_is_away() {
    let [gone, there] = standins().await;
    let bases = [gone.base_url(), there.base_url()];
    gone.stop().await;
    // Ready: one of them has said its version, and accepts connections.
    let gateway = gateway(&bases, "").await;
    for _ in 0..10 {
        let reply = Ask::get(TARGET).send(gateway.listen()).await;
        assert_eq!((reply.status, reply.header("x-fireguard-attempts")), (200, None), "no repeat");
    }
    assert_eq!(asked(&there), 10);
}

#[tokio::test]
async fn a_slow_replica_gets_less() {
    let [slow, fast] = standins().await;
    slow.always("GET", TARGET, Answer::json(200, WELL).delay(Duration::from_millis(100)));
    fast.always("GET", TARGET, Answer::json(200, WELL).delay(Duration::from_millis(5)));
    let gateway = gateway(&[slow.base_url(), fast.base_url()], "").await;
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let address = gateway.listen().to_owned();
            tokio::spawn(async move {
                for _ in 0..50 {
                    assert_eq!(Ask::get(TARGET).send(&address).await.status, 200);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    let (slow, fast) = (asked(&slow), asked(&fast));
    assert_eq!(slow + fast, 200);
    assert!(slow * 2 < fast, "{slow} to the slow one, {fast} to the other");
}

#[tokio::test]
async fn faults_of_one_are_not_the_client_s() {
    let [bad, good] = standins().await;
    let gateway = gateway(&[bad.base_url(), good.base_url()], "").await;
    let busy = Answer::outcome(503, "transient").header("Retry-After", "0");
    bad.always("GET", "/fhir/Patient/*", busy);
    for _ in 0..30 {
        // Sent again by the table of what may be, and to the other: who failed last is asked last.
        assert_eq!(Ask::get(TARGET).send(gateway.listen()).await.status, 200);
    }
    assert!(asked(&bad) < 10, "{}", asked(&bad));
    assert_eq!(asked(&good), 30);
}

/// What is unhealthy is left out, and nobody has to find out by a request.
#[tokio::test]
async fn checks_find_a_replica_that_is_ill() {
    let [ill, well] = standins().await;
    let gateway = gateway(&[ill.base_url(), well.base_url()], HEALTH).await;
    let label = ill.address().to_string();
    ill.always("GET", "/fhir/metadata", Answer::html(503, "<h1>starting</h1>"));
    until("unhealthy", async || is(&gateway, &label, "unhealthy").await).await;
    let before = asked(&ill);
    for _ in 0..20 {
        assert_eq!(Ask::get(TARGET).send(gateway.listen()).await.status, 200);
    }
    assert_eq!((asked(&ill), asked(&well)), (before, 20));
    assert_eq!(
        metric(&gateway, "fireguard_replica_requests_total", &well.address().to_string(), "").await,
        20.0
    );
    ill.always("GET", "/fhir/metadata", Answer::json(200, CAPABILITIES));
    until("well again", async || is(&gateway, &label, "warming").await).await;
    until("asked again", async || {
        Ask::get(TARGET).send(gateway.listen()).await;
        asked(&ill) > before
    })
    .await;
    gateway.logged("a replica is unhealthy and left out").await;
}

const CAPABILITIES: &str = r#"{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1"}"#;

#[tokio::test]
async fn a_reload_adds_a_replica_and_takes_one_away() {
    let [one, other] = standins().await;
    let gateway = gateway(&[one.base_url()], HEALTH).await;
    let file = gateway.folder().join("fireguard.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(Ask::get(TARGET).send(gateway.listen()).await.status, 200);
    let connections = one.connections();
    let with = |list: &str| text.replace("replicas = []", &format!("replicas = [{list}]"));
    std::fs::write(&file, with(&format!("{:?}", other.base_url()))).unwrap();
    let reply = admin(&gateway, Ask::new("POST", "/reload")).await;
    assert!(reply.text().contains("upstreams.hapi.replicas"), "{}", reply.text());
    until("the new one is asked", async || {
        assert_eq!(Ask::get(TARGET).send(gateway.listen()).await.status, 200);
        asked(&other) > 0
    })
    .await;
    assert_eq!(
        metric(&gateway, "fireguard_replica_requests_total", &one.address().to_string(), "").await as usize,
        asked(&one),
        "counted on"
    );
    // Two for each core, before requests, and what asks how it is may connect again; those that were there stay.
    let opened = one.connections() - connections;
    assert!(opened <= 6, "{connections} and {opened} more");

    std::fs::write(&file, &text).unwrap();
    assert_eq!(admin(&gateway, Ask::new("POST", "/reload")).await.status, 200);
    let before = asked(&other);
    for _ in 0..10 {
        assert_eq!(Ask::get(TARGET).send(gateway.listen()).await.status, 200);
    }
    assert_eq!(asked(&other), before);
    assert!(!is(&gateway, &other.address().to_string(), "serving").await);
}

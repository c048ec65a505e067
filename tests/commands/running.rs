//! `fireguard run`: what it says of its servers, and how it stops.

use std::time::Duration;

use fireguard_test_support::gateway::Gateway;
use fireguard_test_support::standin::{Answer, StandIn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(30);
const LISTEN: &str = "[server]\nlisten = \"127.0.0.1:0\"\nworkers = 2\n[admin]\nlisten = \"127.0.0.1:0\"\n";

async fn run(config: String) -> Gateway {
    tokio::task::spawn_blocking(move || Gateway::start(&config).unwrap()).await.unwrap()
}

/// Asks again until the answer is as it should be.
async fn until(what: &str, mut there: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !there().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("{what}"));
}

#[tokio::test]
async fn ready_names_each_server_that_is_not_and_why() {
    let good = StandIn::start().await.unwrap();
    let r4 = r#"{"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}"#;
    good.always("GET", "/fhir/metadata", Answer::json(200, r4));
    let wrong = StandIn::start().await.unwrap();
    wrong.always("GET", "/fhir/metadata", Answer::html(404, "<html></html>"));
    let route = |name: &str, url: &str| {
        format!(
            "[upstreams.{name}]\nurl = \"{url}\"\n[routes.{name}]\npath = \"/{name}\"\nupstream = \"{name}\"\nauthentication = \"none\"\n"
        )
    };
    let gateway = run([
        LISTEN,
        &route("good", &good.base_url()),
        &route("wrong", &wrong.base_url()),
        &route("away", "http://127.0.0.1:9/fhir"),
    ]
    .concat())
    .await;
    let ready = async || {
        let answer = reqwest::get(format!("{}/ready", gateway.admin_url())).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let base = wrong.base_url();
    let expected = format!(
        "upstream away: http://127.0.0.1:9/fhir cannot be reached: Connection refused (os error 111)\n\
         upstream wrong: {base}/metadata answered 404 Not Found (HTML): is {base} the FHIR base?\n"
    );
    until("both reasons", async || ready().await == (503, expected.clone())).await;

    wrong.always("GET", "/fhir/metadata", Answer::json(200, r4));
    until("one reason", async || ready().await.1.lines().count() == 1).await;
    let address = good.address();
    good.stop().await;
    let (status, text) = ready().await;
    let expected = format!("upstream good: {address} does not accept connections: Connection refused");
    assert!(status == 503 && text.contains(&expected), "{text}");
    let lines = gateway.log().matches("does not say its version").count();
    assert_eq!(lines, 2, "one line for each reason: {}", gateway.log());
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let standin = StandIn::start().await.unwrap();
    standin.always("GET", "/fhir/Patient/1", Answer::silence());
    let config = format!(
        "{LISTEN}[limits]\ndrain = \"5m\"\n[upstreams.hapi]\nurl = \"{}\"\n\
         [routes.fhir]\npath = \"/fhir\"\nupstream = \"hapi\"\nauthentication = \"none\"\n",
        standin.base_url()
    );
    let gateway = run(config).await;
    let request = tokio::spawn(reqwest::get(format!("{}/fhir/Patient/1", gateway.url())));
    assert!(standin.received(|requests| requests.iter().any(|r| r.path() == "/fhir/Patient/1")).await);
    gateway.terminate();
    until("the first signal", async || gateway.log().contains("stopping: running requests may end")).await;
    assert!(!request.is_finished());

    gateway.terminate();
    until("the second signal", async || gateway.log().contains("stopped by a second signal")).await;
    let ended = tokio::task::spawn_blocking(move || gateway.stop().unwrap());
    assert_eq!(tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap().code(), Some(0));
    assert!(request.await.unwrap().is_err());
}

#[tokio::test]
async fn connections_that_fail_before_a_request_are_counted_and_some_are_logged() {
    let folder = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let write = |name: &str, text: String| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).display().to_string()
    };
    let certificate = write("server.pem", pair.cert.pem());
    let key = write("server.key", pair.signing_key.serialize_pem());
    let tls = format!("tls = {{ certificate = {certificate:?}, key = \"file:{key}\" }}\n");
    let proxy = "trusted_peers = [\"127.0.0.1\"]\nproxy_protocol = true\n".to_owned();
    for (server, step) in [(tls, "tls"), (proxy, "proxy-header")] {
        let config = format!(
            "{}[upstreams.hapi]\nurl = \"http://127.0.0.1:9/fhir\"\n\
             [routes.fhir]\npath = \"/fhir\"\nupstream = \"hapi\"\nauthentication = \"none\"\n",
            LISTEN.replacen("[server]\n", &format!("[server]\n{server}"), 1)
        );
        let gateway = run(config).await;
        for _ in 0..15 {
            let mut stream = TcpStream::connect(gateway.listen()).await.unwrap();
            stream.write_all(b"GET /fhir/metadata HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
            // However it is refused, it ends.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        let counted = format!("fireguard_connections_refused_total{{step=\"{step}\"}} 15");
        until("all are counted", async || {
            let metrics = reqwest::get(format!("{}/metrics", gateway.admin_url())).await.unwrap();
            metrics.text().await.unwrap().contains(&counted)
        })
        .await;
        let log = gateway.log();
        let lines: Vec<_> = log.lines().filter(|line| line.contains("before its first request")).collect();
        assert_eq!(lines.len(), 10, "{log}");
        for part in [format!("\"step\":\"{step}\""), "\"peer\":\"127.0.0.1\"".to_owned()] {
            assert!(lines.iter().all(|line| line.contains(&part)), "{part}: {log}");
        }
    }
}

//! TLS, HTTP/2, and who the client is behind a balancer.

use std::fs;

use fireguard_test_support::standin::{Answer, StandIn};
use ppp::v2::{Addresses, Builder, Command, IPv4, Protocol, Version};
use reqwest::{Certificate, Client, Version as Http};
use serde_json::Value;

use crate::common::raw::{connect, exchange, status};
use crate::common::resources::{bundle, entry, patient};
use crate::common::world::{World, client, folder, gateway};

#[tokio::test]
async fn tls_with_http_2_and_http_1() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = folder("tls");
    fs::write(folder.join("certificate.pem"), made.cert.pem()).unwrap();
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let tls = format!(
        "workers = 1\n[server.tls]\ncertificate = \"{0}/certificate.pem\"\nkey = \"file:{0}/key.pem\"\n",
        folder.display()
    );
    let world = World::with(&config(&tls, "")).await;
    let base = format!("https://localhost:{}/fhir", world.gateway.listen().rsplit(':').next().unwrap());
    let trusting = || {
        let root = Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
        Client::builder().tls_certs_only([root])
    };
    store(&world.client, world.hapi.base_url(), "zq-tls").await;
    for (client, version) in
        [(trusting().build(), Http::HTTP_2), (trusting().http1_only().build(), Http::HTTP_11)]
    {
        let client = client.unwrap();
        let url = format!("{base}/Patient?identifier=urn:fireguard:mrn%7Czq-tls&_count=1");
        let answer = client.get(url).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        let page: Value = answer.json().await.unwrap();
        // The links are of this scheme, host and port.
        let full_url = page["entry"][0]["fullUrl"].as_str().unwrap();
        assert!(full_url.starts_with(&format!("{base}/Patient/")), "{full_url}");
    }
    // Whoever does not trust the certificate, or speaks no TLS, gets nothing.
    assert!(client().get(&base).send().await.is_err());
    let mut plain = connect(world.gateway.listen(), None).await;
    let answer =
        exchange(&mut plain, b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(!answer.contains("HTTP/1.1 2"), "{answer}");
}

/// Many requests at once over one connection without TLS, writes among them.
#[tokio::test]
async fn http_2_with_prior_knowledge() {
    let world = World::start().await;
    let client = Client::builder().http2_prior_knowledge().build().unwrap();
    store(&client, &world.base(), "zq-h2c").await;
    let requests = (0..40).map(|number| {
        let get = client.get(format!("{}/Patient/zq-h2c-{}", world.base(), number % 3));
        async move {
            let answer = get.send().await.unwrap();
            (answer.status().as_u16(), answer.version(), answer.bytes().await.unwrap().len())
        }
    });
    let mut running = tokio::task::JoinSet::new();
    requests.for_each(|request| drop(running.spawn(request)));
    let answers = running.join_all().await;
    assert_eq!(answers.len(), 40);
    assert!(
        answers
            .iter()
            .all(|(status, version, length)| (*status, *version) == (200, Http::HTTP_2) && *length > 100)
    );
}

/// Requests of one client go over its limit, those of several do not: that shows who is seen.
#[tokio::test]
async fn forwarding_headers_count_from_trusted_peers_only() {
    let standin = standin().await;
    let rate = "rate = { per_second = 1, burst = 1 }";
    let trusting = gateway(&config("trusted_peers = [\"127.0.0.1/32\"]\n", rate), &standin.base_url()).await;
    let others = gateway(&config("trusted_peers = [\"10.0.0.0/8\"]\n", rate), &standin.base_url()).await;
    for (listen, source, addresses, limited) in [
        (trusting.listen(), "127.0.0.1", ["203.0.113.1"; 6], true),
        (trusting.listen(), "127.0.0.1", SIX, false),
        // The client itself wrote the first address; the balancer added the second.
        (trusting.listen(), "127.0.0.1", SPOOFED, true),
        // Not the balancer.
        (trusting.listen(), "127.0.0.2", SIX, true),
        (others.listen(), "127.0.0.1", SIX, true),
    ] {
        let mut statuses = Vec::new();
        for address in addresses {
            let mut stream = connect(listen, Some(source)).await;
            let forwarded = format!("X-Forwarded-For: {address}\r\n");
            statuses.push(status(&exchange(&mut stream, request(&forwarded).as_bytes()).await));
        }
        assert_eq!(statuses.contains(&429), limited, "{source} {addresses:?}: {statuses:?}");
        assert!(statuses.iter().all(|s| [200, 429].contains(s)), "{statuses:?}");
    }
    // The server is told what Fireguard believes.
    let told: Vec<_> = standin.requests_to("GET", "/fhir/Patient/1");
    assert_eq!(told[0].header_values("x-forwarded-for"), ["203.0.113.1"]);
}

#[tokio::test]
async fn the_proxy_protocol_counts_from_trusted_peers_only() {
    let standin = standin().await;
    let server = "trusted_peers = [\"127.0.0.1/32\"]\nproxy_protocol = true\n";
    let gateway = gateway(&config(server, "rate = { per_second = 1, burst = 1 }"), &standin.base_url()).await;
    let listen = gateway.listen();
    let send = async |source: &str, head: Vec<u8>, forwarded: &str| {
        let mut stream = connect(listen, Some(source)).await;
        let bytes = [head, request(forwarded).into_bytes()].concat();
        status(&exchange(&mut stream, &bytes).await)
    };
    let mut same = Vec::new();
    for last in 1..=6 {
        assert_eq!(send("127.0.0.1", header([203, 0, 113, last]), "").await, 200, "client {last}");
        same.push(
            send("127.0.0.1", header([198, 51, 100, 7]), &format!("X-Forwarded-For: 192.0.2.{last}\r\n"))
                .await,
        );
    }
    // Whom the balancer names is no balancer: what that client says of others is not believed.
    assert!(same.contains(&429), "{same:?}");
    // A peer that is not trusted speaks HTTP from the start; a header from it is no HTTP.
    assert_eq!(send("127.0.0.2", Vec::new(), "").await, 200);
    assert_ne!(send("127.0.0.3", header([203, 0, 113, 99]), "").await, 200);
    // A trusted peer must send the header, and a whole one.
    assert_eq!(send("127.0.0.1", Vec::new(), "").await, 0);
    assert_eq!(send("127.0.0.1", b"PROXY TCP4 203.0.113.1 10.0.0.1 1 2\r\n".to_vec(), "").await, 0);
    // A health check of the balancer speaks for itself.
    let local =
        Builder::with_addresses(Version::Two | Command::Local, Protocol::Unspecified, Addresses::Unspecified);
    assert_eq!(send("127.0.0.1", local.build().unwrap(), "").await, 200);
}

const SIX: [&str; 6] =
    ["203.0.113.11", "203.0.113.12", "203.0.113.13", "203.0.113.14", "203.0.113.15", "203.0.113.16"];
const SPOOFED: [&str; 6] = [
    "1.1.1.1, 203.0.113.21",
    "2.2.2.2, 203.0.113.21",
    "3.3.3.3, 203.0.113.21",
    "4.4.4.4, 203.0.113.21",
    "5.5.5.5, 203.0.113.21",
    "6.6.6.6, 203.0.113.21",
];

fn header(client: [u8; 4]) -> Vec<u8> {
    let addresses = IPv4::new(client, [10, 0, 0, 1], 4711, 443);
    Builder::with_addresses(Version::Two | Command::Proxy, Protocol::Stream, addresses).build().unwrap()
}

fn request(headers: &str) -> String {
    format!("GET /fhir/Patient/1 HTTP/1.1\r\nHost: x\r\n{headers}Connection: close\r\n\r\n")
}

async fn standin() -> StandIn {
    let standin = StandIn::start().await.unwrap();
    standin.always("GET", "/fhir/Patient/1", Answer::json(200, r#"{"resourceType":"Patient","id":"1"}"#));
    standin
}

/// Three patients of this id and a number.
async fn store(client: &Client, base: &str, id: &str) {
    let put = |number: u8| {
        let mut patient = patient(&format!("{id}-{number}"), "Transport");
        patient["identifier"][0]["value"] = id.into();
        entry("PUT", &format!("Patient/{id}-{number}"), Some(patient))
    };
    let body = bundle("transaction", (0..3).map(put).collect()).to_string();
    let answer =
        client.post(base).header("Content-Type", "application/fhir+json").body(body).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
}

fn config(server: &str, route: &str) -> String {
    CONFIG.replace("{server}", server).replace("{route}", route)
}

const CONFIG: &str = r#"
[admin]
listen = "127.0.0.1:0"

[upstreams.server]
url = "{upstream}"

[routes.fhir]
path = "/fhir"
upstream = "server"
authentication = "none"
{route}

[server]
listen = "127.0.0.1:0"
{server}
"#;

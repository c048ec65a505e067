//! De-identified entries leave as they come.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::common::raw::{PATIENCE, connect};
use crate::common::resources::observation;
use crate::common::world::{gateway, hidden};
use crate::research::config;

/// The first entries leave before the server has sent the last: it sends half a Bundle, and the rest only when
/// the client has got the first entry, de-identified.
#[tokio::test]
async fn first_entries_leave_before_the_last_arrived() {
    let Some(config) = config("streamed") else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/fhir", listener.local_addr().unwrap());
    let (go_on, waits) = oneshot::channel();
    let server = tokio::spawn(half_a_bundle(listener, waits));
    let gateway = gateway(&config, &base).await;
    let mut stream = connect(gateway.listen(), None).await;
    let request = "GET /research/Observation?_count=2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();

    let mut seen = String::new();
    while !seen.contains("71.50") {
        let mut bytes = [0; 4096];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut bytes)).await.expect("the first entry");
        let read = read.unwrap();
        assert_ne!(read, 0, "ended at {seen}");
        seen.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    assert!(!server.is_finished(), "the server still holds the rest back");
    assert!(!seen.contains("72.50"));
    go_on.send(()).unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the rest").unwrap();
    seen.push_str(&String::from_utf8_lossy(&rest));
    assert!(seen.contains("72.50") && seen.ends_with("0\r\n\r\n"), "{seen}");
    for secret in ["zq-half", "Thistlewood", hidden(&base)] {
        assert!(!seen.contains(secret), "{secret} in {seen}");
    }
    server.await.unwrap();
}

/// Answers every request for metadata; of a search it holds the second half back until it may go on.
async fn half_a_bundle(listener: TcpListener, go_on: oneshot::Receiver<()>) {
    const METADATA: &str = r#"{"resourceType":"CapabilityStatement","status":"active","date":"2026-01-01","kind":"instance","fhirVersion":"4.0.1","format":["json"],"rest":[{"mode":"server"}]}"#;
    let observation = |number: u8| {
        let mut observation =
            observation(&format!("zq-half-{number}"), "Patient/zq-half", &format!("7{number}.50"));
        observation["note"] = json!([{"text": "Thistlewood"}]);
        json!({"resource": observation}).to_string()
    };
    let first = format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{},"#, observation(1));
    let second = format!("{}]}}", observation(2));
    let mut go_on = Some(go_on);
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        let metadata = request.starts_with(b"GET /fhir/metadata");
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        if metadata {
            stream.write_all(format!("{}0\r\n\r\n", chunk(METADATA)).as_bytes()).await.unwrap();
            continue;
        }
        stream.write_all(chunk(&first).as_bytes()).await.unwrap();
        go_on.take().unwrap().await.unwrap();
        stream.write_all(format!("{}0\r\n\r\n", chunk(&second)).as_bytes()).await.unwrap();
        return;
    }
}

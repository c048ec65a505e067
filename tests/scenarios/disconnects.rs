//! Clients that leave in the middle of a write: what was cut short stores nothing, what was sent whole is stored
//! exactly once and written down in the log.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::World;
use crate::common::raw::{PATIENCE, connect};
use crate::common::resources::{bundle, entry, new_patient};

/// Where the client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaves {
    AfterHead,
    MidBody,
    /// All but the last byte was sent.
    BeforeLastByte,
    BeforeAnswer,
    MidAnswer,
}

/// Patients of one transaction: enough that its answer does not come at once.
const PATIENTS: usize = 40;

#[tokio::test]
async fn what_was_cut_short_stores_nothing_and_what_was_whole_is_stored_once() {
    use Leaves::{AfterHead, BeforeAnswer, BeforeLastByte, MidAnswer, MidBody};
    let world = World::start().await;
    let mut number = 0;
    for leaves in [AfterHead, MidBody, BeforeLastByte, BeforeAnswer, MidAnswer] {
        for chunked in [false, true] {
            number += 1;
            let mark = format!("zq-leaves-{number}");
            leave(&world, &mark, leaves, chunked).await;
            let line = logged(&world, &mark).await;
            let whole = matches!(leaves, BeforeAnswer | MidAnswer);
            let stored = count(&world, &mark).await;
            let place = format!("{leaves:?}, chunked: {chunked}: {line}");
            // Who sends and leaves at once may be gone before Fireguard has read it: then nothing was begun. All
            // or nothing, and the log says which.
            let begun = line["upstream_status"] == 200;
            assert_eq!(stored, if begun { PATIENTS } else { 0 }, "{place}");
            assert!(begun || leaves != MidAnswer, "{place}");
            assert!(whole || !begun, "{place}");
        }
    }
    // The connections to HAPI that were cut are not used again.
    for _ in 0..20 {
        let answer = world.client.get(format!("{}/Patient?_count=0", world.base())).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
}

/// A stream that is reset in the middle of its body; other streams of the connection go on.
#[tokio::test]
async fn a_stream_reset_in_its_body_stores_nothing() {
    let world = World::start().await;
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let body = transaction("zq-reset");
    let (start, _) = body.split_at(body.len() / 2);
    let pieces = [Ok(start.to_owned()), Err(std::io::Error::other("the client has changed its mind"))];
    let post = client.post(world.base()).header("Content-Type", "application/fhir+json");
    let post = post.header("X-Request-Id", "zq-reset");
    let sent = post.body(reqwest::Body::wrap_stream(futures_util::stream::iter(pieces))).send().await;
    assert!(sent.is_err(), "{sent:?}");
    let line = logged(&world, "zq-reset").await;
    assert_eq!(line["upstream_status"], 0, "{line}");
    assert_eq!(count(&world, "zq-reset").await, 0);
    let answer = client.get(format!("{}/Patient?_count=0", world.base())).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

fn transaction(mark: &str) -> String {
    let entry = |_| entry("POST", "Patient", Some(new_patient(mark, "Left")));
    bundle("transaction", (0..PATIENTS).map(entry).collect()).to_string()
}

/// Begins a transaction and leaves.
async fn leave(world: &World, mark: &str, leaves: Leaves, chunked: bool) {
    let body = transaction(mark);
    let framing = if chunked {
        "Transfer-Encoding: chunked".to_owned()
    } else {
        format!("Content-Length: {}", body.len())
    };
    let head = format!(
        "POST /fhir HTTP/1.1\r\nHost: x\r\nContent-Type: application/fhir+json\r\nX-Request-Id: {mark}\r\n{framing}\r\n\r\n"
    );
    let framed = if chunked {
        let (start, end) = body.split_at(body.len() / 3);
        format!("{:x}\r\n{start}\r\n{:x}\r\n{end}\r\n0\r\n\r\n", start.len(), end.len())
    } else {
        body
    };
    let sent = match leaves {
        Leaves::AfterHead => 0,
        Leaves::MidBody => framed.len() / 2,
        Leaves::BeforeLastByte => framed.len() - 1,
        Leaves::BeforeAnswer | Leaves::MidAnswer => framed.len(),
    };
    let mut stream = connect(world.gateway.listen(), None).await;
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&framed.as_bytes()[..sent]).await.unwrap();
    stream.flush().await.unwrap();
    if leaves == Leaves::MidAnswer {
        let mut start = [0; 20];
        tokio::time::timeout(PATIENCE, stream.read_exact(&mut start))
            .await
            .expect("an answer in time")
            .unwrap();
        assert!(start.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&start));
    }
}

/// Waits for the one line that the access log has of an exchange.
async fn logged(world: &World, request_id: &str) -> Value {
    let found = async {
        loop {
            let log = world.gateway.log();
            let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let ours: Vec<Value> =
                lines.filter(|line| line["request_id"] == request_id && !line["end"].is_null()).collect();
            match <[Value; 1]>::try_from(ours) {
                Ok([line]) => return line,
                Err(lines) => assert!(lines.is_empty(), "written down twice: {lines:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, found).await;
    found.unwrap_or_else(|_| panic!("no line of {request_id} in\n{}", world.gateway.log()))
}

/// How many patients HAPI has of this mark.
async fn count(world: &World, mark: &str) -> usize {
    let url =
        format!("{}/Patient?identifier=urn:fireguard:mrn%7C{mark}&_summary=count", world.hapi.base_url());
    let answer = world.client.get(url).header("Cache-Control", "no-cache").send().await.unwrap();
    let total = answer.json::<Value>().await.unwrap()["total"].as_u64().unwrap();
    usize::try_from(total).unwrap()
}

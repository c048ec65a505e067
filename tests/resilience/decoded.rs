//! Encoded bodies, decoded on their way: those of clients, and those of a server that is asked for gzip.

use async_compression::Level;
use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use fireguard_test_support::standin::Answer;
use tokio::io::AsyncWriteExt;

use crate::http::Ask;
use crate::rig::{Change, Rig, WELL};

const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

async fn encoded(coding: &str, text: &[u8]) -> Vec<u8> {
    macro_rules! by {
        ($encoder:ident) => {{
            let mut encoder = $encoder::with_quality(Vec::new(), Level::Fastest);
            encoder.write_all(text).await.unwrap();
            encoder.shutdown().await.unwrap();
            encoder.into_inner()
        }};
    }
    match coding {
        "gzip" => by!(GzipEncoder),
        "br" => by!(BrotliEncoder),
        "zstd" => by!(ZstdEncoder),
        other => panic!("{other}"),
    }
}

fn resource(bytes: usize) -> String {
    let text: String = (0..bytes / 8).map(|n| format!("{:08x}", n.wrapping_mul(2_654_435_761))).collect();
    format!(r#"{{"resourceType":"Patient","x":"{text}"}}"#)
}

fn put(coding: &str, body: Vec<u8>) -> Ask {
    Ask::json("PUT", "/fhir/Patient/1", body).header("Content-Encoding", coding)
}

#[tokio::test]
async fn the_server_gets_what_the_client_has_encoded() {
    let rig = Rig::start().await;
    rig.standin.always("*", "/fhir/*", Answer::json(201, WELL));
    for coding in CODINGS {
        for size in [30, 9_000, 1_000_000] {
            let text = resource(size);
            let body = encoded(coding, text.as_bytes()).await;
            for ask in [
                put(coding, body.clone()),
                put(coding, body.clone()).chunked(),
                put(&coding.to_uppercase(), body),
            ] {
                assert_eq!(rig.send(ask).await.status, 201, "{coding} {size}");
                let arrived = rig.arrived().pop().unwrap();
                assert!(arrived.body == text.as_bytes() && arrived.complete, "{coding} {size}");
                assert_eq!(arrived.header("content-encoding"), None, "{coding}");
                let encodings = (arrived.header("content-type"), arrived.header("accept-encoding"));
                assert_eq!(encodings, (Some("application/fhir+json;charset=utf-8"), None));
            }
        }
        // A form, a batch whose entries are judged, somebody's file.
        let form = encoded(coding, b"family=x&given=y").await;
        let ask = Ask::form("/fhir/Patient/_search", "").body(form).header("Content-Encoding", coding);
        assert_eq!(rig.send(ask).await.status, 201);
        assert_eq!(rig.arrived().pop().unwrap().body, b"family=x&given=y");
        let entry = r#"{"request":{"method":"DELETE","url":"Patient?_cascade=delete&name=x"}}"#;
        let batch = format!(r#"{{"resourceType":"Bundle","type":"transaction","entry":[{entry}]}}"#);
        let ask = Ask::json("POST", "/fhir", encoded(coding, batch.as_bytes()).await)
            .header("Content-Encoding", coding);
        rig.send(ask).await.assert_outcome(400, "not-supported", coding);
        let ask = Ask::new("POST", "/fhir/Binary")
            .header("Content-Type", "image/png")
            .header("Content-Encoding", coding);
        assert_eq!(rig.send(ask.body(encoded(coding, b"PNG").await)).await.status, 201);
        assert_eq!(rig.arrived().pop().unwrap().body, b"PNG");
    }
}

#[tokio::test]
async fn what_cannot_be_decoded_never_arrives_whole() {
    let rig = Rig::limited("request_body = \"2MiB\"").await;
    rig.standin.always("*", "/fhir/*", Answer::json(201, WELL));
    for coding in CODINGS {
        let good = encoded(coding, resource(90_000).as_bytes()).await;
        let zeros = encoded(coding, &vec![b' '; 3 << 20]).await;
        let large = encoded(coding, resource(3 << 20).as_bytes()).await;
        let spaces = encoded(coding, &vec![b' '; 2_000_000]).await;
        for (case, body, status, code) in [
            ("not encoded", resource(900).into_bytes(), 400, "structure"),
            ("half", good[..good.len() / 2].to_vec(), 400, "structure"),
            ("without its end", good[..good.len() - 1].to_vec(), 400, "structure"),
            ("with more behind it", [&good[..], b"more"].concat(), 400, "structure"),
            ("no JSON in it", encoded(coding, b"no").await, 400, "structure"),
            ("nothing in it", encoded(coding, b"").await, 400, "structure"),
            ("too long when it is decoded", large, 413, "too-long"),
            ("a flood over the limit", zeros, 413, "too-long"),
            ("a flood below it", spaces, 413, "too-long"),
        ] {
            for ask in [put(coding, body.clone()), put(coding, body.clone()).chunked()] {
                let reply = rig.send(ask).await;
                // Whatever breaks the bound first: spaces are no JSON either.
                let known = reply.status == 400 && case.starts_with("a flood");
                if !known {
                    reply.assert_outcome(status, code, &format!("{coding}: {case}"));
                }
            }
        }
        let form = encoded(coding, format!("name={}", "y".repeat(70_000)).as_bytes()).await;
        let ask = Ask::form("/fhir/Patient/_search", "").body(form).header("Content-Encoding", coding);
        rig.send(ask).await.assert_outcome(413, "too-long", "a form");
    }
    for coding in ["deflate", "compress", "gzip, gzip", "gzip, br", "aes128gcm"] {
        let reply = rig.send(put(coding, Vec::from(WELL))).await;
        reply.assert_outcome(415, "not-supported", coding);
        assert_eq!(reply.header("accept-encoding"), Some("gzip, br, zstd"), "{coding}");
    }
    let whole: Vec<_> = rig.arrived().into_iter().filter(|request| request.complete).collect();
    assert!(whole.is_empty(), "a server would have stored {} of them", whole.len());
    rig.assert_serving().await;
}

async fn asking_for_gzip() -> Rig {
    Rig::with(Change {
        server: "workers = 1".to_owned(),
        upstream: "gzip = true".to_owned(),
        ..Change::default()
    })
    .await
}

#[tokio::test]
async fn a_distant_server_is_asked_for_gzip_and_nothing_else() {
    let rig = asking_for_gzip().await;
    let text = resource(300_000);
    let body = encoded("gzip", text.as_bytes()).await;
    let gzip = |status: u16| Answer::json(status, "").header("Content-Encoding", "gzip");
    for answer in [gzip(200).body(body.clone()), gzip(200).body(body.clone()).chunked()] {
        rig.standin.next("GET", "/fhir/Patient/1", [answer]);
        let reply = rig.send(Ask::get("/fhir/Patient/1").header("Accept-Encoding", "br, zstd;q=0.5")).await;
        assert_eq!((reply.status, reply.whole, reply.header("content-encoding")), (200, true, None));
        assert!(reply.body == text.as_bytes());
        let asked = rig.arrived().pop().unwrap();
        assert_eq!(asked.header_values("accept-encoding"), ["gzip"]);
    }
    // It may answer as it is, with nothing, or a stream of nothing.
    rig.standin.next("GET", "/fhir/Patient/1", [Answer::json(200, WELL)]);
    assert_eq!(rig.get("/fhir/Patient/1").await.text(), WELL);
    let nothing = encoded("gzip", b"").await;
    for body in [Vec::new(), nothing] {
        let answer = Answer::status(200).header("Content-Encoding", "gzip").body(body).chunked();
        rig.standin.next("PUT", "/fhir/Patient/1", [answer]);
        let reply = rig.send(Ask::json("PUT", "/fhir/Patient/1", WELL)).await;
        assert_eq!((reply.status, reply.whole, reply.body.len()), (200, true, 0), "{reply:?}");
    }
    let file = Answer::status(200).header("Content-Type", "image/png").header("Content-Encoding", "gzip");
    rig.standin.next("GET", "/fhir/Binary/1", [file.body(encoded("gzip", b"PNG").await)]);
    let reply = rig.send(Ask::get("/fhir/Binary/1").header("Accept", "image/png")).await;
    assert_eq!((reply.status, reply.text().as_str(), reply.header("content-encoding")), (200, "PNG", None));
}

#[tokio::test]
async fn half_an_encoded_answer_is_no_answer() {
    let rig = asking_for_gzip().await;
    let body = encoded("gzip", resource(300_000).as_bytes()).await;
    let flood = encoded("gzip", &vec![b' '; 16 << 20]).await;
    let gzip = |body: Vec<u8>| Answer::json(200, "").header("Content-Encoding", "gzip").body(body);
    for (case, answer) in [
        ("cut", gzip(body.clone()).cut(body.len() / 2)),
        ("cut, chunked", gzip(body.clone()).chunked().cut(body.len() / 2)),
        ("half", gzip(body[..body.len() / 2].to_vec())),
        ("without its end", gzip(body[..body.len() - 1].to_vec())),
        ("with more behind it", gzip([&body[..], b"more"].concat())),
        ("not encoded", gzip(Vec::from(WELL))),
        ("a flood", gzip(flood)),
    ] {
        rig.standin.always("GET", "/fhir/Patient/1", answer);
        let reply = rig.get("/fhir/Patient/1").await;
        assert!(!reply.whole || reply.status == 502, "{case}: ended cleanly with {}", reply.status);
    }
    for coding in ["br", "zstd", "deflate", "gzip, gzip"] {
        let answer = Answer::json(200, WELL).header("Content-Encoding", coding);
        rig.standin.always("GET", "/fhir/Patient/1", answer);
        rig.get("/fhir/Patient/1").await.assert_outcome(502, "exception", coding);
    }
    rig.assert_serving().await;
}

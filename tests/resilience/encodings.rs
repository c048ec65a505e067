//! Compressed answers: only where the route and the client say so, the same bytes, and streaming all the same.

use std::time::Duration;

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use fireguard_test_support::standin::Answer;
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::http::{Ask, Reply};
use crate::rig::{Change, Rig};

const TARGET: &str = "/small/Patient/1";

/// `/small` compresses, `/fhir` does not.
async fn rig() -> Rig {
    let tables = "[routes.small]\npath = \"/small\"\nupstream = \"hapi\"\nauthentication = \"none\"\ncompression = true\n".to_owned();
    Rig::with(Change { tables, ..Change::default() }).await
}

fn resource(bytes: usize) -> String {
    format!(r#"{{"resourceType":"Patient","id":"1","x":"{}"}}"#, "yz".repeat(bytes / 2))
}

fn takes(codings: &str, target: &str) -> Ask {
    Ask::get(target).header("Accept-Encoding", codings)
}

/// What can be read of these bytes so far.
async fn decoded(coding: &str, mut bytes: &[u8]) -> Vec<u8> {
    let mut decoder: Box<dyn AsyncRead + Unpin> = match coding {
        "gzip" => Box::new(GzipDecoder::new(&mut bytes)),
        "br" => Box::new(BrotliDecoder::new(&mut bytes)),
        "zstd" => Box::new(ZstdDecoder::new(&mut bytes)),
        other => panic!("{other}"),
    };
    let mut text = Vec::new();
    // It ends with an error where the bytes do not end the coding.
    while matches!(decoder.read_buf(&mut text).await, Ok(1..)) {}
    text
}

fn varies(reply: &Reply) -> bool {
    reply.header("vary") == Some("Accept-Encoding")
}

#[tokio::test]
async fn clients_get_the_coding_they_like_best() {
    let rig = rig().await;
    let whole = resource(200_000);
    rig.standin.always("GET", "/fhir/Patient/1", Answer::json(200, whole.clone()).header("ETag", "W/\"7\""));
    for (accepted, coding) in [
        ("gzip", "gzip"),
        ("gzip, deflate", "gzip"),
        ("br", "br"),
        ("zstd", "zstd"),
        ("gzip;q=0.5, br", "br"),
        ("gzip, br;q=0.5", "gzip"),
        ("gzip, br;q=0", "gzip"),
        ("GZIP", "gzip"),
    ] {
        let reply = rig.send(takes(accepted, TARGET)).await;
        assert_eq!((reply.status, reply.whole), (200, true), "{accepted}");
        assert_eq!(reply.header("content-encoding"), Some(coding), "{accepted}");
        assert!(varies(&reply), "{reply:?}");
        assert_eq!(reply.header("etag"), Some("W/\"7\""));
        assert_eq!(reply.header("content-type"), Some("application/fhir+json;charset=utf-8"));
        assert!(reply.body.len() < whole.len() / 10, "{accepted}: {} bytes", reply.body.len());
        assert!(decoded(coding, &reply.body).await == whole.as_bytes(), "{accepted}");
    }
    for accepted in ["identity", "deflate", "compress", "gzip;q=0", ""] {
        let reply = rig.send(takes(accepted, TARGET)).await;
        assert_eq!((reply.status, reply.header("content-encoding")), (200, None), "{accepted:?}");
        assert!(varies(&reply) && reply.body == whole.as_bytes(), "{accepted:?}");
    }
}

#[tokio::test]
async fn a_strong_tag_becomes_weak_where_the_bytes_change() {
    let rig = rig().await;
    rig.standin.always("GET", "/fhir/Patient/1", Answer::json(200, resource(9_000)).header("ETag", "\"7\""));
    for (accepted, tag) in [("gzip", "W/\"7\""), ("identity", "\"7\"")] {
        assert_eq!(rig.send(takes(accepted, TARGET)).await.header("etag"), Some(tag), "{accepted}");
    }
}

#[tokio::test]
async fn nothing_else_is_compressed() {
    let rig = rig().await;
    let large = resource(9_000);
    rig.standin.always("*", "/fhir/Patient/1", Answer::json(200, large.clone()));
    rig.standin.always("GET", "/fhir/Patient/2", Answer::json(200, resource(500)));
    rig.standin.always("GET", "/fhir/Binary/1", Answer::binary(9_000).header("Content-Type", "image/png"));
    let codings = "gzip, br, zstd";
    for (case, ask, vary) in [
        ("small", takes(codings, "/small/Patient/2"), true),
        ("a file", takes(codings, "/small/Binary/1").header("Accept", "image/png"), true),
        ("HEAD", Ask::new("HEAD", TARGET).header("Accept-Encoding", codings), true),
        ("an error", takes(codings, "/small/Patient/none"), true),
        ("another route", takes(codings, "/fhir/Patient/1"), false),
    ] {
        let reply = rig.send(ask).await;
        assert_eq!((reply.header("content-encoding"), varies(&reply)), (None, vary), "{case}: {reply:?}");
    }
}

/// What the server has sent arrives though it sends no more.
#[tokio::test]
async fn a_compressed_answer_streams() {
    let rig = rig().await;
    let whole = resource(100_000);
    for coding in ["gzip", "br", "zstd"] {
        // The second half never comes.
        let stalls = Answer::json(200, whole.clone()).drip(50_000, Duration::from_secs(3600));
        rig.standin.always("GET", "/fhir/Patient/1", stalls);
        let request = reqwest::Client::new().get(format!("{}{TARGET}", rig.gateway.url()));
        let mut answer = request.header("Accept-Encoding", coding).send().await.unwrap();
        assert_eq!(answer.headers()["content-encoding"], coding);
        let (mut bytes, mut text) = (Vec::new(), Vec::new());
        // What the rewriter holds back at a cut is a token at the most.
        while text.len() < 49_000 {
            let piece = tokio::time::timeout(Duration::from_secs(20), answer.chunk()).await;
            bytes.extend_from_slice(
                &piece.unwrap_or_else(|_| panic!("{coding}: {} bytes", text.len())).unwrap().unwrap(),
            );
            text = decoded(coding, &bytes).await;
        }
        assert!(whole.as_bytes().starts_with(&text), "{coding}");
    }
}

#[tokio::test]
async fn half_a_compressed_answer_never_ends_cleanly() {
    let rig = rig().await;
    let whole = resource(300_000);
    for coding in ["gzip", "br", "zstd"] {
        for answer in [
            Answer::json(200, whole.clone()).cut(200_000),
            Answer::json(200, whole.clone()).chunked().cut(200_000),
            Answer::json(200, &whole[..200_000]),
        ] {
            rig.standin.next("GET", "/fhir/Patient/1", [answer]);
            let reply = rig.send(takes(coding, TARGET)).await;
            assert!(!reply.whole || reply.status == 502, "{coding}: ended cleanly with {}", reply.status);
        }
    }
    rig.assert_serving().await;
}

//! The CapabilityStatement that is kept.

use std::io::Read;
use std::time::Duration;

use fireguard_test_support::standin::Answer;
use flate2::read::GzDecoder;

use crate::http::Ask;
use crate::rig::{Change, Rig};

const TARGET: &str = "/fhir/metadata";

fn statement(rig: &Rig, name: &str) -> String {
    format!(
        r#"{{"resourceType":"CapabilityStatement","fhirVersion":"4.0.1","name":"{name}","implementation":{{"url":"{}"}}}}"#,
        rig.standin.base_url()
    )
}

/// How often the server was asked.
fn asked(rig: &Rig) -> usize {
    rig.standin.requests_to("GET", TARGET).len()
}

#[tokio::test]
async fn it_is_asked_for_once_and_sent_as_each_client_wants_it() {
    let rig = Rig::with(Change { tables: "compression = true\n".to_owned(), ..Change::default() }).await;
    rig.standin.always("GET", TARGET, Answer::json(200, statement(&rig, "one")));
    let before = asked(&rig);
    let first = rig.get(TARGET).await;
    assert_eq!(first.status, 200, "{first:?}");
    assert!(!first.text().contains(&rig.standin.base_url()), "{first:?}");
    let etag = first.header("etag").unwrap().to_owned();
    assert!(etag.starts_with("W/\""), "{etag}");

    rig.standin.always("GET", TARGET, Answer::json(200, statement(&rig, "two")));
    let second = rig.send(Ask::get(TARGET).header("Accept", "application/json")).await;
    assert_eq!((second.text(), second.header("etag")), (first.text(), Some(etag.as_str())));
    let head = rig.send(Ask::new("HEAD", TARGET)).await;
    let length = first.body.len().to_string();
    assert_eq!(
        (head.status, head.body.len(), head.header("content-length")),
        (200, 0, Some(length.as_str()))
    );
    let known = rig.send(Ask::get(TARGET).header("If-None-Match", &etag)).await;
    assert_eq!((known.status, known.body.len(), known.header("etag")), (304, 0, Some(etag.as_str())));
    let gzip = rig.send(Ask::get(TARGET).header("Accept-Encoding", "br;q=0.1, gzip")).await;
    assert_eq!(gzip.header("content-encoding"), Some("gzip"), "{gzip:?}");
    let mut text = String::new();
    GzDecoder::new(&gzip.body[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, first.text());
    assert_eq!(asked(&rig) - before, 1);
    // One of another form is the server's to make.
    assert!(rig.get("/fhir/metadata?_summary=true").await.text().contains("two"));
    assert_eq!(asked(&rig) - before, 2);
}

#[tokio::test]
async fn many_ask_the_server_once() {
    let rig = Rig::start().await;
    let slow = Answer::json(200, statement(&rig, "slow")).delay(Duration::from_millis(300));
    rig.standin.always("GET", TARGET, slow);
    let before = asked(&rig);
    let all = (0..20).map(|_| rig.get(TARGET));
    let replies = futures_util::future::join_all(all).await;
    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    assert_eq!(asked(&rig) - before, 1);
}

#[tokio::test]
async fn what_is_none_is_not_kept() {
    let rig = Rig::start().await;
    for (answer, status) in [
        (Answer::outcome(401, "login"), 401),
        (Answer::html(200, "<html>"), 502),
        (Answer::json(200, "{"), 502),
    ] {
        rig.standin.always("GET", TARGET, answer);
        assert_eq!(rig.get(TARGET).await.status, status);
    }
    rig.standin.always("GET", TARGET, Answer::json(200, statement(&rig, "well")));
    assert!(rig.get(TARGET).await.text().contains("well"));
    // And then the server is away.
    rig.standin.always("GET", TARGET, Answer::reset());
    assert!(rig.get(TARGET).await.text().contains("well"));
}

#[tokio::test]
async fn a_reload_forgets_it() {
    let rig = Rig::start().await;
    for name in ["one", "two"] {
        rig.standin.always("GET", TARGET, Answer::json(200, statement(&rig, name)));
        assert!(rig.get(TARGET).await.text().contains("one"), "before the reload");
    }
    let path = rig.gateway.folder().join("fireguard.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("level = \"debug\"", "level = \"info\"")).unwrap();
    let reload =
        Ask::new("POST", "/reload").send(rig.gateway.admin_url().trim_start_matches("http://")).await;
    assert_eq!(reload.status, 200, "{reload:?}");
    assert!(rig.get(TARGET).await.text().contains("two"));
}

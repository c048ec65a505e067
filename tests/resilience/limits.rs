//! What is too long, too much or too slow is refused before the server has any of it.

use std::time::{Duration, Instant};

use fireguard_test_support::standin::Answer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::Ask;
use crate::rig::{Rig, WELL};

const JSON: &str = "application/fhir+json";
const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn a_head_that_is_too_long_is_refused_in_the_words_of_fhir() {
    let rig = Rig::limited("request_head = \"4KiB\"\nrequest_url = \"2KiB\"").await;
    rig.standin.always("*", "/fhir/*", Answer::json(200, WELL));
    let url = |bytes: usize| Ask::get(&format!("/fhir/Patient?name={}", "x".repeat(bytes)));
    let header = |bytes: usize| Ask::get("/fhir/Patient/1").header("X-A", &"x".repeat(bytes));
    for (case, ask, status) in [
        ("URL", url(2100), 414),
        ("a far longer URL", url(12_000), 414),
        (
            "an absolute URL",
            Ask::get(&format!("http://{}/fhir?name={}", rig.gateway.listen(), "x".repeat(2100))),
            414,
        ),
        ("a header", header(4100), 431),
        ("a far longer header", header(12_000), 431),
    ] {
        rig.send(ask).await.assert_outcome(status, "too-long", case);
    }
    let many =
        (0..90).fold(Ask::get("/fhir/Patient/1"), |ask, n| ask.header(&format!("X-{n}"), &"x".repeat(50)));
    rig.send(many).await.assert_outcome(431, "too-long", "many headers");
    // Nobody means these: hyper's own answer will do.
    for (case, ask, status) in [("absurd URL", url(66_000), 414), ("absurd header", header(200_000), 431)] {
        let reply = rig.send(ask).await;
        assert!(reply.status == status || reply.status == 431, "{case}: {reply:?}");
    }
    assert!(rig.arrived().is_empty(), "{:?}", rig.arrived());
    assert_eq!(rig.send(url(1900)).await.status, 200);
    assert_eq!(rig.send(header(3900)).await.status, 200);
}

#[tokio::test]
async fn what_the_server_takes_no_head_of_is_not_sent() {
    let rig = Rig::limited("request_url = \"32KiB\"").await;
    rig.standin.always("*", "/fhir/*", Answer::json(200, WELL));
    let name = "x".repeat(8000);
    let search = rig.get(&format!("/fhir/Patient?name={name}")).await;
    search.assert_outcome(414, "too-long", "a search");
    assert!(search.diagnostics().contains("POST"), "{}", search.text());
    let condition = Ask::json("POST", "/fhir/Patient", WELL).header("If-None-Exist", &format!("name={name}"));
    rig.send(condition).await.assert_outcome(431, "too-long", "a condition");
    let language = Ask::get("/fhir/Patient/1").header("Accept-Language", &name);
    rig.send(language).await.assert_outcome(431, "too-long", "a header that passes");
    assert!(rig.arrived().is_empty(), "{:?}", rig.arrived());
    assert_eq!(rig.send(Ask::form("/fhir/Patient/_search", &format!("name={name}"))).await.status, 200);
    assert_eq!(rig.get(&format!("/fhir/Patient?name={}", "x".repeat(7000))).await.status, 200);
}

#[tokio::test]
async fn parameters_are_counted() {
    let rig = Rig::limited("request_parameters = 4").await;
    rig.standin.always("*", "/fhir/*", Answer::json(200, WELL));
    rig.standin.always("POST", "/fhir", Answer::json(200, WELL));
    let entry = |url: &str| {
        let bundle = format!(
            r#"{{"resourceType":"Bundle","type":"transaction","entry":[{{"request":{{"method":"GET","url":"{url}"}}}}]}}"#
        );
        Ask::json("POST", "/fhir", bundle)
    };
    let create =
        |condition: &str| Ask::json("POST", "/fhir/Patient", WELL).header("If-None-Exist", condition);
    for (case, four, five) in [
        (
            "one name",
            Ask::get("/fhir/Patient?a=1&a=2&a=3&a=4"),
            Ask::get("/fhir/Patient?a=1&a=2&a=3&a=4&a=5"),
        ),
        (
            "in URL and body",
            Ask::form("/fhir/Patient/_search?a=1&b=2", "c=3&d=4"),
            Ask::form("/fhir/Patient/_search?a=1&b=2", "c=3&d=4&e=5"),
        ),
        ("in an entry", entry("Patient?a=1&b=2&c=3&d=4"), entry("Patient?a=1&b=2&c=3&d=4&e=5")),
        ("in a condition", create("a=1&b=2&c=3&d=4"), create("a=1&b=2&c=3&d=4&e=5")),
    ] {
        assert_eq!(rig.send(four).await.status, 200, "{case}");
        rig.send(five).await.assert_outcome(400, "too-costly", case);
    }
    let most = Rig::start().await;
    let many = most.get(&format!("/fhir/Patient?{}", "a=1&".repeat(101))).await;
    many.assert_outcome(400, "too-costly", "the default");
}

/// Never silent for long, and never through.
#[tokio::test]
async fn an_upload_that_trickles_is_ended() {
    let rig = Rig::limited("request_body_total = \"800ms\"").await;
    rig.standin.always("*", "/fhir/*", Answer::json(201, WELL));
    for (case, target, content_type) in [
        ("JSON", "/fhir/Patient", JSON),
        ("a Bundle", "/fhir", JSON),
        ("a file", "/fhir/Binary", "image/png"),
        ("a form", "/fhir/Patient/_search", FORM),
    ] {
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nContent-Length: 100000\r\n\r\n"
        );
        let began = Instant::now();
        let stream = TcpStream::connect(rig.gateway.listen()).await.unwrap();
        let (mut reader, mut writer) = stream.into_split();
        let trickle = tokio::spawn(async move {
            writer.write_all(head.as_bytes()).await.unwrap();
            while writer.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        });
        let mut received = Vec::new();
        let _ = reader.read_to_end(&mut received).await;
        trickle.abort();
        let answer = String::from_utf8_lossy(&received);
        assert!(answer.starts_with("HTTP/1.1 408"), "{case}: {answer}");
        assert!(answer.contains("\"timeout\""), "{case}: {answer}");
        assert!(began.elapsed() >= Duration::from_millis(800), "{case}: too early");
    }
    assert!(rig.arrived().iter().all(|request| !request.complete), "{:?}", rig.arrived());
    rig.assert_serving().await;
}

/// The same limits and doubts over HTTP/2.
#[tokio::test]
async fn http_2_is_refused_in_the_words_of_fhir_too() {
    let rig = Rig::start().await;
    rig.standin.always("*", "/fhir/*", Answer::json(200, WELL));
    let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
    let base = format!("http://{}/fhir", rig.gateway.listen());
    let get = |path: &str| client.get(format!("{base}{path}"));
    let long = format!("/Patient?name={}", "x".repeat(9000));
    for (case, request, status, code) in [
        ("another Host", get("/Patient/1").header("Host", "evil.example"), 400, "invalid"),
        ("long headers", get("/Patient/1").header("X-A", "x".repeat(40_000)), 431, "too-long"),
        ("a long URL", get(&long), 414, "too-long"),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.version()),
            (status, reqwest::Version::HTTP_2),
            "{case}"
        );
        assert_eq!(answer.headers().get("connection"), None, "{case}");
        let outcome: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(outcome["issue"][0]["code"], code, "{case}: {outcome}");
    }
    assert!(rig.arrived().is_empty(), "{:?}", rig.arrived());
    assert_eq!(get("/Patient/1").send().await.unwrap().status(), 200);
}

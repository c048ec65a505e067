//! Bodies of requests: what is malformed, mislabelled or too long is refused, and never arrives whole.

use fireguard_test_support::standin::Answer;

use crate::http::Ask;
use crate::rig::{Rig, WELL};

const TARGET: &str = "/fhir/Patient";
const GOOD: &str = r#"{"resourceType":"Patient"}"#;

#[tokio::test]
async fn malformed_json_never_arrives_whole() {
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let table: [(&str, Vec<u8>, &str); 15] = [
        ("cut short", br#"{"resourceType":"Patient""#.to_vec(), "structure"),
        ("not JSON", b"<Patient/>".to_vec(), "structure"),
        ("trailing comma", br#"{"resourceType":"Patient",}"#.to_vec(), "structure"),
        ("two documents", format!("{GOOD}{GOOD}").into(), "structure"),
        ("bare word", b"NaN".to_vec(), "structure"),
        ("single quotes", b"{'resourceType':'Patient'}".to_vec(), "structure"),
        ("control character", b"{\"resourceType\":\"Pat\nient\"}".to_vec(), "structure"),
        ("duplicate key", br#"{"resourceType":"Patient","id":"1","id":"2"}"#.to_vec(), "invalid"),
        (
            "escaped duplicate key",
            br#"{"resourceType":"Patient","id":"1","\u0069d":"2"}"#.to_vec(),
            "invalid",
        ),
        ("nested duplicate key", br#"{"resourceType":"Patient","a":[{"b":1,"b":2}]}"#.to_vec(), "invalid"),
        ("depth bomb", format!(r#"{{"resourceType":"Patient","a":{deep}}}"#).into(), "structure"),
        ("not UTF-8", b"{\"resourceType\":\"Patient\",\"a\":\"\xff\xfe\"}".to_vec(), "structure"),
        ("half a pair", br#"{"resourceType":"Patient","a":"\ud800b"}"#.to_vec(), "structure"),
        ("the other half", br#"{"resourceType":"Patient","a":"\udc00"}"#.to_vec(), "structure"),
        ("UTF-16", "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect(), "structure"),
    ];
    let rig = Rig::start().await;
    rig.standin.always("*", "/fhir/*", Answer::json(201, GOOD));
    for (case, body, code) in table {
        for ask in [
            Ask::json("POST", TARGET, body.clone()),
            Ask::json("POST", TARGET, body.clone()).chunked(),
            Ask::json("PUT", "/fhir/Patient/1", body.clone()),
            Ask::json("POST", "/fhir", body.clone()),
        ] {
            let reply = rig.send(ask).await;
            reply.assert_outcome(400, code, case);
        }
    }
    let whole: Vec<_> = rig.arrived().into_iter().filter(|request| request.complete).collect();
    assert!(whole.is_empty(), "a server would have stored {whole:?}");
    rig.assert_serving().await;
}

#[tokio::test]
async fn a_content_type_that_does_not_fit_is_refused() {
    let rig = Rig::start().await;
    let with = |method: &str, target: &str, content_type: &str| {
        Ask::new(method, target).header("Content-Type", content_type).body(GOOD)
    };
    for (case, ask) in [
        ("XML", with("POST", TARGET, "application/fhir+xml")),
        ("text", with("POST", TARGET, "text/plain")),
        ("form", with("POST", TARGET, "application/x-www-form-urlencoded")),
        ("other charset", with("POST", TARGET, "application/fhir+json;charset=utf-16")),
        ("other FHIR version", with("POST", TARGET, "application/fhir+json;fhirVersion=5.0")),
        ("NDJSON", with("POST", "/fhir", "application/fhir+ndjson")),
        ("nothing readable", with("POST", TARGET, ";")),
        ("JSON to a search", with("POST", "/fhir/Patient/_search", "application/fhir+json")),
        ("XML patch", with("PATCH", "/fhir/Patient/1", "application/xml-patch+xml")),
        ("none", Ask::new("POST", TARGET).body(GOOD)),
        ("none at an update", Ask::new("PUT", "/fhir/Patient/1").body(GOOD)),
        ("another coding", Ask::json("POST", TARGET, GOOD).header("Content-Encoding", "deflate")),
    ] {
        rig.send(ask).await.assert_outcome(415, "not-supported", case);
    }
    let twice = Ask::json("POST", TARGET, GOOD).header("Content-Type", "application/json");
    rig.send(twice).await.assert_outcome(400, "invalid", "two content types");
    assert!(rig.arrived().is_empty());
}

#[tokio::test]
async fn a_body_over_the_limit_never_arrives_whole() {
    let rig = Rig::limited("request_body = \"64KiB\"").await;
    rig.standin.always("*", "/fhir/*", Answer::json(201, GOOD));
    let body = |bytes: usize| format!(r#"{{"resourceType":"Patient","x":"{}"}}"#, "y".repeat(bytes));
    for (case, ask) in [
        ("length announced", Ask::json("POST", TARGET, body(70_000))),
        ("chunked", Ask::json("POST", TARGET, body(70_000)).chunked()),
        ("far over it, chunked", Ask::json("POST", TARGET, body(3_000_000)).chunked()),
        ("form", Ask::form("/fhir/Patient/_search", &format!("name={}", "y".repeat(70_000)))),
    ] {
        rig.send(ask).await.assert_outcome(413, "too-long", case);
    }
    assert!(rig.arrived().iter().all(|request| !request.complete), "{:?}", rig.arrived());
    for ask in [Ask::json("POST", TARGET, body(60_000)), Ask::json("POST", TARGET, body(60_000)).chunked()] {
        assert_eq!(rig.send(ask).await.status, 201, "below the limit");
    }
}

/// Whoever is still sending when it is refused must get the answer all the same.
#[tokio::test]
async fn a_refusal_reaches_a_client_that_is_still_sending() {
    let rig = Rig::limited("request_body = \"64KiB\"").await;
    let ask = Ask::json("POST", TARGET, vec![b' '; 20_000_000]);
    rig.send(ask).await.assert_outcome(413, "too-long", "20 MB announced");
}

#[tokio::test]
async fn a_body_where_none_belongs_is_refused() {
    let rig = Rig::start().await;
    for method in ["GET", "DELETE"] {
        for ask in
            [Ask::json(method, "/fhir/Patient/1", GOOD), Ask::json(method, "/fhir/Patient/1", GOOD).chunked()]
        {
            let reply = rig.send(ask).await;
            assert!(reply.status == 400 || rig.arrived().iter().all(|r| r.body.is_empty()), "{reply:?}");
        }
    }
}

/// Clients and balancers that announce chunks of which there are none mean no body.
#[tokio::test]
async fn an_empty_body_is_none() {
    let rig = Rig::start().await;
    rig.standin.always("GET", "/fhir/Patient/1", Answer::json(200, WELL));
    let reply = rig.send(Ask::get("/fhir/Patient/1").chunked()).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, WELL));
    let reply = rig.send(Ask::get("/fhir/Patient/1").body("x").chunked()).await;
    reply.assert_outcome(400, "invalid", "a byte in chunks");
    assert_eq!(rig.arrived().len(), 1);
}

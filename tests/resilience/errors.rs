//! The error table: every refusal and failure is an OperationOutcome with its status and code.

use fireguard_test_support::standin::Answer;

use crate::http::Ask;
use crate::rig::{Change, Rig};

const BODY: &str = r#"{"resourceType":"Patient","id":"1"}"#;

#[tokio::test]
async fn every_cause_has_its_status_and_code() {
    let rig = Rig::with(Change {
        limits: "answer_head = \"200ms\"\nrequest_body = \"1KiB\"".to_owned(),
        tables: "[routes.reading]\npath = \"/reading\"\nupstream = \"hapi\"\nauthentication = \"none\"\nread_only = true\n\
                 search_parameters = [\"name\"]\noperations = []\n"
            .to_owned(),
        ..Change::default()
    })
    .await;
    let json = |target: &str| Ask::json("POST", target, BODY);
    let accept = |value: &str| Ask::get("/fhir/Patient/1").header("Accept", value);
    rig.standin.always("*", "/fhir/*", Answer::json(200, BODY));
    rig.standin.always("GET", "/fhir/Patient/page", Answer::html(200, "<html>"));
    rig.standin.always("GET", "/fhir/Patient/reset", Answer::reset());
    rig.standin.always("GET", "/fhir/Patient/silent", Answer::silence());
    let table: Vec<(&str, Ask, u16, &str)> = vec![
        ("read-only route", json("/reading/Patient"), 403, "forbidden"),
        ("read-only route, delete", Ask::new("DELETE", "/reading/Patient/1"), 403, "forbidden"),
        ("operation not allowed", Ask::get("/reading/Patient/1/$everything"), 403, "forbidden"),
        ("operation that changes", json("/fhir/$expunge"), 403, "forbidden"),
        ("parameter not on the list", Ask::get("/reading/Patient?birthdate=2000"), 400, "not-supported"),
        ("the same by POST", Ask::form("/reading/Patient/_search", "birthdate=2000"), 400, "not-supported"),
        ("malformed JSON", Ask::json("PUT", "/fhir/Patient/1", "{"), 400, "structure"),
        ("duplicate key", Ask::json("PUT", "/fhir/Patient/1", r#"{"a":1,"a":2}"#), 400, "invalid"),
        ("bad parameter", Ask::get("/fhir/Patient?_count=many"), 400, "invalid"),
        ("parameter of power", Ask::get("/fhir/Patient?_pid=1"), 400, "not-supported"),
        ("no such route", Ask::get("/nowhere/Patient/1"), 404, "not-supported"),
        ("no such type", Ask::get("/fhir/Patients/1"), 404, "not-supported"),
        ("wrong case", Ask::get("/fhir/patient/1"), 404, "not-supported"),
        ("method not allowed", Ask::new("DELETE", "/fhir/metadata"), 405, "not-supported"),
        ("unknown method", Ask::new("PROPFIND", "/fhir/Patient/1"), 405, "not-supported"),
        ("format that is not produced", accept("application/fhir+xml"), 406, "not-supported"),
        ("the same by parameter", Ask::get("/fhir/Patient/1?_format=xml"), 406, "not-supported"),
        (
            "format that is not consumed",
            Ask::new("POST", "/fhir/Patient").header("Content-Type", "application/fhir+xml").body("<a/>"),
            415,
            "not-supported",
        ),
        ("body too large", Ask::json("POST", "/fhir/Patient", " ".repeat(2000)), 413, "too-long"),
        ("server answers HTML", Ask::get("/fhir/Patient/page"), 502, "exception"),
        ("server resets", Ask::get("/fhir/Patient/reset"), 502, "transient"),
        ("server is silent", Ask::get("/fhir/Patient/silent"), 504, "timeout"),
    ];
    for (case, ask, status, code) in table {
        let reply = rig.send(ask).await;
        reply.assert_outcome(status, code, case);
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{case}");
        assert_eq!(reply.header("allow").is_some(), status == 405, "{case}: Allow goes with 405");
        assert_eq!(reply.json()["issue"][0]["severity"], "error", "{case}");
        let address = rig.standin.address().to_string();
        assert!(!format!("{reply:?}").contains(&address), "{case} names the server: {reply:?}");
    }
}

/// Heads that no pipeline ever sees; hyper answers these alone.
#[tokio::test]
async fn heads_over_the_limit_are_refused() {
    let rig = Rig::limited("request_head = \"16KiB\"").await;
    let long = "x".repeat(40_000);
    assert_eq!(rig.send(Ask::get("/fhir/Patient/1").header("X-Long", &long)).await.status, 431);
    let mut many = Ask::get("/fhir/Patient/1");
    for n in 0..200 {
        many = many.header(&format!("X-{n}"), "1");
    }
    assert_eq!(rig.send(many).await.status, 431);
    let url = rig.send(Ask::get(&format!("/fhir/Patient?name={long}"))).await;
    assert!(matches!(url.status, 414 | 431), "{url:?}");
    assert!(rig.arrived().is_empty());
}

/// A client's id is taken when it is plain, and replaced when it is not.
#[tokio::test]
async fn the_request_id_is_the_client_s_or_a_new_one() {
    let rig = Rig::start().await;
    rig.standin.always("GET", "/fhir/Patient/1", Answer::json(200, BODY));
    for (given, kept) in [
        ("abc-123._x", true),
        ("", false),
        ("a b", false),
        ("<script>", false),
        ("x\"y", false),
        (&"x".repeat(65), false),
        (&"x".repeat(64), true),
    ] {
        let reply = rig.send(Ask::get("/fhir/Patient/1").header("X-Request-Id", given)).await;
        let id = reply.header("x-request-id").unwrap().to_owned();
        assert_eq!(id == given, kept, "{given}");
        let arrived = rig.standin.requests_to("GET", "/fhir/Patient/1");
        assert_eq!(arrived.last().unwrap().header("x-request-id"), Some(id.as_str()));
    }
}

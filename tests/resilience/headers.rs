//! Every kind of header in one table: what becomes of it on the way to the server and on the way back.
//!
//! Kinds that more than one test is about have their own files: `hygiene.rs` (smuggling), `framing.rs`,
//! `browsers.rs` (CORS), `encodings.rs` (compression), `decoded.rs`, `xml.rs`, `rate.rs`.

use fireguard_test_support::standin::Answer;

use crate::http::{Ask, Reply};
use crate::rig::Rig;

/// What there is nothing of yet, and whom it waits for.
const LATER: [(&str, &str); 4] = [
    ("Authorization: an own token toward the server", "principals; until then none is sent"),
    ("WWW-Authenticate", "principals"),
    ("identity headers that are added", "principals; until then none is, and none of a client passes"),
    ("If-Match that a policy demands (428)", "policies"),
];

const TARGET: &str = "/fhir/Patient/1";
const BODY: &str = r#"{"resourceType":"Patient","id":"1"}"#;
const JSON: &str = "application/fhir+json;charset=utf-8";

/// A header's name and value; none: it is not there.
type Header = (&'static str, Option<&'static str>);

/// One line of the table.
struct Case {
    kind: &'static str,
    ask: Ask,
    answer: Answer,
    status: u16,
    /// What the server is sent; `None`: nothing at all.
    arrives: Option<Vec<Header>>,
    /// What the client is told.
    told: Vec<Header>,
}

/// A request that the server answers.
fn passes(kind: &'static str, ask: Ask, answer: Answer, arrives: &[Header], told: &[Header]) -> Case {
    Case { kind, ask, answer, status: 200, arrives: Some(arrives.to_vec()), told: told.to_vec() }
}

/// A request that is refused here.
fn refused(kind: &'static str, ask: Ask, status: u16) -> Case {
    Case { kind, ask, answer: answer(), status, arrives: None, told: vec![("content-type", Some(JSON))] }
}

fn get() -> Ask {
    Ask::get(TARGET)
}

fn put() -> Ask {
    Ask::json("PUT", TARGET, BODY)
}

fn body_of_type(method: &str, content_type: &str, body: &str) -> Ask {
    Ask::new(method, TARGET).header("Content-Type", content_type).body(body)
}

fn answer() -> Answer {
    Answer::json(200, BODY)
}

fn table() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(negotiation());
    cases.extend(conditions());
    cases.extend(identity_and_power());
    cases.extend(representation());
    cases
}

fn negotiation() -> Vec<Case> {
    let kind = "Accept and _format";
    let accepts = |accept| get().header("Accept", accept);
    let asked = &[("accept", Some("application/fhir+json"))];
    let fhir = &[("content-type", Some(JSON))];
    let plain = &[("content-type", Some("application/json;charset=utf-8"))];
    let mut cases = vec![
        passes(kind, accepts("application/fhir+json"), answer(), asked, fhir),
        passes(kind, accepts("application/json"), answer(), asked, plain),
        passes(kind, accepts("*/*"), answer(), asked, fhir),
        passes(kind, accepts("application/fhir+json; fhirVersion=4.0"), answer(), asked, fhir),
        passes(kind, accepts("text/html, application/fhir+json;q=0.1"), answer(), asked, fhir),
        refused(kind, accepts("text/html"), 406),
        refused(kind, accepts("application/fhir+xml"), 406),
        refused(kind, accepts("application/fhir+json; fhirVersion=5.0"), 406),
    ];
    for format in ["json", "application/json", "application/fhir+json", "application/fhir json"] {
        let target = format!("{TARGET}?_format={}", format.replace(' ', "%20"));
        cases.push(passes(kind, Ask::get(&target).header("Accept", "text/html"), answer(), asked, &[]));
    }
    for format in ["html", "text/html", "html/json", "xml", "ttl"] {
        cases.push(refused(kind, Ask::get(&format!("{TARGET}?_format={format}")), 406));
    }
    let kind = "Content-Type of a request";
    let patch = r#"[{"op":"remove","path":"/x"}]"#;
    let typed = &[("content-type", Some(JSON))];
    cases.extend([
        passes(kind, body_of_type("PUT", "application/json; charset=UTF-8", BODY), answer(), typed, &[]),
        passes(
            kind,
            body_of_type("PATCH", "application/json-patch+json", patch),
            answer(),
            &[("content-type", Some("application/json-patch+json"))],
            &[],
        ),
        refused(kind, body_of_type("PUT", "application/fhir+json; charset=iso-8859-1", BODY), 415),
        refused(kind, body_of_type("PUT", "text/plain", BODY), 415),
        refused(kind, body_of_type("PUT", "application/x-www-form-urlencoded", "a=b"), 415),
        refused(kind, body_of_type("PATCH", "application/merge-patch+json", "{}"), 415),
    ]);
    let kind = "Prefer";
    let prefers = put().header("Prefer", "return=minimal").header("Prefer", "handling=strict, x=y");
    let applied = answer().header("Preference-Applied", "return=minimal");
    cases.push(passes(
        kind,
        prefers,
        applied,
        &[("prefer", Some("return=minimal, handling=strict"))],
        &[("preference-applied", Some("return=minimal"))],
    ));
    cases
}

fn conditions() -> Vec<Case> {
    let tag = Some("W/\"3\"");
    let time = "Sat, 21 Nov 2026 15:50:00 GMT";
    let mut cases = vec![
        passes(
            "If-Match and ETag",
            put().header("If-Match", "W/\"3\""),
            answer().header("ETag", "W/\"3\""),
            &[("if-match", tag)],
            &[("etag", tag)],
        ),
        passes("If-Match and ETag", get(), answer(), &[("if-match", None)], &[("etag", None)]),
        passes(
            "If-Modified-Since",
            get().header("If-Modified-Since", time),
            answer(),
            &[("if-modified-since", Some(time))],
            &[("cache-control", Some("private, no-store"))],
        ),
        refused("If-Match and ETag", put().header("If-Match", "W/\"3\", W/\"4\""), 400),
        passes(
            "If-None-Exist",
            Ask::json("POST", "/fhir/Patient", BODY).header("If-None-Exist", "identifier=a%7Cb"),
            answer(),
            &[("if-none-exist", Some("identifier=a%7Cb"))],
            &[],
        ),
        refused(
            "If-None-Exist",
            Ask::json("POST", "/fhir/Patient", BODY).header("If-None-Exist", "_expunge=true"),
            400,
        ),
    ];
    cases.push(Case {
        kind: "If-None-Match",
        ask: get().header("If-None-Match", "W/\"3\""),
        answer: Answer::status(304).header("ETag", "W/\"3\"").header("Cache-Control", "public, max-age=99"),
        status: 304,
        arrives: Some(vec![("if-none-match", tag)]),
        told: vec![("etag", tag), ("cache-control", Some("private, no-store")), ("content-type", None)],
    });
    cases.push(Case {
        kind: "If-Match and ETag",
        ask: put().header("If-Match", "W/\"3\""),
        answer: Answer::outcome(412, "conflict"),
        status: 412,
        arrives: Some(vec![("if-match", tag)]),
        told: vec![("content-type", Some(JSON))],
    });
    cases
}

fn identity_and_power() -> Vec<Case> {
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut cases = vec![
        passes(
            "X-Request-Id and traceparent",
            get().header("X-Request-Id", "a-1.b_2").header("traceparent", trace),
            answer().header("X-Request-Id", "the-server's"),
            &[("x-request-id", Some("a-1.b_2")), ("traceparent", Some(trace))],
            &[("x-request-id", Some("a-1.b_2"))],
        ),
        passes(
            "X-Forwarded-*",
            get().header("X-Forwarded-For", "203.0.113.7").header("X-Forwarded-Prefix", "/evil"),
            answer(),
            &[("x-forwarded-for", Some("127.0.0.1")), ("x-forwarded-prefix", Some("/fhir"))],
            &[],
        ),
        passes(
            "hop by hop",
            get().header("Connection", "close, X-Forwarded-For, X-Request-Id").header("TE", "trailers"),
            answer().header("Connection", "X-Progress").header("Keep-Alive", "timeout=5"),
            &[("x-forwarded-for", Some("127.0.0.1")), ("te", None)],
            &[("keep-alive", None), ("connection", Some("close"))],
        ),
        passes("Set-Cookie", get(), answer().header("Set-Cookie", "a=b"), &[], &[("set-cookie", None)]),
    ];
    for (name, value) in [
        ("authorization", "Bearer x"),
        ("cookie", "a=b"),
        ("proxy-authorization", "Basic x"),
        ("forwarded", "for=203.0.113.7"),
        ("x-real-ip", "203.0.113.7"),
        ("x-intermediary", "x"),
        ("x-user", "x"),
    ] {
        let absent = [(name, None)];
        cases.push(passes("credentials and identity", get().header(name, value), answer(), &absent, &[]));
    }
    for (name, value) in [
        ("x-cascade", "delete"),
        ("x-rewrite-history", "1"),
        ("x-retry-on-version-conflict", "retry; max-retries=9"),
        ("x-security-context", "x"),
        ("x-request-partition-ids", "1"),
        ("x-request-source", "x"),
        ("cache-control", "max-results=1"),
        ("x-upsert-extistence-check", "disabled"),
    ] {
        let absent = [(name, None)];
        cases.push(passes("HAPI's powers", put().header(name, value), answer(), &absent, &[]));
    }
    for parameter in [
        "_pid=1",
        "_mdm=true",
        "subject:mdm=Patient/1",
        "_delete=true",
        "_cascade=delete",
        "_expunge=true",
        "_elements:exclude=name",
        "async=true",
        "response-url=http://evil.example",
        "_method=DELETE",
    ] {
        let target = format!("/fhir/Observation?{parameter}");
        cases.push(refused("HAPI's powers", Ask::get(&target), 400));
    }
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        cases.push(refused("another method", get().header(name, "DELETE"), 400));
    }
    cases
}

fn representation() -> Vec<Case> {
    let relayed = [
        ("last-modified", "Sat, 21 Nov 2026 15:50:00 GMT"),
        ("expires", "Sat, 21 Nov 2026 15:50:00 GMT"),
        ("x-progress", "half"),
        ("x-export-status", "202 Accepted"),
        ("retry-after", "7"),
        ("preference-applied", "return=minimal"),
        ("warning", "199 - x"),
        ("accept-patch", "application/json-patch+json"),
    ];
    let mut cases: Vec<_> = relayed
        .into_iter()
        .map(|(name, value)| {
            passes("relayed", get(), answer().header(name, value), &[], &[(name, Some(value))])
        })
        .collect();
    for (name, value) in [
        ("server", "Jetty"),
        ("x-powered-by", "HAPI FHIR 8"),
        ("content-md5", "x"),
        ("digest", "x"),
        ("accept-ranges", "bytes"),
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
        ("vary", "Origin"),
    ] {
        let absent = [(name, None)];
        cases.push(passes("software, digests, ranges", get(), answer().header(name, value), &[], &absent));
    }
    cases.extend([
        passes(
            "Cache-Control of an answer",
            get(),
            answer().header("Cache-Control", "public, max-age=600"),
            &[],
            &[("cache-control", Some("private, no-store"))],
        ),
        passes(
            "Content-Type of an answer",
            get(),
            Answer::status(200).header("Content-Type", "application/fhir+json; fhirVersion=4.0").body(BODY),
            &[],
            &[("content-type", Some(JSON)), ("x-content-type-options", Some("nosniff"))],
        ),
        passes(
            "Accept-Encoding",
            get().header("Accept-Encoding", "gzip, br, zstd"),
            answer(),
            &[("accept-encoding", None)],
            &[("content-encoding", None)],
        ),
        refused("Content-Encoding of a request", put().header("Content-Encoding", "compress"), 415),
        passes(
            "Range",
            get().header("Range", "bytes=0-1").header("If-Range", "W/\"3\""),
            answer(),
            &[("range", None), ("if-range", None)],
            &[("content-range", None)],
        ),
        // Refused by its head, and never told to go on.
        refused(
            "Expect",
            Ask::new("POST", "/fhir/$expunge")
                .header("Content-Type", "application/fhir+json")
                .header("Expect", "100-continue")
                .header("Content-Length", "1000"),
            403,
        ),
        passes(
            "content of a Binary",
            Ask::get("/fhir/Binary/1").header("Accept", "text/html"),
            Answer::html(200, "<script>"),
            &[],
            &[
                ("content-type", Some("text/html;charset=utf-8")),
                ("content-disposition", Some("attachment")),
                ("content-security-policy", Some("sandbox")),
                ("x-content-type-options", Some("nosniff")),
                ("cache-control", Some("private, no-store")),
            ],
        ),
    ]);
    cases
}

#[tokio::test]
async fn each_kind_of_header_is_treated_as_the_table_says() {
    let rig = Rig::start().await;
    let mut faults = Vec::new();
    for (number, case) in table().into_iter().enumerate() {
        let method = case.ask.method().to_owned();
        // Before a conditional write the version is looked up.
        rig.standin.always("*", TARGET, answer().header("ETag", "W/\"3\""));
        rig.standin.always(&method, "/fhir/*", case.answer);
        let before = rig.arrived().len();
        let asked = format!("{:?}", case.ask);
        let reply = rig.send(case.ask).await;
        let arrived = rig.arrived();
        let mut fault = |what: String| faults.push(format!("{number}, {}: {what}\n  {asked}", case.kind));
        if reply.status != case.status {
            fault(format!("{} instead of {}: {}", reply.status, case.status, reply.text()));
        }
        match (&case.arrives, arrived[before..].iter().find(|request| request.method == method)) {
            (None, Some(_)) => fault("reached the server".to_owned()),
            (Some(_), None) => fault("did not reach the server".to_owned()),
            (None, None) => {}
            (Some(expected), Some(received)) => {
                for (name, value) in expected.iter().filter(|(name, value)| received.header(name) != *value) {
                    fault(format!("{name} arrived as {:?}, not {value:?}", received.header(name)));
                }
            }
        }
        for (name, value) in case.told.iter().filter(|(name, value)| reply.header(name) != *value) {
            fault(format!("{name} is told as {:?}, not {value:?}", reply.header(name)));
        }
        everywhere(&reply).into_iter().for_each(fault);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for (kind, needs) in LATER {
        println!("later: {kind}: {needs}");
    }
}

/// What holds for every answer.
fn everywhere(reply: &Reply) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, value) in [("x-content-type-options", "nosniff"), ("cache-control", "private, no-store")] {
        let told: Vec<_> = reply.headers.iter().filter(|(present, _)| present == name).collect();
        if told.len() != 1 || told.iter().any(|(_, present)| present != value) {
            faults.push(format!("{name} is {told:?}"));
        }
    }
    for name in ["server", "x-powered-by", "set-cookie"] {
        if let Some(value) = reply.header(name) {
            faults.push(format!("{name}: {value}"));
        }
    }
    if reply.header("x-request-id").is_none() {
        faults.push("no x-request-id".to_owned());
    }
    faults
}

/// Links name the client's base, or are not told.
#[tokio::test]
async fn locations_name_the_clients_base() {
    let rig = Rig::start().await;
    let (here, there) = (format!("http://{}/fhir", rig.gateway.listen()), rig.standin.base_url());
    for name in ["Location", "Content-Location"] {
        for (value, expected) in [
            (format!("{there}/Patient/1/_history/1"), Some(format!("{here}/Patient/1/_history/1"))),
            ("Patient/1/_history/1".to_owned(), Some(format!("{here}/Patient/1/_history/1"))),
            ("http://elsewhere.example/Patient/1".to_owned(), None),
        ] {
            rig.standin.always("PUT", TARGET, Answer::json(201, BODY).header(name, &value));
            let reply = rig.send(put()).await;
            assert_eq!(reply.header(&name.to_ascii_lowercase()), expected.as_deref(), "{name}: {value}");
        }
    }
    let link = format!("<{there}/Patient?a=b>; rel=\"self\", <http://elsewhere.example/>; rel=\"next\"");
    rig.standin.always("GET", TARGET, answer().header("Link", &link));
    let expected = format!("<{here}/Patient?a=b>; rel=\"self\"");
    assert_eq!(rig.send(get()).await.header("link"), Some(expected.as_str()));
}

/// An id that could break a log line or a header is replaced by one of ours.
#[tokio::test]
async fn an_odd_request_id_is_replaced() {
    let rig = Rig::start().await;
    rig.standin.always("GET", TARGET, answer());
    let long = "x".repeat(65);
    for odd in ["a b", "a\"b", "ä", "", &long] {
        let reply = rig.send(get().header("X-Request-Id", odd)).await;
        let id = reply.header("x-request-id").unwrap().to_owned();
        assert!(reply.status == 200 && id != odd && id.len() == 36, "{odd:?}: {id:?}");
        assert_eq!(rig.arrived().last().unwrap().header("x-request-id"), Some(id.as_str()));
    }
}

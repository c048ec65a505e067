//! Formats, bodies, preferences and conditions that are understood.

use std::time::{Duration, SystemTime};

use super::*;
use crate::format::Format;

#[test]
fn body_kinds() {
    let raw = |media_type: &str| BodyKind::Raw(media_type.to_owned());
    for (method, url, content_type, expected) in [
        ("POST", "/Patient", Some(FHIR_JSON), BodyKind::FhirJson),
        ("POST", "/Patient", Some("application/fhir+json;charset=UTF-8"), BodyKind::FhirJson),
        (
            "POST",
            "/Patient",
            Some("application/fhir+json; charset=\"utf-8\"; fhirVersion=4.0"),
            BodyKind::FhirJson,
        ),
        ("POST", "/Patient", Some("application/json"), BodyKind::FhirJson),
        ("PUT", "/Patient/1", Some("text/json"), BodyKind::FhirJson),
        ("POST", "", Some("application/json; charset=utf-8"), BodyKind::FhirJson),
        ("PATCH", "/Patient/1", Some("application/json-patch+json"), BodyKind::JsonPatch),
        ("PATCH", "/Patient/1", Some(FHIR_JSON), BodyKind::FhirJson),
        ("POST", "/Patient/_search", Some(FORM), BodyKind::Form),
        (
            "POST",
            "/Patient/_search",
            Some("application/x-www-form-urlencoded; charset=utf-8"),
            BodyKind::Form,
        ),
        ("POST", "/Binary", Some(FHIR_JSON), BodyKind::FhirJson),
        ("POST", "/Binary", Some("application/json"), raw("application/json")),
        ("POST", "/Binary", Some("image/png"), raw("image/png")),
        ("PUT", "/Binary/1", Some("text/plain; charset=iso-8859-1"), raw("text/plain; charset=iso-8859-1")),
        ("POST", "/Patient/$validate", Some(FHIR_JSON), BodyKind::FhirJson),
        ("POST", "/$reindex", None, BodyKind::None),
        ("GET", "/Patient", Some("application/xml"), BodyKind::None),
        ("DELETE", "/Patient/1", Some(FHIR_JSON), BodyKind::None),
        ("GET", "/Patient/$everything", Some(FORM), BodyKind::None),
    ] {
        let found = parse(&Head { content_type, ..head(method, url) }).unwrap().body;
        assert_eq!(found, expected, "{method} {url} {content_type:?}");
    }
    assert_eq!(BodyKind::FhirJson.media_type(), Some("application/fhir+json"));
    assert_eq!(raw("image/png").media_type(), Some("image/png"));
    assert_eq!(BodyKind::None.media_type(), None);
}

#[test]
fn binaries_are_content_unless_the_resource_is_named() {
    for (url, accept, raw, format) in [
        ("/Binary/1", None, true, Format::FhirJson),
        ("/Binary/1", Some("*/*"), true, Format::FhirJson),
        ("/Binary/1", Some("application/json"), true, Format::Json),
        ("/Binary/1", Some("application/fhir+json"), false, Format::FhirJson),
        ("/Binary/1", Some("image/png"), true, Format::FhirJson),
        ("/Binary/1", Some("application/fhir+ndjson"), true, Format::FhirJson),
        ("/Binary/1?_format=json", None, false, Format::FhirJson),
        ("/Binary/1?_format=application/json", Some("image/png"), false, Format::Json),
        ("/Binary/1/_history/2", Some("application/pdf"), true, Format::FhirJson),
        ("/Binary/1/_history", None, false, Format::FhirJson),
        ("/Binary?_id=1", Some("*/*"), false, Format::FhirJson),
        ("/Patient/1", None, false, Format::FhirJson),
    ] {
        let request = parse(&Head { accept, ..head("GET", url) }).unwrap();
        assert_eq!((request.binary_raw, request.format), (raw, format), "{url} {accept:?}");
        assert_eq!(request.accept(), if raw { "*/*" } else { "application/fhir+json" });
    }
    assert_eq!(
        parse(&Head { accept: Some("text/xml"), ..head("GET", "/Binary/1") }).unwrap_err().status,
        406
    );
}

#[test]
fn preferences() {
    for (header, expected) in [
        (None, None),
        (Some(""), None),
        (Some("return=minimal"), Some("return=minimal")),
        (Some("return=OperationOutcome"), Some("return=OperationOutcome")),
        (Some("RETURN=\"representation\"; x=y"), Some("return=representation")),
        (Some("return=minimal, return=representation"), Some("return=minimal")),
        (Some("return=everything, wait=10"), None),
        (Some("handling=strict,respond-async"), Some("handling=strict, respond-async")),
        (Some("respond-async, separate-export-status"), Some("respond-async, separate-export-status")),
        (Some("handling=lenient"), Some("handling=lenient")),
    ] {
        let prefer = parse(&Head { prefer: header, ..head("GET", "/Patient") }).unwrap().prefer;
        assert_eq!(prefer.header().as_deref(), expected, "{header:?}");
        assert_eq!(Prefer::parse(prefer.header().as_deref()), prefer);
    }
}

fn conditions(head: &Head<'_>) -> Vec<(&'static str, String)> {
    parse(head).unwrap().preconditions.headers().collect()
}

#[test]
fn conditions_are_kept_where_they_mean_something() {
    let (get, put) = (head("GET", "/Patient/1"), with_type("PUT", "/Patient/1", FHIR_JSON));
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (head, expected) in [
        (Head { if_match: Some("W/\"3\""), ..put }, Some(("if-match", "W/\"3\""))),
        (Head { if_match: Some("3"), ..put }, Some(("if-match", "W/\"3\""))),
        (Head { if_none_match: Some("*"), ..put }, Some(("if-none-match", "*"))),
        (Head { if_match: Some("\"3\""), ..head("DELETE", "/Patient/1") }, Some(("if-match", "W/\"3\""))),
        (Head { if_none_match: Some("W/\"3\""), ..get }, Some(("if-none-match", "W/\"3\""))),
        (Head { if_none_match: Some("\"an other tag\""), ..get }, None),
        (Head { if_none_match: Some("*"), ..get }, None),
        (Head { if_modified_since: Some(date), ..get }, Some(("if-modified-since", date))),
        (Head { if_modified_since: Some("yesterday"), ..get }, None),
        (Head { if_match: Some("W/\"3\""), ..get }, None),
        (Head { if_none_match: Some("W/\"3\""), ..head("GET", "/Patient") }, None),
        (
            Head { if_none_exist: Some("identifier=urn:x|1"), ..with_type("POST", "/Patient", FHIR_JSON) },
            Some(("if-none-exist", "identifier=urn:x%7C1")),
        ),
        (
            Head {
                if_none_exist: Some("Patient?identifier=a%2Cb"),
                ..with_type("POST", "/Patient", FHIR_JSON)
            },
            Some(("if-none-exist", "identifier=a,b")),
        ),
        (
            Head { if_none_exist: Some("?url=http://x/y?z"), ..with_type("POST", "/ValueSet", FHIR_JSON) },
            Some(("if-none-exist", "url=http://x/y%3Fz")),
        ),
        (
            Head { if_none_exist: Some("url=http://x/y?z"), ..with_type("POST", "/ValueSet", FHIR_JSON) },
            Some(("if-none-exist", "url=http://x/y%3Fz")),
        ),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        assert_eq!(conditions(&head), expected, "{head:?}");
    }
    let since =
        parse(&Head { if_modified_since: Some(date), ..get }).unwrap().preconditions.if_modified_since;
    assert_eq!(since, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)));
}

//! What is refused, and with which status.

use super::*;
use crate::outcome::IssueCode;

fn refusal(head: &Head<'_>) -> Refusal {
    match parse(head) {
        Ok(request) => panic!("{head:?} was understood as {request:?}"),
        Err(refusal) => refusal,
    }
}

#[test]
fn paths() {
    for (path, status) in [
        ("Patient", 400),
        ("//", 400),
        ("//Patient", 400),
        ("/Patient//1", 400),
        ("/Patient/1//", 400),
        ("/./Patient", 400),
        ("/Patient/..", 400),
        ("/Patient/../Observation/1", 400),
        ("/Patient/%2e%2E/1", 400),
        ("/Patient/%2e", 400),
        ("/Patient%2f1", 400),
        ("/Patient%2F1", 400),
        ("/Patient%5c1", 400),
        ("/Patient\\1", 400),
        ("/Patient/1%00", 400),
        ("/Patient/%2531", 400),
        ("/Patient/%31%", 400),
        ("/Patient/%3", 400),
        ("/Patient/%+1", 400),
        ("/Patient/%zz", 400),
        ("/Patient;x/1", 400),
        ("/Patient/1;v=2", 400),
        ("/Patient/1%3b", 400),
        ("/Patient/a b", 400),
        ("/Patient/a+b", 400),
        ("/Patient/%C3%A4", 400),
        ("/Pätient", 400),
        ("/Patient/1#x", 400),
        ("/Patient/1?x", 400),
        ("/Patient/{id}", 400),
        ("/Patient/a:b", 400),
        ("/Patient/a_b", 400),
        ("/Patient/a~b", 400),
        ("/Patient/*", 400),
        ("/Patient/1\n", 400),
        ("/patient/1", 404),
        ("/PATIENT", 404),
        ("/Nope", 404),
        ("/Nope/1", 404),
        ("/Resource", 404),
        ("/SubscriptionStatus", 404),
        ("/*", 404),
        ("/Metadata", 404),
        ("/metadata/x", 404),
        ("/_history/1", 404),
        ("/_Search", 404),
        ("/actuator/health", 404),
        ("/swagger-ui", 404),
        ("/.well-known/smart-configuration", 404),
        ("/$", 404),
        ("/$1", 404),
        ("/Patient/$every$thing", 404),
        ("/$everything", 404),
        ("/Patient/$export-poll-status", 404),
        ("/Patient/1/_history/2/3", 404),
        ("/Patient/1/_history/2/$meta", 404),
        ("/Patient/1/observation", 404),
        ("/Patient/1/Nope", 404),
        ("/Observation/1/Patient", 404),
        ("/Patient/1/Observation/2", 404),
        ("/Patient/1/$everything/x", 404),
        ("/Patient/_nope", 400),
    ] {
        let found = refusal(&Head::new("GET", path));
        let code = if status == 404 { IssueCode::NotSupported } else { IssueCode::Invalid };
        assert_eq!((found.status, found.code), (status, code), "{path:?}: {found}");
    }
    for path in ["", "/"] {
        assert_eq!(refusal(&Head::new("GET", path)).status, 404);
    }
    let id = format!("/Patient/{}", "x".repeat(65));
    assert_eq!(refusal(&Head::new("GET", &id)).status, 400);
}

#[test]
fn methods() {
    for (method, path, allow) in [
        ("OPTIONS", "", &["GET", "HEAD", "POST"][..]),
        ("PUT", "/", &["GET", "HEAD", "POST"]),
        ("DELETE", "/?name=x", &["GET", "HEAD", "POST"]),
        ("POST", "/metadata", &["GET", "HEAD"]),
        ("OPTIONS", "/metadata", &["GET", "HEAD"]),
        ("TRACE", "/Patient", &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
        ("get", "/Patient", &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
        ("", "/Patient", &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
        ("POST", "/Patient/1", &["GET", "HEAD", "PUT", "PATCH", "DELETE"]),
        ("GET", "/Patient/_search?name=x", &["POST"]),
        ("HEAD", "/_search", &["POST"]),
        ("POST", "/Patient/_history", &["GET", "HEAD"]),
        ("DELETE", "/Patient/1/_history", &["GET", "HEAD"]),
        ("DELETE", "/Patient/1/_history/2", &["GET", "HEAD"]),
        ("POST", "/Patient/1/Observation", &["GET", "HEAD"]),
        ("GET", "/Patient/1/Observation/_search", &["POST"]),
        ("GET", "/$process-message", &["POST"]),
        ("GET", "/Patient/1/$meta-add", &["POST"]),
        ("DELETE", "/Patient/$everything", &["GET", "HEAD", "POST"]),
        ("POST", "/$export-poll-status", &["GET", "HEAD", "DELETE"]),
        ("POST", "/Composition/1/$document", &["GET", "HEAD"]),
        ("PUT", "/$unknown", &["GET", "HEAD", "POST"]),
    ] {
        let found = refusal(&head(method, path));
        assert_eq!(
            (found.status, found.code, found.allow),
            (405, IssueCode::NotSupported, allow),
            "{method} {path}"
        );
    }
}

#[test]
fn parameters() {
    use IssueCode::{Invalid, NotSupported};
    for (method, url, code) in [
        ("GET", "/Patient?a=%zz", Invalid),
        ("GET", "/Patient?a=%00", Invalid),
        ("GET", "/Patient?a=%ff", Invalid),
        ("GET", "/Patient?=x", Invalid),
        ("GET", "/Patient?na%20me=x", Invalid),
        ("GET", "/Patient?name=x#y", Invalid),
        ("GET", "/Patient?_pid=1", NotSupported),
        ("GET", "/Patient?%5Fpid=1", NotSupported),
        ("GET", "/Patient?_pid:missing=false", NotSupported),
        ("GET", "/Patient?_mdm=true", NotSupported),
        ("GET", "/Observation?subject:mdm=Patient/1", NotSupported),
        ("GET", "/Observation?subject:Patient.link:mdm=Patient/1", NotSupported),
        ("GET", "/Patient?_delete=true", NotSupported),
        ("GET", "/Patient?_offset=20", NotSupported),
        ("GET", "/Patient?_elements:exclude=name", NotSupported),
        ("GET", "/Patient?_method=DELETE", NotSupported),
        ("POST", "/$process-message?async=true&response-url=http://x", NotSupported),
        ("DELETE", "/Patient/1?_cascade=delete", NotSupported),
        ("DELETE", "/Patient?name=x&_expunge=true", NotSupported),
        ("GET", "/$export?patient=Patient/1", NotSupported),
        ("GET", "/$export?%70atient=Patient/1", NotSupported),
        ("GET", "/Composition/1/$document?persist=true", NotSupported),
        ("GET", "/Patient?_pretty=yes", Invalid),
        ("GET", "/Patient?_count=-1", Invalid),
        ("GET", "/Patient?_count=+1", Invalid),
        ("GET", "/Patient?_count=", Invalid),
        ("GET", "/Patient?_count=5&_count=5000", Invalid),
        ("GET", "/Patient?_summary=true&_summary=false", Invalid),
        ("GET", "/Patient?_format=json&_format=application/json", Invalid),
        ("GET", "/Patient?_getpages=x", Invalid),
        ("GET", "/Patient/$everything?_getpages=x", Invalid),
        ("GET", "/?_getpagesoffset=20", Invalid),
        ("GET", "/Patient/1/_history?_offset=-1", Invalid),
        ("GET", "/Patient/1/_history?_offset=20&_offset=40", Invalid),
        ("GET", "/Patient/1/_history?_offset:x=20", Invalid),
        ("GET", "/Patient/1?_summary:x=true", Invalid),
        ("GET", "/?_getpages=", Invalid),
        ("GET", "/?_getpages=a/b", Invalid),
        ("GET", "/?_getpages=a&_getpages=b", Invalid),
        ("GET", "/?_getpages=a&_getpagesoffset=-20", Invalid),
        ("GET", "/?_getpages=a&_getpagesoffset=%2B20", Invalid),
        ("GET", "/?_getpages=a&_getpagesoffset=99999999999", Invalid),
        ("GET", "/?_getpages=a&_bundletype=batch", Invalid),
        ("GET", "/?_getpages=a&name=x", Invalid),
        ("GET", "/Patient/1?_include=*", Invalid),
        ("GET", "/Patient/1?name=x", Invalid),
        ("GET", "/Patient/1/_history?name=x", Invalid),
        ("GET", "/metadata?name=x", Invalid),
        ("DELETE", "/Patient/1?name=x", Invalid),
        ("DELETE", "/Patient", Invalid),
        ("DELETE", "/Patient?_format=json", Invalid),
        ("DELETE", "/Patient?_count=1", Invalid),
        ("DELETE", "/Patient?name=x&_include=*", Invalid),
        ("DELETE", "/Patient?_since=2030-01-01", Invalid),
        ("DELETE", "/Patient?_text=x", Invalid),
        ("DELETE", "/Patient?_invented=x", Invalid),
        ("PATCH", "/Patient?name=x&_filter=y", Invalid),
        ("PUT", "/Patient?_id=x&_type=Observation", Invalid),
        ("DELETE", "/Patient?name=", Invalid),
        ("DELETE", "/Patient?_id=1&name:exact=", Invalid),
        ("DELETE", "/Patient?name=,", Invalid),
        ("DELETE", "/Patient?identifier=%7C", Invalid),
        ("DELETE", "/Patient?name=%20", Invalid),
    ] {
        let found = refusal(&with_type(method, url, FHIR_JSON));
        assert_eq!((found.status, found.code), (400, code), "{method} {url}: {found}");
    }
    let long = format!("name={}", "x".repeat(crate::parameters::MAX_LENGTH));
    assert_eq!(refusal(&Head { query: Some(&long), ..Head::new("GET", "/Patient") }).status, 414);
}

#[test]
fn forms() {
    let request = parse(&with_type("POST", "/Patient/_search?_count=5", FORM)).unwrap();
    for body in [
        &b"_pid=1"[..],
        b"_count=6",
        b"a=%zz",
        b"_format=xml",
        b"_pretty=1",
        b"_getpages=x",
        b"subject%3Amdm=1",
    ] {
        assert!(request.clone().with_form(body, false).is_err(), "{}", String::from_utf8_lossy(body));
    }
    assert_eq!(parse(&head("GET", "/Patient")).unwrap().with_form(b"name=x", false).unwrap_err().status, 415);
}

#[test]
fn formats_that_are_not_json() {
    for accept in [
        "application/fhir+xml",
        "text/html",
        "application/fhir+ndjson",
        "text/csv",
        "application/fhir+json; fhirVersion=3.0",
    ] {
        let found = refusal(&Head { accept: Some(accept), ..head("GET", "/Patient/1") });
        assert_eq!((found.status, found.code), (406, IssueCode::NotSupported), "{accept}");
    }
    for format in ["xml", "ttl", "html", "application/fhir%2Bxml", "application/fhir+json;%20fhirVersion=5.0"]
    {
        let query = format!("_format={format}");
        let found = refusal(&Head { query: Some(&query), ..head("GET", "/Patient/1") });
        assert_eq!((found.status, found.code), (406, IssueCode::NotSupported), "{format}");
    }
    // `_format` beats `Accept`.
    let head = Head { accept: Some("text/html"), ..head("GET", "/Patient/1?_format=json") };
    assert!(parse(&head).is_ok());
}

#[test]
fn content_types() {
    for (method, url, content_type) in [
        ("POST", "/Patient", None),
        ("POST", "/Patient", Some("")),
        ("POST", "/Patient", Some("text/plain")),
        ("POST", "/Patient", Some("application/fhir+xml")),
        ("POST", "/Patient", Some("application/fhir+json; charset=utf-16")),
        ("POST", "/Patient", Some("application/fhir+json; charset=iso-8859-1")),
        ("POST", "/Patient", Some("application/fhir+json; fhirVersion=5.0")),
        ("POST", "/Patient", Some("application/fhir+json, text/plain")),
        ("POST", "/Patient", Some(FORM)),
        ("POST", "/Patient", Some("application/json-patch+json")),
        ("PUT", "/Patient/1", None),
        ("PUT", "/Patient?_id=1", None),
        ("POST", "/", None),
        ("POST", "/", Some("application/xml")),
        ("PATCH", "/Patient/1", None),
        ("PATCH", "/Patient/1", Some("application/xml-patch+xml")),
        ("PATCH", "/Patient/1", Some("application/merge-patch+json")),
        ("PATCH", "/Patient/1", Some("application/fhir+xml")),
        ("POST", "/Patient/_search", None),
        ("POST", "/Patient/_search", Some(FHIR_JSON)),
        ("POST", "/Patient/_search", Some("application/x-www-form-urlencoded; charset=utf-16")),
        ("POST", "/_search", None),
        ("POST", "/Patient/$validate", Some(FORM)),
        ("POST", "/$graphql", Some("application/graphql")),
        ("POST", "/Binary", None),
        ("POST", "/Binary", Some("application/fhir+ndjson")),
        ("POST", "/Binary", Some("application/fhir+xml")),
        ("POST", "/Binary", Some("application/xml")),
        ("PUT", "/Binary/1", Some("text/xml; charset=utf-8")),
        ("POST", "/Binary", Some("application/json+fhir")),
        ("POST", "/Binary", Some(FORM)),
        ("POST", "/Binary", Some("nonsense")),
        ("POST", "/Binary", Some("image/png\r\nX: y")),
    ] {
        let found = refusal(&Head { content_type, ..head(method, url) });
        assert_eq!(
            (found.status, found.code),
            (415, IssueCode::NotSupported),
            "{method} {url} {content_type:?}"
        );
    }
}

#[test]
fn conditions() {
    let put = with_type("PUT", "/Patient/1", FHIR_JSON);
    let post = with_type("POST", "/Patient", FHIR_JSON);
    for head in [
        Head { if_match: Some("*"), ..put },
        Head { if_match: Some("W/\"1\", W/\"2\""), ..put },
        Head { if_match: Some(""), ..put },
        Head { if_none_match: Some("W/\"1\""), ..put },
        Head { if_none_exist: Some("name=x"), ..put },
        Head { if_match: Some("W/\"1\""), ..post },
        Head { if_none_match: Some("*"), ..post },
        Head { if_none_exist: Some(""), ..post },
        Head { if_none_exist: Some("name="), ..post },
        Head { if_none_exist: Some("_count=1"), ..post },
        Head { if_none_exist: Some("_pid=1"), ..post },
        Head { if_none_exist: Some("name=%zz"), ..post },
        Head { if_none_exist: Some("Observation?name=x"), ..post },
        Head { if_none_exist: Some("http://h/fhir/Patient?name=x"), ..post },
    ] {
        assert_eq!(refusal(&head).status, 400, "{head:?}");
    }
}

#[test]
fn messages_quote_no_values() {
    for head in [
        head("GET", "/SECRET-Ü/1"),
        head("GET", "/Patient/SECRET_1"),
        head("GET", "/Patient?_count=SECRET"),
        head("GET", "/Patient?_pretty=SECRET"),
        head("GET", "/Patient?_format=SECRET"),
        head("GET", "/?_getpages=SECRET_"),
        Head { accept: Some("SECRET/x"), ..head("GET", "/Patient") },
        Head { if_match: Some("SECRET_"), ..with_type("PUT", "/Patient/1", FHIR_JSON) },
        with_type("POST", "/Patient", "SECRET/x"),
    ] {
        let message = refusal(&head).message;
        assert!(!message.contains("SECRET"), "{message}");
    }
    let odd = format!("/Nope<script>{}", "x".repeat(500));
    assert!(refusal(&head("GET", &odd)).message.len() < 150);
}

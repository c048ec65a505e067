//! For any text: no panic, and what is written again is understood as the same.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;

/// Writes a request and reads it again.
fn again(request: &Request) -> Result<Request, Refusal> {
    let target = request.target();
    let (path, query) = target
        .path_and_query
        .split_once('?')
        .map_or((target.path_and_query.as_str(), None), |(p, q)| (p, Some(q)));
    let conditions: Vec<_> = request.preconditions.headers().collect();
    let condition =
        |wanted: &str| conditions.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.as_str());
    let prefer = request.prefer.header();
    let head = Head {
        xml: false,
        method: target.method,
        path,
        query,
        content_type: request.body.media_type(),
        accept: Some(request.format.media_type()).filter(|_| {
            // A Binary's content is what comes when its resource is not named.
            !(request.binary_raw && request.format == crate::format::Format::FhirJson)
        }),
        prefer: prefer.as_deref(),
        if_match: condition("if-match"),
        if_none_match: condition("if-none-match"),
        if_modified_since: condition("if-modified-since"),
        if_none_exist: condition("if-none-exist"),
        pages: Pages::Plain,
    };
    let read = parse(&head)?;
    match request.form() {
        Some(form) => read.with_form(form.as_bytes(), false),
        None => Ok(read),
    }
}

/// As `again`, for a request that came in by `Accept: application/json` and names `_format` no more.
fn same(request: Request) -> Result<(), TestCaseError> {
    let mut read =
        again(&request).map_err(|refusal| TestCaseError::fail(format!("{request:?}: {refusal:?}")))?;
    if request.interaction.resource_type() == Some(ResourceType::Binary)
        && request.format == crate::format::Format::Json
    {
        // `_format=application/json` asks for the resource, `Accept: application/json` for the content.
        read.binary_raw = request.binary_raw;
    }
    prop_assert_eq!(read, request);
    Ok(())
}

/// Requests that mostly are understood: method, path, content type.
fn line() -> impl Strategy<Value = (&'static str, String, Option<&'static str>)> {
    let routes = vec![
        ("GET", "/Patient", None),
        ("GET", "/", None),
        ("GET", "", None),
        ("GET", "/%50atient/ID/Observation/", None),
        ("GET", "/Encounter/ID/*", None),
        ("POST", "/Patient/_search", Some(FORM)),
        ("POST", "/_search", Some(FORM)),
        ("POST", "/Device/ID/Observation/_search", Some(FORM)),
        ("GET", "/Patient/ID", None),
        ("HEAD", "/Binary/ID/", None),
        ("GET", "/Binary/ID/_history/2", None),
        ("GET", "/Patient/ID/_history", None),
        ("GET", "/Patient/_history", None),
        ("GET", "/_history", None),
        ("GET", "/metadata", None),
        ("POST", "/Patient", Some(FHIR_JSON)),
        ("POST", "/Binary", Some("image/png")),
        ("PUT", "/Patient/ID", Some("application/json")),
        ("PUT", "/Patient", Some(FHIR_JSON)),
        ("PATCH", "/Patient/ID", Some("application/json-patch+json")),
        ("PATCH", "/Patient", Some(FHIR_JSON)),
        ("DELETE", "/Patient/ID", None),
        ("DELETE", "/Patient", None),
        ("POST", "/", Some(FHIR_JSON)),
        ("GET", "/Patient/ID/$everything", None),
        ("GET", "/$export", None),
        ("DELETE", "/$export-poll-status", None),
        ("POST", "/Patient/ID/$meta-add", Some(FHIR_JSON)),
        ("POST", "/Patient/$own.operation", None),
    ];
    (select(routes), "[A-Za-z0-9.-]{1,8}")
        .prop_map(|((method, path, content_type), id)| (method, path.replace("ID", &id), content_type))
}

fn parameters() -> impl Strategy<Value = String> {
    let encoded = "\\PC{1,10}".prop_map(|value| utf8_percent_encode(&value, NON_ALPHANUMERIC).to_string());
    let search = (select(vec!["name", "subject:Patient.name", "_id", "%6eame", "_tag:not"]), encoded)
        .prop_map(|(name, value)| format!("{name}={value}"));
    let known = vec![
        "_format=json",
        "_format=application/fhir json",
        "_format=application/json",
        "_pretty=true",
        "_pretty=false",
        "_summary=true",
        "_elements=name,id",
        "_count=20",
        "_include=a:b",
        "name=x%2Cy&name=a+b",
        "_getpages=a-1&_getpagesoffset=20&_bundletype=searchset",
        "_getpages=a-1&_pageId=x&_bundletype=history&_count=5",
        "patient=1",
        "&&",
    ];
    vec(prop_oneof![search, select(known).prop_map(str::to_owned)], 0..3).prop_map(|list| list.join("&"))
}

fn accept() -> impl Strategy<Value = Option<&'static str>> {
    option::of(select(vec!["*/*", FHIR_JSON, "application/json", "image/png", "text/html, */*;q=0.1"]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_is_written_again_is_the_same(
        (method, path, content_type) in line(),
        (query, body, accept) in (option::of(parameters()), parameters(), accept()),
        prefer in option::of(select(vec!["return=minimal", "respond-async, handling=strict"])),
        tag in option::of(select(vec!["W/\"1\"", "*", "2", "x y"])),
        if_none_exist in option::weighted(0.2, parameters()),
        date in option::of(Just("Sun, 06 Nov 1994 08:49:37 GMT")),
    ) {
        let head = Head {
            method,
            path: &path,
            query: query.as_deref(),
            content_type,
            accept,
            prefer,
            if_match: tag.filter(|_| !matches!(method, "POST")),
            if_none_match: tag.filter(|_| matches!(method, "GET" | "HEAD")),
            if_modified_since: date,
            if_none_exist: if_none_exist.as_deref().filter(|_| method == "POST"),
            pages: Pages::Plain,
            xml: false,
        };
        let Ok(request) = parse(&head) else { return Ok(()) };
        if request.body == BodyKind::Form
            && let Ok(request) = request.clone().with_form(body.as_bytes(), false)
        {
            same(request)?;
        }
        same(request)?;
    }

    #[test]
    fn any_text_is_understood_or_refused(
        (method, path, query) in (any::<String>(), any::<String>(), any::<Option<String>>()),
        headers in vec(any::<Option<String>>(), 7),
        body in any::<Vec<u8>>(),
    ) {
        let head = Head {
            method: &method,
            path: &path,
            query: query.as_deref(),
            content_type: headers[0].as_deref(),
            accept: headers[1].as_deref(),
            prefer: headers[2].as_deref(),
            if_match: headers[3].as_deref(),
            if_none_match: headers[4].as_deref(),
            if_modified_since: headers[5].as_deref(),
            if_none_exist: headers[6].as_deref(),
            pages: Pages::Plain,
            xml: false,
        };
        for head in [head, Head { method: "POST", path: "/Patient/_search", query: None, ..head }] {
            let _ = parse(&head).map(|request| request.with_form(&body, false));
        }
        let _ = parse(&Head { method: "PUT", path: "/Binary/1", query: None, ..head });
        let _ = parse(&Head { method: "POST", path: "/Patient", query: None, ..head });
        for refusal in [parse(&head).err()].into_iter().flatten() {
            prop_assert!((400..=415).contains(&refusal.status));
            prop_assert_eq!(refusal.allow.is_empty(), refusal.status != 405);
        }
    }
}

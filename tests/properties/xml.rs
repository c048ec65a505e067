//! XML is treated as JSON is: whatever a document is written in, the same of it changes, and its entries ask for the
//! same.

use std::fmt::Write as _;
use std::sync::Arc;

use fireguard_fhir::base::Base;
use fireguard_fhir::bundle::requests::Requests;
use fireguard_fhir::document::Syntax;
use fireguard_fhir::references::ConditionalReferences;
use fireguard_fhir::urls::{Relative, Rewrite, Scope, UrlRewriter};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::samples::bundles;

const THEIRS: &str = "http://hapi.internal:8080/fhir";
const OURS: &str = "https://fireguard.example/r4";

/// A resource of FHIR JSON as FHIR XML (R4 xml.html).
fn to_xml(resource: &Value) -> String {
    let mut out = String::new();
    if let Value::Object(resource) = resource {
        write_resource(resource, &mut out);
    }
    out
}

fn write_resource(resource: &Map<String, Value>, out: &mut String) {
    let name = resource["resourceType"].as_str().unwrap();
    write!(out, "<{name} xmlns=\"http://hl7.org/fhir\">").unwrap();
    write_members(resource, &["resourceType"], out);
    write!(out, "</{name}>").unwrap();
}

fn write_members(object: &Map<String, Value>, without: &[&str], out: &mut String) {
    for (name, value) in object.iter().filter(|(name, _)| !without.contains(&name.as_str())) {
        // What stands beside a primitive stands in its element.
        let (name, value, beside) = match name.strip_prefix('_') {
            Some(plain) if object.contains_key(plain) => continue,
            Some(plain) => (plain, &Value::Null, Some(value)),
            None => (name.as_str(), value, object.get(&format!("_{name}"))),
        };
        let many =
            [value, beside.unwrap_or(&Value::Null)].iter().filter_map(|v| v.as_array()).map(Vec::len).max();
        match many {
            None => write_element(name, value, beside, out),
            Some(many) => (0..many).for_each(|at| {
                let of = |list: &Value| list.get(at).cloned().unwrap_or(Value::Null);
                write_element(name, &of(value), beside.map(of).as_ref(), out);
            }),
        }
    }
}

fn write_element(name: &str, value: &Value, beside: Option<&Value>, out: &mut String) {
    if name == "div" {
        out.push_str(value.as_str().unwrap());
        return;
    }
    write!(out, "<{name}").unwrap();
    let inside = value.as_object().or(beside.and_then(Value::as_object)).cloned().unwrap_or_default();
    if inside.contains_key("resourceType") {
        out.push('>');
        write_resource(&inside, out);
    } else {
        let mut attributes = vec!["id"];
        attributes.extend(["extension", "modifierExtension"].contains(&name).then_some("url"));
        for attribute in &attributes {
            if let Some(Value::String(text)) = inside.get(*attribute) {
                write!(out, " {attribute}=\"{}\"", escaped(text)).unwrap();
            }
        }
        match value {
            Value::String(text) => write!(out, " value=\"{}\"", escaped(text)).unwrap(),
            Value::Number(number) => write!(out, " value=\"{number}\"").unwrap(),
            Value::Bool(truth) => write!(out, " value=\"{truth}\"").unwrap(),
            Value::Null | Value::Array(_) | Value::Object(_) => {}
        }
        out.push('>');
        write_members(&inside, &attributes, out);
    }
    write!(out, "</{name}>").unwrap();
}

fn escaped(text: &str) -> String {
    let mut out = Vec::new();
    fireguard_fhir::xml::write_escaped(&mut out, text);
    String::from_utf8(out).unwrap()
}

fn through(mut rewriter: UrlRewriter, text: &str, size: usize) -> String {
    let mut out = Vec::new();
    for chunk in text.as_bytes().chunks(size) {
        rewriter
            .feed(chunk, &mut out)
            .unwrap_or_else(|error| panic!("{error}: {}", &text[..text.len().min(300)]));
    }
    rewriter.finish().unwrap();
    String::from_utf8(out).unwrap()
}

fn rewriters(failure: bool) -> [(&'static str, UrlRewriter); 3] {
    let base = |text| Base::parse(text).unwrap();
    let outward = || Arc::new(Rewrite::new(vec![base(THEIRS)], base(OURS)));
    [
        ("elements", UrlRewriter::new(outward(), Scope::Elements).of_failure(failure)),
        ("everything", UrlRewriter::new(outward(), Scope::Everything).of_failure(failure)),
        ("inward", UrlRewriter::toward_server(Arc::new(Relative::new(base(OURS))), false)),
    ]
}

/// The document changes as XML as it does as JSON.
fn assert_alike(resource: &Value, size: usize) {
    for failure in [false, true] {
        let pairs = rewriters(failure).into_iter().zip(rewriters(failure));
        for ((way, as_json), (_, as_xml)) in pairs {
            let json: Value = serde_json::from_str(&through(as_json, &resource.to_string(), size)).unwrap();
            let xml = through(as_xml.reading(Syntax::Xml), &to_xml(resource), size);
            assert!(xml == to_xml(&json), "{way} {failure}:\n{xml}\n{}", to_xml(&json));
        }
    }
}

#[test]
fn samples_change_alike() {
    // The larger ones are more of the same.
    for sample in bundles().into_iter().filter(|sample| sample.bytes.len() < 300_000) {
        let text = String::from_utf8(sample.bytes).unwrap();
        for base in [THEIRS, OURS] {
            let text = text.replace("urn:uuid:", &format!("{base}/Patient/"));
            assert_alike(&serde_json::from_str(&text).unwrap(), 4096);
        }
    }
}

#[test]
fn documents_change_alike() {
    let long = "x".repeat(9_000);
    for (text, size) in [
        (
            json!({"resourceType": "Bundle", "type": "searchset",
            "link": [{"relation": "next", "url": "@?_getpages=1&_getpagesoffset=2"}],
            "entry": [{"fullUrl": "@/Patient/1", "link": [{"relation": "x", "url": "@/y"}],
                "resource": {"resourceType": "Patient", "id": "1", "photo": [{"url": "@/Binary/1"}],
                    "contained": [{"resourceType": "Observation", "subject": {"reference": "@/Patient/2"}}],
                    "text": {"status": "generated",
                        "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"@/Patient/1\">@/Patient/1</a>\
                                <img alt='x' src='@/Binary/1'/></div>"},
                    "extension": [{"url": "@/StructureDefinition/x", "valueUrl": "@/Binary/2"}],
                    "_birthDate": {"id": "b", "extension": [{"url": "@/x", "valueReference": {"reference": "@/P/1"}}]}},
                "request": {"method": "PUT", "url": "@/Patient/1", "ifNoneExist": "subject=@/Patient/1"},
                "response": {"status": "200", "location": "@/Patient/1/_history/1",
                    "outcome": {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "x",
                        "diagnostics": "HAPI-1091: Invalid match URL \"Patient?identifier=secret\"",
                        "details": {"text": "see @/Patient/1"}}]}}}]}),
            7,
        ),
        (
            json!({"resourceType": "Subscription", "criteria": "@/Observation?subject=@/Patient/1", "channel": {"endpoint": "@/hook"}}),
            1,
        ),
        (
            json!({"resourceType": "CapabilityStatement", "implementation": {"url": "@"}, "url": "@/metadata",
            "rest": [{"mode": "server", "operation": [{"name": "x", "definition": "@/OperationDefinition/x"}]}]}),
            3,
        ),
        (
            json!({"resourceType": "Parameters", "parameter": [
            {"name": "websocket-url", "valueUri": "ws://hapi.internal:8080/fhir/ws"},
            {"name": "url", "valueUri": "@/ValueSet/1"}, {"name": "p", "part": [{"name": "a-url", "valueUri": "@/y"}]},
            {"name": "r", "resource": {"resourceType": "Patient", "link": [{"other": {"reference": "@/Patient/2"}}]}}]}),
            64,
        ),
        (
            json!({"resourceType": "OperationOutcome",
            "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>secret</p></div>"},
            "issue": [{"severity": "error", "code": "x", "diagnostics": "See @/Patient/1"},
                {"severity": "error", "code": "x", "diagnostics": "Resource was deleted at @"},
                {"severity": "error", "code": "x", "diagnostics": "ERROR: insert into HFJ_X\nvalues ('secret')"},
                {"severity": "error", "code": "x", "diagnostics": format!("HAPI-0450: {long}{long}{long}{long}{long}{long}{long}{long}")}]}),
            100,
        ),
        (json!({"resourceType": "Binary", "contentType": "x/y", "data": long}), 100),
        (
            json!({"resourceType": "DocumentReference", "content": [{"attachment": {"url": format!("@/Binary/1?{long}")}}]}),
            1000,
        ),
        (
            json!({"resourceType": "ValueSet", "url": "@/ValueSet/x", "meta": {"profile": ["@/y"]},
            "identifier": [{"system": "@/sid", "value": "@/1"}]}),
            5,
        ),
    ] {
        for base in [THEIRS, OURS] {
            let text = text.to_string().replace('@', base);
            assert_alike(&serde_json::from_str(&text).unwrap(), size);
        }
    }
}

/// What is asked for, or the status of its refusal.
type Asked = Result<String, u16>;

/// What the entries of a Bundle ask for, and its kind.
fn entries(syntax: Syntax, text: &str, size: usize) -> Option<(Vec<Asked>, Option<bool>)> {
    let mut requests = Requests::new(syntax);
    let mut found = Vec::new();
    for chunk in text.as_bytes().chunks(size) {
        for entry in requests.feed(chunk).ok()? {
            let request = entry.parse(entry.url());
            found.push(request.map(|request| format!("{request:?}")).map_err(|refusal| refusal.status));
        }
    }
    requests.finish().ok()?;
    Some((found, requests.kind().ok().map(|kind| format!("{kind:?}") == "Batch")))
}

fn references(syntax: Syntax, text: &str, size: usize) -> Vec<Result<String, u16>> {
    let mut references = ConditionalReferences::new(syntax);
    let mut found = Vec::new();
    for chunk in text.as_bytes().chunks(size) {
        for reference in references.feed(chunk).unwrap() {
            found
                .push(reference.parse().map(|r| r.target().path_and_query).map_err(|refusal| refusal.status));
        }
    }
    found
}

#[test]
fn entries_and_references_are_read_alike() {
    let partition = "http://hapifhir.io/fhir/ns/StructureDefinition/request-partition-ids";
    let patient =
        json!({"resourceType": "Patient", "link": [{"other": {"reference": "Patient?name=x&amp=y"}}]});
    for (entry, status) in [
        (json!({"request": {"method": "GET", "url": "Patient?name=a&birthdate=b"}}), 200),
        (json!({"request": {"method": "DELETE", "url": "Patient?identifier=a%7Cb"}}), 200),
        (
            json!({"request": {"method": "PUT", "url": "Patient/1", "ifMatch": "W/\"2\""}, "resource": patient}),
            200,
        ),
        (
            json!({"request": {"method": "POST", "url": "Patient", "ifNoneExist": "identifier=a|b"}, "resource": patient}),
            200,
        ),
        (json!({"request": {"method": "POST", "url": "Observation"}, "resource": patient}), 400),
        (json!({"request": {"method": "POST", "url": "Patient"}}), 400),
        (json!({"request": {"method": "POST", "url": "Patient/$validate"}, "resource": patient}), 400),
        (json!({"request": {"method": "DELETE", "url": "Patient?identifier=x&_cascade=delete"}}), 400),
        (json!({"request": {"method": "get", "url": "Patient/1"}}), 405),
        (json!({"request": {"method": "GET", "url": "//Patient/1"}}), 400),
        (
            json!({"request": {"method": "GET", "url": "Patient/1"}, "extension": [{"url": "urn:x", "valueString": "y"}]}),
            200,
        ),
        (
            json!({"request": {"method": "GET", "url": "Patient/1"}, "extension": [{"url": partition, "valueString": "y"}]}),
            400,
        ),
        (json!({"request": {"url": "Patient/1"}}), 405),
        (json!({"request": {"_method": {"id": "x"}, "url": "Patient/1"}}), 405),
        (json!({"fullUrl": "urn:uuid:1"}), 405),
        (json!({"request": {"method": "GET", "url": format!("Patient?name={}", "x".repeat(20_000))}}), 400),
    ] {
        for kind in ["batch", "transaction", "collection"] {
            let bundle = json!({"resourceType": "Bundle", "type": kind, "entry": [entry]});
            let (json, xml) = (bundle.to_string(), to_xml(&bundle));
            for size in [1, 9, 1 << 20] {
                let read = entries(Syntax::Json, &json, size).unwrap();
                assert_eq!(read.0[0].as_ref().err().copied().unwrap_or(200), status, "{json}");
                let as_xml = entries(Syntax::Xml, &xml, size).unwrap();
                // An element without a value is not formed, whatever is said of it in JSON.
                let odd = entry["request"]["_method"].is_object();
                assert!(as_xml == read || (odd && as_xml.0 == [Err(400)]), "{xml}: {as_xml:?} {read:?}");
                assert_eq!(references(Syntax::Json, &json, size), references(Syntax::Xml, &xml, size));
            }
        }
    }
}

#[test]
fn what_json_cannot_say_is_refused() {
    let entry = |inside: &str| {
        format!(
            "<Bundle xmlns=\"http://hl7.org/fhir\"><type value=\"batch\"/><entry>{inside}</entry></Bundle>"
        )
    };
    let get = "<method value=\"GET\"/><url value=\"Patient/1\"/>";
    let request = format!("<request>{get}</request>");
    assert_eq!(entries(Syntax::Xml, &entry(&request), 9).unwrap().0.len(), 1);
    for inside in [
        format!("{request}{request}"),
        format!("<request>{get}<method value=\"DELETE\"/></request>"),
        format!("<request>{get}<url value=\"Patient/2\"/></request>"),
        format!("<resource><Patient/></resource><resource><Observation/></resource>{request}"),
        format!("<resource><Patient/><Observation/></resource>{request}"),
        format!("<resource><Patient><resourceType value=\"Observation\"/></Patient></resource>{request}"),
        format!("<f:request>{get}</f:request>"),
        format!("<request xmlns=\"urn:other\">{get}</request>"),
        "<request><method>GET</method><url value=\"Patient/1\"/></request>".to_owned(),
        format!("{request}<!DOCTYPE x>"),
    ] {
        assert_eq!(entries(Syntax::Xml, &entry(&inside), 9), None, "{inside}");
    }
}

/// Some JSON of FHIR's shape.
fn resources() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just(format!("{THEIRS}/Patient/1")),
        Just(format!("{OURS}/Patient/1?a=b&c=<\"'>")),
        Just("Patient/1".to_owned()),
        "[a-z&<>\"' \\n:/?é]{1,12}",
    ];
    let leaf = prop_oneof![
        text.prop_map(Value::String),
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from)
    ];
    let name = prop::sample::select(vec![
        "url",
        "reference",
        "fullUrl",
        "location",
        "response",
        "request",
        "link",
        "valueUrl",
        "valueUri",
        "criteria",
        "identifier",
        "extension",
        "issue",
        "details",
        "diagnostics",
        "text",
        "parameter",
        "name",
        "part",
        "entry",
    ]);
    let tree = leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::btree_map(name.clone(), inner.clone(), 1..6).prop_map(|members| Value::Object(
                members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
            )),
            prop::collection::vec(inner.prop_filter("no list in a list", |v| !v.is_array()), 1..3)
                .prop_map(Value::Array),
        ]
    });
    let root = prop::sample::select(vec!["Basic", "Bundle", "OperationOutcome", "Parameters"]);
    (root, tree).prop_map(|(root, tree)| {
        json!({"resourceType": root, "unknown": tree, "entry": [{"resource": {
        "resourceType": "Basic", "subject": {"reference": format!("{THEIRS}/Patient/1")}}}]})
    })
}

proptest! {
    #[test]
    fn whatever_it_is_it_changes_alike(resource in resources(), size in 1usize..60) {
        assert_alike(&resource, size);
    }
}

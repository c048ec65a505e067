use proptest::prelude::*;
use serde_json::{Value, json};

use super::join::Joiner;
use super::split::{SplitError, Splitter};
use super::*;

fn split(text: &[u8], size: usize) -> Result<Vec<Piece>, SplitError> {
    let mut splitter = Splitter::new(10_000);
    let mut pieces = Vec::new();
    for chunk in text.chunks(size) {
        pieces.extend(splitter.feed(chunk)?);
    }
    splitter.finish()?;
    Ok(pieces)
}

fn join(pieces: Vec<Piece>) -> Value {
    let mut joiner = Joiner::new("http://x/r4".into());
    let mut out = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Type(kind) => joiner.kind(kind),
            Piece::Link { relation, url } => joiner.link(relation, url),
            Piece::Entry(entry) => {
                let resource = entry.resource.clone().unwrap();
                let value: Value = serde_json::from_slice(&resource).unwrap();
                let identity = (value["resourceType"].as_str().unwrap(), value["id"].as_str());
                joiner.entry(&mut out, &entry, identity, &resource);
            }
        }
    }
    joiner.finish(&mut out);
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn comes_apart_the_same_at_every_cut() {
    let text = r#"{"resourceType":"Bundle","id":"b","meta":{"lastUpdated":"2020-01-01T00:00:00Z"},"type":"searchset",
        "total":2,"link":[{"relation":"self","url":"http://h/Patient?name=x"},{"relation":"next","url":"n"}],
        "entry":[{"fullUrl":"http://h/Patient/1","resource": {"resourceType":"Patient","id":"1","x":1.50,
        "contained":[{"entry":[{"resource":{"id":"no"}}]}]} ,"search":{"mode":"match","score":1}},
        {"request":{"method":"DELETE","url":"Patient/2"},"response":{"status":"204 No Content"}}]}"#;
    let whole = split(text.as_bytes(), text.len()).unwrap();
    for size in 1..text.len() {
        assert_eq!(split(text.as_bytes(), size).unwrap(), whole, "cut every {size}");
    }
    let Piece::Entry(first) = &whole[3] else { panic!("{whole:?}") };
    let resource = std::str::from_utf8(first.resource.as_ref().unwrap()).unwrap();
    assert!(text.contains(resource) && resource.starts_with(r#"{"resourceType":"Patient""#));
    assert!(resource.ends_with(r#""no"}}]}]}"#));
    assert_eq!(first.search_mode.as_deref(), Some("match"));
    let Piece::Entry(second) = &whole[4] else { panic!("{whole:?}") };
    assert_eq!((second.method.as_deref(), second.resource.as_ref()), (Some("DELETE"), None));
}

#[test]
fn what_is_no_bundle_is_refused() {
    for (text, error) in [
        (r#"{"resourceType":"Patient"}"#, SplitError::NotABundle),
        (r#"{"entry":[]}"#, SplitError::NotABundle),
        ("[]", SplitError::NotABundle),
    ] {
        assert_eq!(split(text.as_bytes(), 4).unwrap_err(), error);
    }
    assert!(matches!(split(br#"{"resourceType":"Bundle","entry":["#, 4), Err(SplitError::Json(_))));
    let large = json!({"resourceType": "Bundle", "entry": [{"resource": {"x": "y".repeat(10_000)}}]});
    assert_eq!(split(large.to_string().as_bytes(), 999).unwrap_err(), SplitError::TooLarge(10_000));
}

#[test]
fn only_known_elements_are_written() {
    let value = json!({"resourceType": "Bundle", "id": "b", "total": 1, "type": "history", "signature": {},
        "entry": [{"fullUrl": "urn:uuid:1", "link": [{"url": "x"}], "resource": {"resourceType": "Patient", "id": "9"},
            "search": {"mode": "outcome"}, "request": {"method": "PUT", "url": "Patient/1"},
            "response": {"status": "200 OK", "etag": "W/\"1\"", "lastModified": "2020"}}]});
    let joined = join(split(value.to_string().as_bytes(), 64).unwrap());
    assert_eq!(
        joined,
        json!({"resourceType": "Bundle", "type": "history", "entry": [{"fullUrl": "http://x/r4/Patient/9",
            "resource": {"resourceType": "Patient", "id": "9"},
            "request": {"method": "PUT", "url": "Patient/9"}, "response": {"status": "200"}}]})
    );
}

proptest! {
    #[test]
    fn split_and_join_keep_every_resource(
        texts in proptest::collection::vec("\\PC{0,20}", 0..6),
        links_first: bool, size in 1usize..50,
    ) {
        let entries: Vec<_> = texts.iter().enumerate()
            .map(|(n, t)| json!({"resource": {"resourceType": "Basic", "id": n.to_string(), "t": t}})).collect();
        let link = json!([{"relation": "self", "url": "u"}]);
        let value = if links_first {
            json!({"resourceType": "Bundle", "type": "searchset", "link": link, "entry": entries})
        } else {
            json!({"entry": entries, "link": link, "type": "searchset", "resourceType": "Bundle"})
        };
        let joined = join(split(value.to_string().as_bytes(), size).unwrap());
        prop_assert_eq!(&joined["type"], &value["type"]);
        prop_assert_eq!(&joined["link"], &value["link"]);
        let resources = |v: &Value| v["entry"].as_array().cloned().unwrap_or_default()
            .into_iter().map(|e| e["resource"].clone()).collect::<Vec<_>>();
        prop_assert_eq!(resources(&joined), resources(&value));
    }
}

use proptest::prelude::*;

use super::*;

/// What each entry is, or the status that it is refused with.
fn codes(text: &str, size: usize) -> Vec<Result<&'static str, u16>> {
    let mut requests = Requests::default();
    let mut codes = Vec::new();
    for chunk in text.as_bytes().chunks(size) {
        for entry in requests.feed(chunk).unwrap() {
            codes.push(entry.parse(entry.url()).map(|r| r.interaction.code()).map_err(|r| r.status));
        }
    }
    requests.finish().unwrap();
    codes
}

fn at_every_cut(text: &str) -> Vec<Result<&'static str, u16>> {
    let whole = codes(text, text.len());
    for size in [1, 7, 64] {
        assert_eq!(codes(text, size), whole, "{size}: {text}");
    }
    whole
}

#[test]
fn every_entry_is_an_interaction_of_its_own() {
    for (entry, expected) in [
        (r#"{"request":{"method":"GET","url":"Patient?name=x"}}"#, Ok("search-type")),
        (r#"{"request":{"method":"HEAD","url":"Patient/1"}}"#, Ok("read")),
        (r#"{"request":{"method":"GET","url":"?_getpages=a-1&_getpagesoffset=20"}}"#, Err(400)),
        (r#"{"request":{"method":"GET","url":"$export-poll-status?_jobId=a-1"}}"#, Err(400)),
        (r#"{"request":{"method":"DELETE","url":"$export-poll-status?_jobId=a-1"}}"#, Err(400)),
        (
            r#"{"resource":{"resourceType":"Patient","entry":[{"request":{"method":"DELETE","url":"Patient/no"}}]},
                "request":{"url":"Patient/1","method":"PUT","ifMatch":"W/\"2\""}}"#,
            Ok("update"),
        ),
        (
            r#"{"request":{"method":"POST","url":"Patient","ifNoneExist":"identifier=a|b"},
                "resource":{"id":"1","resourceType":"Patient"}}"#,
            Ok("create"),
        ),
        (
            r#"{"resource":{"resourceType":"Bundle","type":"batch"},"request":{"method":"POST","url":"Bundle"}}"#,
            Ok("create"),
        ),
        (r#"{"request":{"method":"GET","url":"/Patient/1/$everything"}}"#, Ok("operation")),
        (r#"{"request":{"method":"GET","url":"%50atient/1"}}"#, Ok("read")),
        (
            r#"{"extension":[{"url":"urn:x","valueString":"y"}],"request":{"method":"GET","url":"Patient/1"}}"#,
            Ok("read"),
        ),
        (r#"{"re\u0071uest":{"method":"DELETE","url":"Patient?name="}}"#, Err(400)),
        (r#"{"request":{"method":"DELETE","url":"Patient?identifier=x&_cascade=delete"}}"#, Err(400)),
        (r#"{"request":{"method":"GET","url":"Patient?_offset=5"}}"#, Err(400)),
        (r#"{"request":{"method":"GET","url":"http://elsewhere/Patient/1"}}"#, Err(400)),
        (r#"{"request":{"method":"GET","url":"//Patient/1"}}"#, Err(400)),
        (r#"{"request":{"method":"GET","url":"Patient;x=y/1"}}"#, Err(400)),
        (r#"{"request":{"method":"GET","url":"Patient/../Patient/1"}}"#, Err(400)),
        (r#"{"request":{"method":"GET","url":"Patient/_search?name=x"}}"#, Err(405)),
        (r#"{"request":{"method":"POST","url":"Patient/_search?name=x"}}"#, Err(415)),
        (r#"{"request":{"method":"get","url":"Patient/1"}}"#, Err(405)),
    ] {
        let text = format!(r#"{{"resourceType":"Bundle","type":"batch","entry":[{entry}]}}"#);
        assert_eq!(at_every_cut(&text), [expected], "{entry}");
    }
}

/// HAPI carries these out, as something else than they say.
#[test]
fn what_is_carried_out_as_something_else_is_refused() {
    let patient = r#""resource":{"resourceType":"Patient"}"#;
    for (entry, status) in [
        // Stores the Patient.
        (format!(r#"{{{patient},"request":{{"method":"POST","url":"Patient/$validate"}}}}"#), 400),
        (format!(r#"{{{patient},"request":{{"method":"POST","url":"Observation"}}}}"#), 400),
        (format!(r#"{{{patient},"request":{{"method":"PUT","url":"Observation/1"}}}}"#), 400),
        (format!(r#"{{{patient},"request":{{"method":"POST","url":"Patient/123"}}}}"#), 405),
        (format!(r#"{{{patient},"request":{{"method":"PUT","url":"Patient/1/_history/1"}}}}"#), 405),
        (format!(r#"{{{patient},"request":{{"method":"POST","url":""}}}}"#), 400),
        (format!(r#"{{{patient},"request":{{"method":"POST"}}}}"#), 400),
        (r#"{"request":{"method":"POST","url":"Patient"}}"#.to_owned(), 400),
        // Goes to another partition.
        (
            format!(
                r#"{{"extension":[{{"url":"{PARTITIONS}","valueString":"7"}}],"request":{{"method":"GET","url":"Patient/1"}}}}"#
            ),
            400,
        ),
        (
            format!(
                r#"{{"request":{{"method":"GET","url":"Patient/1"}},"extension":{{"url":"{PARTITIONS}"}}}}"#
            ),
            400,
        ),
    ] {
        let text = format!(r#"{{"resourceType":"Bundle","type":"batch","entry":[{entry}]}}"#);
        assert_eq!(at_every_cut(&text), [Err(status)], "{entry}");
    }
}

/// HAPI reads these like the entries they resemble.
#[test]
fn nothing_of_another_form_is_overlooked() {
    let entry = r#"{"request":{"method":"GET","url":"Patient/1"}}"#;
    for bundle in [
        format!(r#""entry":{entry}"#),
        format!(r#""entry":[[{entry}]]"#),
        format!(r#""entry":[[[{entry}]]]"#),
        format!(r#""_entry":[{{"extension":[{{"url":"{PARTITIONS}"}}]}}],"entry":[]"#),
        r#""entry":[{"request":[{"method":"GET","url":"Patient/1"}]}]"#.to_owned(),
        r#""entry":[{"request":{"method":["GET"],"url":"Patient/1"}}]"#.to_owned(),
        r#""entry":[{"request":{"method":"GET","url":["Patient/1"]}}]"#.to_owned(),
        r#""entry":[{"request":{"method":"GET","url":"Patient/1","ifMatch":{"a":"b"}}}]"#.to_owned(),
        r#""entry":[{"request":{"method":"GET","url":"Patient/1","ifNoneExist":["_id=1"]}}]"#.to_owned(),
        r#""entry":[{"request":{"method":"GET","url":"Patient/1","ifNoneMatch":null}}]"#.to_owned(),
        r#""entry":[{"request":{"method":7,"url":"Patient"}}]"#.to_owned(),
        format!(r#""entry":[{{"request":{{"method":"GET","url":"{}"}}}}]"#, "x".repeat(9000)),
        r#""entry":[{"resource":[{"resourceType":"Patient"}],"request":{"method":"POST","url":"Patient"}}]"#
            .to_owned(),
        r#""entry":[{"resource":{"resourceType":["Patient"]},"request":{"method":"POST","url":"Patient"}}]"#
            .to_owned(),
    ] {
        let found = at_every_cut(&format!(r#"{{"resourceType":"Bundle","type":"batch",{bundle}}}"#));
        assert!(found.contains(&Err(400)), "{bundle}: {found:?}");
    }
    for entry in [
        r#"{"request":"GET"}"#,
        r#"{"request":{}}"#,
        "{}",
        "[]",
        r#"{"resource":{"resourceType":"Patient"}}"#,
    ] {
        let found = at_every_cut(&format!(r#"{{"resourceType":"Bundle","type":"batch","entry":[{entry}]}}"#));
        assert!(found[..].iter().any(Result::is_err), "{entry}: {found:?}");
    }
}

#[test]
fn only_batches_and_transactions_are_for_the_base() {
    for (text, expected) in [
        (r#"{"resourceType":"Bundle","type":"batch"}"#, Some(BundleKind::Batch)),
        (r#"{"type":"transaction","entry":[],"resourceType":"Bundle"}"#, Some(BundleKind::Transaction)),
        (r#"{"resourceType":"Bundle","\u0074ype":"batch"}"#, Some(BundleKind::Batch)),
        (r#"{"resourceType":"Bundle"}"#, None),
        (r#"{"resourceType":"Bundle","type":["batch"]}"#, None),
        (r#"{"resourceType":"Bundle","type":"collection"}"#, None),
        (r#"{"resourceType":"Bundle","type":"document"}"#, None),
        (r#"{"resourceType":"Bundle","type":"Batch"}"#, None),
        (r#"{"type":"batch"}"#, None),
        (r#"{"resourceType":"Parameters","type":"batch"}"#, None),
        (r#"[{"resourceType":"Bundle","type":"batch"}]"#, None),
        ("7", None),
    ] {
        let mut requests = Requests::default();
        requests.feed(text.as_bytes()).unwrap();
        requests.finish().unwrap();
        assert_eq!(requests.kind().ok(), expected, "{text}");
    }
}

proptest! {
    /// Whatever stands where, cuts make no difference, and an entry is refused or is a request.
    #[test]
    fn cuts_make_no_difference(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just(r#"{"request":{"method":"GET","url":"Patient/1"}}"#.to_owned()),
                Just(r#"{"request":{"method":"POST","url":"Patient"},"resource":{"resourceType":"Patient"}}"#.to_owned()),
                (r#"(entry|request|url|method|resource|extension|_entry)"#, r#"(1|null|"x"|\[\]|\{\}|\["x"\]|\{"request":\{"url":"x"\}\})"#)
                    .prop_map(|(name, value)| format!(r#"{{"{name}":{value}}}"#)),
            ],
            0..6,
        ),
        size in 1usize..40,
    ) {
        let text = format!(r#"{{"resourceType":"Bundle","type":"batch","entry":[{}]}}"#, pieces.join(","));
        let whole = codes(&text, text.len());
        prop_assert_eq!(whole.len(), pieces.len());
        prop_assert_eq!(codes(&text, size), whole);
    }

    #[test]
    fn never_panics(text in r#"(\{|\}|\[|\]|,|:|"entry"|"request"|"url"|"method"|"GET"|"resource"|1)*"#, size in 1usize..9) {
        let mut requests = Requests::default();
        for chunk in text.as_bytes().chunks(size) {
            match requests.feed(chunk) {
                Ok(entries) => entries.iter().for_each(|entry| drop(entry.parse(entry.url()))),
                Err(_) => break,
            }
        }
    }
}

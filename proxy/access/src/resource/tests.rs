use super::*;
use crate::decision::Bound;

fn found(text: &str) -> Result<Found, Unclear> {
    Found::of(text.as_bytes())
}

fn patients(resource: &Resource) -> Vec<&str> {
    resource.patients.iter().map(Id::as_str).collect()
}

#[test]
fn a_resource_is_whose_its_references_say() {
    for (text, expected, unnamed) in [
        (
            r#"{"resourceType":"Patient","id":"a","link":[{"other":{"reference":"Patient/b"}}]}"#,
            &["a"][..],
            false,
        ),
        (r#"{"resourceType":"Patient"}"#, &[], true),
        (r#"{"resourceType":"Observation","subject":{"reference":"Patient/a"}}"#, &["a"], false),
        (r#"{"subject":{"reference":"Patient\/\u0061"},"resourceType":"Observation"}"#, &["a"], false),
        (r#"{"resourceType":"Observation","subject":{"reference":"Patient/a/_history/3"}}"#, &["a"], false),
        (r#"{"resourceType":"Observation","focus":[{"reference":"Patient/a"}]}"#, &[], false),
        (
            r#"{"resourceType":"Observation","subject":{"reference":"Patient/a"},
             "performer":[{"reference":"Practitioner/p"},{"reference":"Patient/b"}]}"#,
            &["a", "b"],
            false,
        ),
        (r#"{"resourceType":"Observation","subject":{"reference":"Group/g"}}"#, &[], false),
        (r##"{"resourceType":"Observation","subject":{"reference":"#p"}}"##, &[], true),
        (r#"{"resourceType":"Observation","subject":{"reference":"http://elsewhere/Patient/a"}}"#, &[], true),
        (r#"{"resourceType":"Observation","subject":{"reference":"urn:uuid:0"}}"#, &[], true),
        (r#"{"resourceType":"Observation","subject":{"identifier":{"value":"1"}}}"#, &[], true),
        (
            r#"{"resourceType":"Observation","subject":{"type":"Group","identifier":{"value":"1"}}}"#,
            &[],
            false,
        ),
        (r#"{"resourceType":"Observation","subject":{"display":"somebody"}}"#, &[], false),
        (
            r#"{"resourceType":"Appointment","participant":[{"actor":{"reference":"Patient/a"}}]}"#,
            &["a"],
            false,
        ),
        // Not by compartment, but it speaks of one.
        (r#"{"resourceType":"Device","patient":{"reference":"Patient/a"}}"#, &["a"], false),
        (
            r#"{"resourceType":"Practitioner","extension":[{"valueReference":{"reference":"Patient/a"}}]}"#,
            &["a"],
            false,
        ),
        (r#"{"resourceType":"Practitioner"}"#, &[], false),
    ] {
        let outer = found(text).unwrap().outer;
        assert_eq!((patients(&outer), outer.unnamed), (expected.to_vec(), unnamed), "{text}");
    }
}

#[test]
fn what_is_within_is_found_at_any_depth() {
    let text = r#"{"resourceType":"Bundle","type":"document","entry":[
        {"resource":{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/a"},
            "contained":[{"resourceType":"Patient","id":"c","name":[{"family":"X"}]}]}},
        {"resource":{"resourceType":"Parameters","parameter":[{"name":"n","part":[{"name":"m",
            "resource":{"resourceType":"Condition","id":"d","subject":{"reference":"Patient/b"}}}]}]}},
        {"response":{"status":"400","outcome":{"resourceType":"OperationOutcome","issue":[]}}}]}"#;
    let found = found(text).unwrap();
    let told: Vec<_> = found.all().map(|one| (one.resource_type.as_str(), patients(one))).collect();
    let expected = [
        ("Bundle", vec![]),
        ("Observation", vec!["a"]),
        ("Patient", vec!["a"]),
        ("Parameters", vec![]),
        ("Condition", vec!["b"]),
        ("OperationOutcome", vec![]),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_contained_resource_is_whose_its_container_is_unless_it_says_otherwise() {
    let of = |contained: &str| {
        let text = format!(
            r#"{{"resourceType":"Condition","contained":[{contained}],"subject":{{"reference":"Patient/a"}}}}"#
        );
        found(&text).unwrap().within.remove(0)
    };
    for (contained, expected, unnamed) in [
        (r#"{"resourceType":"Patient","id":"p"}"#, "a", false),
        (r##"{"resourceType":"Observation","id":"o","subject":{"reference":"#p"}}"##, "a", false),
        (r#"{"resourceType":"Observation","subject":{"reference":"Patient/b"}}"#, "b", false),
    ] {
        let resource = of(contained);
        assert_eq!((patients(&resource), resource.unnamed), (vec![expected], unnamed), "{contained}");
    }
}

#[test]
fn labels_and_tags_are_told_apart() {
    let text = r#"{"resourceType":"Basic","meta":{"tag":[{"system":"s","code":"t"}],
        "security":[{"system":"http://x","code":"R"},{"code":"V"}]},"tag":[{"code":"no"}]}"#;
    let Resource { labels, tags, .. } = found(text).unwrap().outer;
    assert_eq!(labels.iter().map(String::as_str).collect::<Vec<_>>(), ["http://x|R", "|V"]);
    assert_eq!(tags.iter().map(String::as_str).collect::<Vec<_>>(), ["s|t"]);
}

#[test]
fn what_is_unclear_is_nobodys() {
    for text in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"resourceType":"Nobody"}"#,
        r#"{"resourceType":7}"#,
        r#"[{"resourceType":"Patient","id":"a"}]"#,
        r#"{"resourceType":"Patient","resourceType":"Practitioner"}"#,
        r#"{"resourceType":"Patient","id":"a b"}"#,
        r#"{"resourceType":"Patient","id":"a""#,
        r#"{"resourceType":"Observation","contained":[{"id":"x"}]}"#,
        r#"{"resourceType":"Observation","component":[{"resourceType":{}}]}"#,
    ] {
        assert!(found(text).is_err(), "{text}");
    }
}

#[test]
fn a_bound_reaches_what_is_the_patient_s_and_what_is_nobody_s() {
    let bound = Bound { patient: Id::parse("a"), ..Bound::default() };
    for (text, expected) in [
        (r#"{"resourceType":"Patient","id":"a"}"#, true),
        (r#"{"resourceType":"Patient","id":"b"}"#, false),
        (r#"{"resourceType":"Patient"}"#, false),
        (r#"{"resourceType":"Observation","subject":{"reference":"Patient/a"}}"#, true),
        (r#"{"resourceType":"Observation","subject":{"reference":"Patient/ab"}}"#, false),
        // What hides whose it is is not everybody's.
        (r#"{"resourceType":"Observation"}"#, false),
        (r#"{"resourceType":"Observation","subject":{"reference":"Group/g"}}"#, false),
        (r#"{"resourceType":"Practitioner"}"#, true),
        (r#"{"resourceType":"Device","patient":{"reference":"Patient/b"}}"#, false),
        (r#"{"resourceType":"Device","patient":{"identifier":{"value":"1"}}}"#, false),
        // One may be in a group with others, and they with one.
        (r#"{"resourceType":"Group","member":[{"entity":{"reference":"Patient/a"}}]}"#, true),
        (
            r#"{"resourceType":"Group","member":[{"entity":{"reference":"Patient/a"}},{"entity":{"reference":"Patient/b"}}]}"#,
            false,
        ),
    ] {
        assert_eq!(bound.reaches(&found(text).unwrap().outer), expected, "{text}");
    }
    assert!(Bound::default().reaches(&found(r#"{"resourceType":"Observation"}"#).unwrap().outer));
}

#[test]
fn an_entry_is_what_it_holds() {
    let of = |text: &str| FoundEntry::of(text.as_bytes());
    let include =
        r#"{"fullUrl":"x","resource":{"resourceType":"Patient","id":"a"},"search":{"mode":"include"}}"#;
    let entry = of(include).unwrap();
    assert_eq!(entry.mode.as_deref(), Some("include"));
    assert_eq!(patients(&entry.resource.unwrap().outer), ["a"]);
    let outcome = r#"{"response":{"status":"404","outcome":{"resourceType":"OperationOutcome"}}}"#;
    assert_eq!(of(outcome).unwrap().resource.unwrap().outer.resource_type, ResourceType::OperationOutcome);
    assert_eq!(of(r#"{"request":{"method":"DELETE","url":"Patient/1"}}"#), Ok(FoundEntry::default()));
    for unclear in [
        r#"{"resource":{}}"#,
        r#"{"resource":[{"resourceType":"Patient"}]}"#,
        r#"{"resourceType":"Patient"}"#,
    ] {
        assert_eq!(of(unclear), Err(Unclear::Type), "{unclear}");
    }
}

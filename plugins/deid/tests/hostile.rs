//! Resources made to slip through: under the rules for a research route, none shows the name in it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use std::path::Path;

use common::load;
use fireguard_deid::Engine;
use fireguard_sdk::Verdict;
use fireguard_sdk::testing::TestHost;

/// In no input is it anything but a name.
const NAME: &str = "Zqmiller";

fn engine() -> Engine {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/deid/research.json");
    load(&std::fs::read_to_string(file).unwrap()).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// What a client gets of a resource; nothing if it is refused or left out.
fn seen(resource: &[u8]) -> String {
    let verdict = engine().process(&TestHost::new(), &[resource.to_vec()]).remove(0);
    match verdict {
        Verdict::Keep => String::from_utf8_lossy(resource).into_owned(),
        Verdict::Replace(bytes) => String::from_utf8(bytes).unwrap(),
        Verdict::Edits(edits) => panic!("{edits:?}"),
        Verdict::Drop => String::new(),
        Verdict::Refuse(refusal) => format!("{refusal:?}"),
    }
}

fn assert_hidden(resource: &str) {
    assert!(resource.contains(NAME) || resource.contains("\\u005aqmiller"), "{resource}");
    let seen = seen(resource.as_bytes());
    assert!(!seen.contains(NAME) && !seen.contains("\\u005aqmiller"), "{resource}\n{seen}");
}

#[test]
fn values_of_a_wrong_kind_go() {
    let wrong = [
        r#""Zqmiller""#,
        r#"["Zqmiller"]"#,
        r#"[["Zqmiller"]]"#,
        r#"{"Zqmiller":1}"#,
        r#"{"value":"Zqmiller"}"#,
        r#"[{"reference":["Zqmiller"]}]"#,
        r#"[null,"Zqmiller"]"#,
        r#"[{"id":"Zqmiller"}]"#,
        r#"{"resourceType":"Zqmiller"}"#,
        r#"{"resourceType":"Patient","name":[{"family":"Zqmiller"}]}"#,
        r#"[{"resourceType":{"a":"Zqmiller"}}]"#,
    ];
    for name in [
        "id",
        "meta",
        "_id",
        "_meta",
        "active",
        "_active",
        "multipleBirthInteger",
        "multipleBirthBoolean",
        "birthDate",
        "_birthDate",
        "deceasedDateTime",
        "deceased",
        "deceased[x]",
        "contained",
        "name",
        "extension",
        "link",
        "implicitRules",
        "__id",
        "_",
        "",
        "managingOrganization",
        "generalPractitioner",
        "Patient",
        "maritalStatus",
        "fhir_comments",
        "photo",
        "_photo",
        "id ",
        "ID",
        "identifier",
        "_gender",
        "communication",
        "language",
    ] {
        for value in wrong {
            assert_hidden(&format!(r#"{{"resourceType":"Patient","{name}":{value}}}"#));
            assert_hidden(&format!(
                r#"{{"resourceType":"Bundle","entry":[{{"resource":{{"resourceType":"Patient","{name}":{value}}}}}]}}"#
            ));
            assert_hidden(&format!(
                r#"{{"resourceType":"Basic","contained":[{{"{name}":{value},"resourceType":"Patient"}}]}}"#
            ));
        }
    }
    for name in [
        "valueQuantity",
        "valueInteger",
        "valueBoolean",
        "valuePeriod",
        "valueSampledData",
        "component",
        "subject",
    ] {
        for value in wrong {
            assert_hidden(&format!(r#"{{"resourceType":"Observation","{name}":{value}}}"#));
            assert_hidden(&format!(r#"{{"resourceType":"Observation","component":[{{"{name}":{value}}}]}}"#));
        }
    }
}

#[test]
fn what_is_written_oddly_is_the_same() {
    for resource in [
        // Escaped names and values; a name that is there twice.
        r#"{"resourceType":"Patient","n\u0061me":[{"famil\u0079":"Zqmiller"}]}"#,
        r#"{"resourceType":"Patient","name":[{"text":"\u005aqmiller"}]}"#,
        r#"{"resourceType":"Patient","name":[],"n\u0061me":[{"text":"Zqmiller"}]}"#,
        r#"{"resourceType":"Patient","id":"a","\u0069d":"Zqmiller"}"#,
        r#"{"resourceType":"Basic","resourceType":"Patient","name":[{"text":"Zqmiller"}]}"#,
        r#"{"resourceType":"Patient","name":[{"text":"Zqmiller"}],"resourc\u0065Type":"Basic"}"#,
        r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Basic","resourc\u0065Type":"Patient","name":[{"text":"Zqmiller"}]}}]}"#,
        // A nested resource whose type comes last, is unknown, or is not there.
        r#"{"resourceType":"Bundle","entry":[{"resource":{"name":[{"text":"Zqmiller"}],"resourc\u0065Type":"Patient"}}]}"#,
        r#"{"resourceType":"Bundle","entry":[{"resource":{"name":[{"text":"Zqmiller"}]}}]}"#,
        r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"patient","name":[{"text":"Zqmiller"}]}}]}"#,
        r#"{"resourceType":"Zqmiller","id":"1"}"#,
        r#"{"resourceType":"Resource","id":"Zqmiller"}"#,
        r#"{"resourceType":"DomainResource","text":{"div":"Zqmiller"}}"#,
        r#"{"resourceType":"HumanName","text":"Zqmiller"}"#,
        r#"{"name":[{"text":"Zqmiller"}]}"#,
        // Bundles in Bundles, Parameters in contained, and a resource among its own parts.
        r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Bundle","entry":[{"fullUrl":"Zqmiller","resource":{"resourceType":"Patient","contact":[{"name":{"text":"Zqmiller"}}]}}]}}]}}]}"#,
        r#"{"resourceType":"Basic","contained":[{"resourceType":"Parameters","parameter":[{"name":"result","resource":{"resourceType":"Patient","contained":[{"resourceType":"Patient","name":[{"text":"Zqmiller"}]}]}}]}]}"#,
        r#"{"resourceType":"Bundle","entry":[{"response":{"status":"Zqmiller","etag":"Zqmiller","outcome":{"resourceType":"OperationOutcome","text":{"status":"generated","div":"Zqmiller"}}}}]}"#,
        // Beside primitive values.
        r#"{"resourceType":"Patient","_gender":{"id":"Zqmiller","extension":[{"url":"Zqmiller","valueCode":"Zqmiller"}]}}"#,
        r#"{"resourceType":"Patient","gender":"male","_gender":{"fhir_comments":["Zqmiller"]}}"#,
        r#"{"resourceType":"Observation","code":{"coding":[{"_system":{"id":"Zqmiller"},"_code":{"id":"Zqmiller"},"id":"Zqmiller"}]}}"#,
        r#"{"resourceType":"Observation","meta":{"profile":["http://hl7.org/fhir/a"],"_profile":[{"id":"Zqmiller","extension":[{"valueString":"Zqmiller"}]}]}}"#,
        // Dates, ages and numbers that are none.
        r#"{"resourceType":"Patient","birthDate":"1950-01-01Zqmiller"}"#,
        r#"{"resourceType":"Encounter","subject":{"reference":"Patient/1"},"period":{"start":"2020-01-01T00:00:00Zqmiller","end":"Zqmiller"}}"#,
        r#"{"resourceType":"Procedure","performedAge":{"value":"Zqmiller","unit":"a"}}"#,
        r#"{"resourceType":"Location","position":{"latitude":1,"Zqmiller":2}}"#,
        // References of every shape.
        r#"{"resourceType":"Observation","subject":{"reference":"Zqmiller"}}"#,
        r##"{"resourceType":"Observation","subject":{"reference":"#Zqmiller"}}"##,
        r#"{"resourceType":"Observation","subject":{"reference":"Patient/Zqmiller"}}"#,
        r#"{"resourceType":"Observation","subject":{"reference":"Patient/1/_history/Zqmiller"}}"#,
        r#"{"resourceType":"Observation","subject":{"reference":"http://Zqmiller.example/Patient/1"}}"#,
        r#"{"resourceType":"Observation","subject":{"reference":"http://h/Zqmiller/Patient/1/_history/1"}}"#,
        r#"{"resourceType":"Observation","subject":{"reference":"Patient?name=Zqmiller"}}"#,
        r#"{"resourceType":"Observation","subject":{"reference":"urn:uuid:Zqmiller","type":"Zqmiller"}}"#,
        r#"{"resourceType":"Observation","subject":{"reference":"Patient/1","display":"Zqmiller","identifier":{"value":"Zqmiller"}}}"#,
        // Not JSON as a whole.
        "\u{feff}{\"resourceType\":\"Patient\",\"name\":[{\"text\":\"Zqmiller\"}]}",
        r#"{"resourceType":"Patient"} {"name":"Zqmiller"}"#,
        r#"{"resourceType":"Patient"}Zqmiller"#,
        r#"{"resourceType":"Patient",/*Zqmiller*/"id":"1"}"#,
        r#"{"resourceType":"Patient","id":"1","name":"Zqmiller"#,
        r#"[{"resourceType":"Patient","name":[{"text":"Zqmiller"}]}]"#,
        r#""Zqmiller""#,
    ] {
        assert_hidden(resource);
    }
    for bytes in [
        &b"{\"resourceType\":\"Patient\",\"id\":\"\xffZqmiller\"}"[..],
        b"{\"resourceType\":\"Patient\",\"id\":\"\\ud800Zqmiller\"}",
    ] {
        assert!(!seen(bytes).contains(NAME));
    }
}

#[test]
fn depth_does_not_hide() {
    for depth in [1, 5, 10, 14, 16, 20, 100, 10_000] {
        let open = r#"{"resourceType":"Bundle","entry":[{"resource":"#.repeat(depth);
        let close = "}]}".repeat(depth);
        assert_hidden(&format!(
            r#"{open}{{"resourceType":"Patient","name":[{{"text":"Zqmiller"}}]}}{close}"#
        ));
        let open = r#""item":[{"linkId":"Zqmiller","#.repeat(depth);
        let close = "}]".repeat(depth);
        assert_hidden(&format!(
            r#"{{"resourceType":"QuestionnaireResponse",{open}"text":"Zqmiller"{close}}}"#
        ));
    }
}

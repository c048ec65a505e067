//! Rules that list the values that stay (`only`).

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use common::{load, run};
use fireguard_sdk::testing::TestHost;
use serde_json::{Value, json};

fn output(rules: Value, resource: &Value) -> Value {
    let rules = json!({"fhirPathRules": rules, "parameters": {"enablePartialDatesForRedact": true}});
    let mut engine = load(&rules.to_string()).unwrap_or_else(|problems| panic!("{problems:#?}"));
    serde_json::from_str(&run(&mut engine, &TestHost::new(), &resource.to_string())).unwrap()
}

#[test]
fn what_is_not_listed_goes() {
    let rules = json!([
        {"path": "nodesByType('Coding').system", "method": "keep", "only": ["http://loinc.org", "http://hl7.org/*"]},
        {"path": "Resource.meta.profile", "method": "keep", "only": ["http://hl7.org/*"]},
    ]);
    let coding = |system: &str| json!({"code": "c", "system": system});
    let input = json!({
        "resourceType": "Observation",
        "meta": {"profile": ["http://smith/1", "http://hl7.org/2"], "_profile": [{"id": "Smith"}, null]},
        "code": {"coding": [
            coding("http://loinc.org"), coding("http://loinc.org/smith"), coding("http://hl7.org/a"),
            coding("HTTP://LOINC.ORG"), {"system": 5},
            {"_system": {"id": "Smith", "extension": [{"url": "http://smith", "valueDate": "2000-01-02"}]}},
            {"system": "http://hl7.org/a", "_system": {"extension": [{"url": "http://hl7.org/x", "valueCode": "Smith"}]}},
        ]},
    });
    let mut actual = output(rules, &input);
    assert_eq!(actual["meta"]["security"][0]["code"], "REDACTED");
    actual["meta"].as_object_mut().unwrap().remove("security");
    let expected = json!({
        "resourceType": "Observation",
        // The places count, as long as `_profile` may count them.
        "meta": {"profile": [null, "http://hl7.org/2"]},
        "code": {"coding": [
            coding("http://loinc.org"), {"code": "c"}, coding("http://hl7.org/a"), {"code": "c"},
            {"system": "http://hl7.org/a", "_system": {"extension": [{"url": "http://hl7.org/x"}]}},
        ]},
    });
    assert_eq!(actual["code"], expected["code"]);
    assert_eq!(actual["meta"]["profile"], expected["meta"]["profile"]);
}

#[test]
fn sampled_data_stay_if_they_are_numbers() {
    for (data, stays) in [("1.5 -2 E", true), ("1.5 Smith", false), ("", false)] {
        let input =
            json!({"resourceType": "Observation", "status": "final", "valueSampledData": {"data": data}});
        for rules in [json!([]), json!([{"path": "nodesByType('SampledData').data", "method": "keep"}])] {
            let actual = output(rules, &input);
            assert_eq!(actual.get("valueSampledData").is_some(), stays, "{data}: {actual}");
        }
    }
}

#[test]
fn lists_that_would_not_be_honoured_are_refused() {
    for (path, method, only, pointer, message) in [
        ("Patient.language", "redact", json!(["en"]), "only", "belongs to the method `keep`"),
        ("Patient.active", "keep", json!(["true"]), "only", "a `boolean` is none"),
        ("Patient.name", "keep", json!(["x"]), "only", "a `HumanName` is none"),
        ("Patient", "keep", json!(["x"]), "only", "a `Patient` is none"),
        ("Observation.value", "keep", json!(["x"]), "only", "is none"),
        ("Patient.language", "keep", json!([]), "only", "lists nothing"),
        ("Patient.language", "keep", json!("en"), "only", "an array of strings"),
        ("Patient.language", "keep", json!(["*"]), "only/0", "has to be a string"),
        ("Patient.language", "keep", json!(["en", "a*b"]), "only/1", "has to be a string"),
        ("Patient.language", "keep", json!(["en", "a**"]), "only/1", "has to be a string"),
        ("Patient.language", "keep", json!([""]), "only/0", "has to be a string"),
        ("Patient.language", "keep", json!([1]), "only/0", "has to be a string"),
    ] {
        let rules = json!({"fhirPathRules": [{"path": path, "method": method, "only": only}]});
        let problems = load(&rules.to_string()).err().unwrap_or_default();
        assert_eq!(problems.len(), 1, "{rules}: {problems:#?}");
        assert_eq!(problems[0].pointer, format!("/fhirPathRules/0/{pointer}"));
        assert!(problems[0].message.contains(message), "{rules}: {}", problems[0].message);
    }
    for path in
        ["nodesByType('System.String')", "Resource.language", "nodesByType('uri')", "Patient.birthDate"]
    {
        let rules = json!({"fhirPathRules": [{"path": path, "method": "keep", "only": ["a", "b*"]}]});
        assert!(load(&rules.to_string()).is_ok(), "{path}");
    }
}

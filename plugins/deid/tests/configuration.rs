//! What a configuration must not hold, and where the messages point.

mod common;

use common::{load, rules};
use fireguard_deid::Deid;
use fireguard_sdk::{File, Plugin, Problem, Settings};
use serde_json::json;

fn problems(text: &str) -> Vec<Problem> {
    load(text).err().unwrap_or_default()
}

#[test]
fn refuses_rules_that_it_would_not_honour() {
    for (path, method, message) in [
        ("Pateint.name", "redact", "unknown resource type `Pateint`: did you mean `Patient`?"),
        ("patient.name", "redact", "unknown resource type `patient`: did you mean `Patient`?"),
        ("name.given", "redact", "a path starts with a resource type or `Resource`, and `name` is none"),
        (
            "HumanName.family",
            "redact",
            "`HumanName` is a data type, not a resource type: write `nodesByType('HumanName').family`",
        ),
        ("Patient.nmae", "redact", "`Patient` has no element `nmae`: did you mean `name`?"),
        (
            "Patient.contact.name.familly",
            "redact",
            "`Patient.contact.name` has no element `familly`: did you mean `family`?",
        ),
        (
            "Observation.valueQuantity",
            "redact",
            "`Observation` has no element `valueQuantity`: the choice element is called `value`, and a rule for it covers all its types",
        ),
        ("Resource.nothing", "redact", "`Resource` has no element `nothing`"),
        ("Bundle.entry.resource.id", "redact", "a path does not lead into another resource"),
        ("Patient.name.where(use='usual').family", "redact", "functions and predicates are not supported"),
        ("Patient.name.first()", "redact", "functions and predicates are not supported"),
        ("Patient.name | Patient.contact", "redact", "make a rule of each part of the union"),
        ("Observation.value as Quantity", "redact", "choosing among the types"),
        ("nodesByName('value')", "redact", "nodesByName is not supported"),
        ("nodesByType('HumanNmae')", "redact", "unknown type `HumanNmae`: did you mean `HumanName`?"),
        ("nodesByType('humanName')", "redact", "did you mean `HumanName`?"),
        (
            "nodesByType('HumanName').famly",
            "redact",
            "`HumanName` has no element `famly`: did you mean `family`?",
        ),
        ("nodesByType('Patient').name", "redact", "`Patient` is a resource type: write `Patient.element`"),
        ("nodesByType('Resource')", "redact", "`Resource` is a resource type"),
        ("nodesByType(HumanName)", "redact", "this is not a path"),
        ("nodesByType('HumanName'", "redact", "this is not a path"),
        ("Patient..name", "redact", "this is not a path"),
        ("Patient.", "redact", "this is not a path"),
        ("Patient.name[0]", "redact", "this is not a path"),
        (" ", "redact", "the path is empty"),
        (
            "Patient.name",
            "mask",
            "unknown method `mask`: there are `keep`, `redact`, `dateShift`, `cryptoHash`",
        ),
        ("Patient.name", "redcat", "unknown method `redcat`: did you mean `redact`?"),
        ("Patient.name", "Encrypt", "the method `encrypt` is not supported in this version"),
        ("Patient.name", "dateshift", "dateShift does nothing to `HumanName`"),
        ("Patient", "dateShift", "dateShift does nothing to `Patient`"),
        ("Patient.deceased", "dateShift", "dateShift does nothing to `boolean`"),
        ("nodesByType('string')", "dateShift", "dateShift does nothing to `string`"),
    ] {
        let found = problems(&rules(&[(path, method)], json!({})));
        assert_eq!(found.len(), 1, "{path}: {found:#?}");
        assert!(found[0].message.contains(message), "{path}: {}", found[0].message);
    }
}

#[test]
fn accepts_the_rules_it_has() {
    for path in [
        "Patient",
        "Resource",
        "DomainResource",
        "Resource.id",
        "Resource.subject",
        "DomainResource.text",
        "Patient.birthDate",
        "Patient.birthDate.extension",
        "Observation.value",
        "Patient.contained",
        "Questionnaire.item.item.item.text",
        "nodesByType('HumanName')",
        "nodesByType(\"HumanName\").family",
        "nodesByType('HumanName').period.start",
        "Patient.nodesByType('HumanName').family",
        "nodesByType('BackboneElement').extension",
        "nodesByType('Observation')",
        " Patient.name ",
    ] {
        for method in ["keep", "redact", "CryptoHash"] {
            assert_eq!(problems(&rules(&[(path, method)], json!({}))), [], "{path}");
        }
    }
    for path in
        ["Patient.birthDate", "Observation.effective", "nodesByType('Period')", "nodesByType('instant')"]
    {
        assert_eq!(problems(&rules(&[(path, "dateShift")], json!({}))), [], "{path}");
    }
}

#[test]
fn refuses_rules_that_can_never_apply() {
    for (list, dead, by) in [
        (&[("Patient.name", "keep"), ("Patient.name.given", "redact")][..], 1, "line 1"),
        (&[("Patient.name", "keep"), ("Patient.name", "redact")], 1, "line 1"),
        (&[("Resource.id", "cryptoHash"), ("Patient.id", "keep")], 1, "line 1"),
        (&[("Resource", "redact"), ("nodesByType('Extension')", "redact")], 1, "line 1"),
        (&[("nodesByType('HumanName')", "redact"), ("nodesByType('HumanName').use", "keep")], 1, "line 1"),
        (
            &[
                ("nodesByType('Quantity').value", "keep"),
                ("nodesByType('HumanName').period", "redact"),
                ("Patient.name.period.start", "keep"),
            ],
            2,
            "line 1",
        ),
        (&[("Patient", "redact"), ("Patient", "keep")], 1, "line 1"),
        (&[("nodesByType('Observation')", "keep"), ("nodesByType('Observation')", "redact")], 1, "line 1"),
        (
            &[
                ("Patient.contained", "keep"),
                ("Bundle.entry.resource", "keep"),
                ("nodesByType('Element').id", "redact"),
                ("Patient.contained", "redact"),
            ],
            3,
            "line 1",
        ),
    ] {
        let found = problems(&rules(list, json!({})));
        assert_eq!(found.len(), 1, "{list:?}: {found:#?}");
        assert_eq!(found[0].pointer, format!("/fhirPathRules/{dead}/path"));
        assert!(found[0].message.contains("can never apply") && found[0].message.contains(by), "{found:?}");
    }
    for list in [
        &[("nodesByType('HumanName').use", "keep"), ("Patient.name", "redact"), ("Resource", "redact")][..],
        &[("Patient.id", "keep"), ("Resource.id", "cryptoHash")],
        &[("Patient.name", "redact"), ("nodesByType('HumanName')", "keep"), ("Practitioner.name", "keep")]
            [..2],
        &[("Patient.contained", "redact"), ("nodesByType('Observation')", "keep"), ("Observation", "redact")],
        &[("Bundle.entry", "redact"), ("Bundle.entry.resource", "keep")],
    ] {
        assert_eq!(problems(&rules(list, json!({}))), [], "{list:?}");
    }
}

#[test]
fn a_rule_that_applies_in_a_remote_place_only_is_no_mistake() {
    // All extensions of a Patient are covered but those of its primitive values.
    let complex = "meta text extension modifierExtension identifier name telecom address maritalStatus photo \
        contact communication generalPractitioner managingOrganization link";
    let complex: Vec<_> = complex.split_whitespace().map(|name| format!("Patient.{name}")).collect();
    let mut list = vec![("Account.status", "keep")];
    list.extend(complex.iter().map(|path| (path.as_str(), "redact")));
    list.push(("Patient.nodesByType('Extension')", "redact"));
    assert_eq!(problems(&rules(&list, json!({}))), []);
    // No parameter has a value of its own here, and an Age is in few other places.
    let list = [("Parameters", "redact"), ("nodesByType('Age').value", "keep")];
    assert_eq!(problems(&rules(&list, json!({}))), []);
}

#[test]
fn refuses_parameters_that_it_would_not_honour() {
    for (parameters, pointer, message) in [
        (
            json!({"cryptoHashKey": "topsecret"}),
            "/parameters/cryptoHashKey",
            "[plugins.<name>.grants.pseudonym]",
        ),
        (json!({"dateShiftKey": 5}), "/parameters/dateShiftKey", "keys do not belong"),
        (json!({"encryptKey": "topsecret"}), "/parameters/encryptKey", "keys do not belong"),
        (json!({"dateShiftScope": "folder"}), "/parameters/dateShiftScope", "has to be \"resource\""),
        (
            json!({"dateShiftFixedOffsetInDays": 3}),
            "/parameters/dateShiftFixedOffsetInDays",
            "a fixed offset",
        ),
        (
            json!({"enablePartialDatesForRedact": "true"}),
            "/parameters/enablePartialDatesForRedact",
            "true or false",
        ),
        (
            json!({"enablePartialDateForRedact": true}),
            "/parameters/enablePartialDateForRedact",
            "did you mean `enablePartialDatesForRedact`?",
        ),
        (
            json!({"restrictedZipCodeTabulationAreas": "036"}),
            "/parameters/restrictedZipCodeTabulationAreas",
            "an array",
        ),
        (
            json!({"restrictedZipCodeTabulationAreas": ["036", 59]}),
            "/parameters/restrictedZipCodeTabulationAreas/1",
            "a string",
        ),
        (
            json!({"restrictedZipCodeTabulationAreas": [""]}),
            "/parameters/restrictedZipCodeTabulationAreas/0",
            "a string",
        ),
        (json!({"customSettings": {"a": 1}}), "/parameters/customSettings", "no custom methods"),
    ] {
        let found = problems(&rules(&[], parameters.clone()));
        assert_eq!(found.len(), 1, "{parameters}: {found:#?}");
        assert_eq!(found[0].pointer, pointer);
        assert!(found[0].message.contains(message), "{}", found[0].message);
        assert!(!found[0].message.contains("topsecret"));
    }
    let fine = json!({"cryptoHashKey": "", "dateShiftKey": null, "dateShiftScope": "Resource", "customSettings": {}});
    assert_eq!(problems(&rules(&[], fine)), []);
}

#[test]
fn tells_every_problem_with_its_place() {
    let text = "\u{feff}{\n  // é comment\n  \"fhirVersion\": \"R5\", \"extra\": 1,\n  \"fhirPathRules\": [\n    /* é */ {\"path\": \"Patient.nmae\", \"method\": \"hash\", \"note\": \"\"},\n    {\"method\": 1}, 5,\n  ],\n  \"parameters\": {\"a/b~\": 1},\n  \"parameters\": {},\n}\n";
    let places: Vec<_> =
        problems(text).into_iter().map(|problem| (problem.line, problem.column, problem.pointer)).collect();
    let expected = [
        (3, 18, "/fhirVersion"),
        (3, 24, "/extra"),
        (5, 22, "/fhirPathRules/0/path"),
        (5, 48, "/fhirPathRules/0/method"),
        (5, 56, "/fhirPathRules/0/note"),
        (6, 5, "/fhirPathRules/1"),
        (6, 16, "/fhirPathRules/1/method"),
        (6, 20, "/fhirPathRules/2"),
        (8, 18, "/parameters/a~1b~0"),
        (9, 3, "/parameters"),
    ]
    .map(|(line, column, pointer)| (line, column, pointer.to_owned()));
    assert_eq!(places, expected);
}

#[test]
fn refuses_what_is_no_configuration() {
    for (text, message) in [
        ("", "empty"),
        ("[]", "has to be a JSON object"),
        ("{}", "no `fhirPathRules`"),
        ("{\"fhirPathRules\": {}}", "has to be an array"),
        ("{\"fhirPathRules\": [],", "not valid JSON"),
        ("{fhirPathRules: []}", "not valid JSON"),
        ("{'fhirPathRules': []}", "not valid JSON"),
        ("{\"fhirPathRules\": []} 1", "not valid JSON"),
        ("{\"fhirPathRules\": [], \"fhirPathRules\": []}", "is here twice"),
        ("{\"fhirPathRules\": [], \"processingErrors\": \"skip\"}", "\"skip\" is not supported"),
        ("{\"fhirPathRules\": [], \"processingError\": \"raise\"}", "it is `processingErrors`"),
        (
            "{\"fhirPathRules\": [{\"path\": \"Patient\", \"method\": \"keep\", \"method\": \"redact\"}]}",
            "is here twice",
        ),
    ] {
        let found = problems(text);
        assert!(found.iter().any(|problem| problem.message.contains(message)), "{text}: {found:#?}");
    }
    let fine = "{\"fhirVersion\": \"r4\", \"processingErrors\": \"Raise\", \"fhirPathRules\": [ ], }";
    assert_eq!(problems(fine), []);
    let file = File { name: "rules".into(), path: "r".into(), content: b"{\n\xff".to_vec() };
    let found = Deid::configure(Settings { json: "{}".into(), files: vec![file] }).map(|_| ()).unwrap_err();
    assert_eq!((found[0].line, found[0].column), (2, 1));
}

#[test]
fn refuses_other_settings_and_files() {
    let file = |name: &str| File {
        name: name.into(),
        path: "p".into(),
        content: b"{\"fhirPathRules\": []}".to_vec(),
    };
    let configure = |json: &str, files: Vec<File>| {
        Deid::configure(Settings { json: json.into(), files })
            .map(|(_, plan)| plan.interests[0].directions.len())
    };
    assert_eq!(configure("{}", vec![file("rules")]), Ok(2));
    let messages = |result: Result<usize, Vec<Problem>>| -> Vec<String> {
        result.unwrap_err().into_iter().map(|problem| problem.message).collect()
    };
    assert!(messages(configure("{}", vec![]))[0].contains("there is no file `rules`"));
    assert!(messages(configure("{\"mode\": 1}", vec![file("rules")]))[0].contains("unknown setting `mode`"));
    assert_eq!(messages(configure("{\"mode\": 1}", vec![file("rule"), file("rules")])).len(), 2);
}

//! What happens to resources, case by case.

mod common;

use common::{load, rules, run};
use fireguard_sdk::testing::TestHost;
use fireguard_sdk::{Level, Verdict};
use serde_json::{Value, json};

const REDACTED: &str = r#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"REDACTED","display":"redacted"}"#;

#[test]
fn changes_only_what_rules_name() {
    let labels = format!(r#""meta":{{"security":[{REDACTED}]}}"#);
    for (list, resource, expected) in [
        // Nothing matches: every byte stays.
        (
            &[("Observation.value", "redact")][..],
            "{ \"resourceType\" : \"Patient\",\n \"multipleBirthInteger\" : 1.40E2 , \"gender\":\"\\u006dale\" }",
            "{ \"resourceType\" : \"Patient\",\n \"multipleBirthInteger\" : 1.40E2 , \"gender\":\"\\u006dale\" }".to_owned(),
        ),
        (
            &[("Patient.name", "redact")],
            r#"{"name":[{"family":"A"}], "resourceType":"Patient", "gender" : "male"}"#,
            format!(r#"{{"resourceType":"Patient", "gender" : "male",{labels}}}"#),
        ),
        // An escaped name is the same name.
        (
            &[("Patient.name", "redact")],
            r#"{"resourceType":"Patient","na\u006de":[{"f\u0061mily":"A"}]}"#,
            format!(r#"{{"resourceType":"Patient",{labels}}}"#),
        ),
        (
            &[("Patient.name", "redact")],
            r#"{"resourc\u0065Type":"Pat\u0069ent","name":[{"family":"A"}]}"#,
            format!(r#"{{"resourc\u0065Type":"Pat\u0069ent",{labels}}}"#),
        ),
        // The first rule in file order wins, wherever the others match.
        (
            &[("Patient.name.use", "keep"), ("nodesByType('HumanName')", "redact"), ("Patient", "keep")],
            r#"{"resourceType":"Patient","name":[{"use":"usual","family":"A"},{"family":"B"}],"contact":[{"name":{"use":"old"}}]}"#,
            format!(r#"{{"resourceType":"Patient","name":[{{"use":"usual"}}],{labels}}}"#),
        ),
        // What R4 does not know goes, also below a rule that keeps.
        (
            &[("Patient.name", "keep")],
            r#"{"resourceType":"Patient","ssn":"1","name":[{"family":"A","secret":{"x":["y"]}}],"_name":[{"id":"1"}],"_ssn":{}}"#,
            format!(r#"{{"resourceType":"Patient","name":[{{"family":"A"}}],{labels}}}"#),
        ),
        // So does what has the wrong shape.
        (
            &[("Patient.name", "keep")],
            r#"{"resourceType":"Patient","gender":{"x":"y"},"birthDate":["1"],"active":"Smith","multipleBirthInteger":"Smith","name":{"family":"A"},"telecom":["Smith",[{"value":"1"}],null],"id":1,"maritalStatus":"S","language":null,"_gender":"Smith","_birthDate":[{"id":"Smith"}]}"#,
            format!(r#"{{"resourceType":"Patient",{labels}}}"#),
        ),
        // Ids and extensions of primitives belong to the primitive.
        (
            &[("Patient.birthDate.extension", "keep"), ("Patient.birthDate", "redact")],
            r#"{"resourceType":"Patient","birthDate":"1980-01-01","_birthDate":{"id":"a","extension":[{"url":"u","valueString":"v"}]}}"#,
            format!(
                r#"{{"resourceType":"Patient","_birthDate":{{"extension":[{{"url":"u","valueString":"v"}}]}},{labels}}}"#
            ),
        ),
        // `given` and `_given` stay in step.
        (
            &[("nodesByType('Extension')", "redact")],
            r#"{"resourceType":"Patient","name":[{"given":["A","B",null],"_given":[{"extension":[{"url":"u"}]},null,{"id":"c","extension":[{"url":"u"}]}]}]}"#,
            format!(
                r#"{{"resourceType":"Patient","name":[{{"given":["A","B",null],"_given":[null,null,{{"id":"c"}}]}}],{labels}}}"#
            ),
        ),
        (
            &[("nodesByType('Extension')", "redact"), ("Patient.name.given", "redact")],
            r#"{"resourceType":"Patient","name":[{"given":["A",null],"_given":[null,{"extension":[{"url":"u"}]}]}]}"#,
            format!(r#"{{"resourceType":"Patient",{labels}}}"#),
        ),
    ] {
        let mut engine = load(&rules(list, json!({}))).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let output = run(&mut engine, &TestHost::new(), resource);
        assert_eq!(output, expected, "{list:?}");
        // What was learnt from the first must not change the second.
        assert_eq!(run(&mut engine, &TestHost::new(), resource), expected, "{list:?}");
    }
}

#[test]
fn nothing_is_left_of_an_extension_without_url() {
    let parameters = json!({"enablePartialDatesForRedact": true});
    let resource = r#"{"resourceType":"Patient","extension":[{"url":"u","valuePeriod":{"start":"2020-01-01"}}],"birthDate":"1990-01-01"}"#;
    for (list, expected) in [
        (&[("nodesByType('Extension')", "redact"), ("Patient", "redact")][..], json!({"birthDate": "1990"})),
        (
            &[("nodesByType('Extension').url", "keep"), ("Patient", "redact")],
            json!({"birthDate": "1990", "extension": [{"url": "u", "valuePeriod": {"start": "2020"}}]}),
        ),
        (
            &[("nodesByType('Period').start", "keep"), ("Patient", "redact")],
            json!({"birthDate": "1990", "extension": [{"valuePeriod": {"start": "2020-01-01"}}]}),
        ),
    ] {
        let mut engine = load(&rules(list, parameters.clone())).unwrap();
        let mut output: Value = serde_json::from_str(&run(&mut engine, &TestHost::new(), resource)).unwrap();
        output.as_object_mut().unwrap().retain(|name, _| !matches!(name.as_str(), "meta" | "resourceType"));
        assert_eq!(output, expected, "{list:?}");
    }
}

#[test]
fn labels_join_those_that_are_there() {
    let list = [("Patient.name", "redact"), ("nodesByType('Coding').display", "redact")];
    let mut engine = load(&rules(&list, json!({}))).unwrap();
    for (meta, expected) in [
        (r#"{"versionId":"1"}"#, format!(r#"{{"versionId":"1","security":[{REDACTED}]}}"#)),
        (r#"{"security":[ {"code":"R"} ] }"#, format!(r#"{{"security":[ {{"code":"R"}},{REDACTED} ] }}"#)),
        (r#"{"security":[{"code":"redacted"}]}"#, r#"{"security":[{"code":"redacted"}]}"#.to_owned()),
        (
            r#"{"security":[{"display":"x"}],"versionId":"1"}"#,
            format!(r#"{{"versionId":"1","security":[{REDACTED}]}}"#),
        ),
        (
            r#"{"security":{"code":"REDACTED"},"profile":["p"]}"#,
            format!(r#"{{"profile":["p"],"security":[{REDACTED}]}}"#),
        ),
    ] {
        let resource =
            format!(r#"{{"resourceType":"Patient","meta":{meta},"name":[{{"family":"A"}}],"active":true}}"#);
        let expected = format!(r#"{{"resourceType":"Patient","meta":{expected},"active":true}}"#);
        assert_eq!(run(&mut engine, &TestHost::new(), &resource), expected);
    }
}

#[test]
fn resources_inside_others_are_resources_of_their_own() {
    let list =
        [("Patient.name", "redact"), ("Resource.id", "cryptoHash"), ("Bundle.entry.fullUrl", "redact")];
    let mut engine = load(&rules(&list, json!({}))).unwrap();
    let resource = json!({
        "resourceType": "Bundle",
        "entry": [
            {"fullUrl": "urn:uuid:1", "resource": {
                "resourceType": "Observation",
                "contained": [{"id": "p", "name": [{"family": "A"}], "resourceType": "Patient"}, {"resourceType": "Alien", "x": 1}],
            }},
            {"resource": {"resourceType": "Alien", "name": "A"}},
            {"resource": {"name": "A"}},
            {"resource": {"resourceType": "Parameters", "parameter": [
                {"name": "p", "part": [{"name": "q", "resource": {"resourceType": "Patient", "name": [{"family": "A"}], "active": true}}]},
            ]}},
            {"resource": {"resourceType": "Basic"}},
        ],
    });
    let output: Value =
        serde_json::from_str(&run(&mut engine, &TestHost::new(), &resource.to_string())).unwrap();
    let hash = output["entry"][0]["resource"]["contained"][0]["id"].as_str().unwrap();
    let redacted: Value = serde_json::from_str(REDACTED).unwrap();
    let hashed =
        json!({"system": redacted["system"], "code": "CRYTOHASH", "display": "cryptographic hash function"});
    assert_eq!(
        output,
        json!({
            "resourceType": "Bundle",
            "entry": [
                {"resource": {
                    "resourceType": "Observation",
                    "contained": [{"id": hash, "resourceType": "Patient"}],
                    "meta": {"security": [redacted, hashed]},
                }},
                {"resource": {
                    "resourceType": "Parameters",
                    "parameter": [{"name": "p", "part": [{"name": "q", "resource": {
                        "resourceType": "Patient", "active": true, "meta": {"security": [redacted]},
                    }}]}],
                    "meta": {"security": [redacted]},
                }},
                {"resource": {"resourceType": "Basic"}},
            ],
            "meta": {"security": [redacted, hashed]},
        })
    );
}

#[test]
fn a_rule_can_cover_nested_resources_as_a_whole() {
    let list = [
        ("Patient.contained", "redact"),
        ("Observation.code", "keep"),
        ("nodesByType('Observation')", "redact"),
    ];
    let mut engine = load(&rules(&list, json!({}))).unwrap();
    let resource = r#"{"resourceType":"Patient","contained":[{"resourceType":"Observation","code":{"text":"A"}},{"resourceType":"Basic","id":"1"}],"active":true}"#;
    let expected = format!(
        r#"{{"resourceType":"Patient","contained":[{{"resourceType":"Observation"}},{{"resourceType":"Basic"}}],"active":true,"meta":{{"security":[{REDACTED}]}}}}"#
    );
    assert_eq!(run(&mut engine, &TestHost::new(), resource), expected);
    let resource = r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Observation","code":{"text":"A"},"status":"final"}}]}"#;
    let expected = format!(
        r#"{{"resourceType":"Bundle","entry":[{{"resource":{{"resourceType":"Observation"}}}}],"meta":{{"security":[{REDACTED}]}}}}"#
    );
    assert_eq!(run(&mut engine, &TestHost::new(), resource), expected);
    // A resource that is covered still selects those inside it by its own rules.
    let mut inner =
        load(&rules(&[("Bundle.entry.resource", "keep"), ("Resource", "redact")], json!({}))).unwrap();
    let resource = r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Basic","id":"1"}}]}}]}"#;
    assert_eq!(run(&mut inner, &TestHost::new(), resource), resource);
    let alone = r#"{"resourceType":"Observation","code":{"text":"A"},"status":"final"}"#;
    assert_eq!(run(&mut engine, &TestHost::new(), alone), alone);
}

#[test]
fn what_is_no_resource_is_refused_or_dropped_and_never_quoted() {
    let mut engine = load(&rules(&[("Patient.name", "redact")], json!({}))).unwrap();
    let host = TestHost::new();
    let resources: Vec<Vec<u8>> = [
        r#"{"resourceType":"Patient","name":[{"family":"Chalmers"}],"name":[]}"#,
        r#"{"resourceType":"Patient","resourceType":"Chalmers"}"#,
        r#"{"resourceType":"Patient","name":[{"family":"Chalmers}]}"#,
        r#"{"resourceType":"Patient","gender":Chalmers}"#,
        r#"{"resourceType":"Patient"} Chalmers"#,
        r#"{"name":"Chalmers"}"#,
        r#"{"resourceType":["Chalmers"]}"#,
        r#"["Chalmers"]"#,
        r#""Chalmers""#,
        "",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .chain([b"{\"resourceType\":\"Patient\",\"gender\":\"\xffChalmers\"}".to_vec()])
    .collect();
    for verdict in engine.process(&host, &resources) {
        let Verdict::Refuse(refusal) = &verdict else { panic!("{verdict:?}") };
        assert_eq!(refusal.code, "structure");
        assert!(!refusal.message.contains("Chalmers"), "{refusal:?}");
    }
    let unknown = br#"{"resourceType":"Chalmers","name":"A"}"#.to_vec();
    assert_eq!(engine.process(&host, &[unknown]), [Verdict::Drop]);
    assert!(host.lines().is_empty());
    let deep = format!(r#"{{"resourceType":"Patient","extension":{}1{}}}"#, "[".repeat(64), "]".repeat(64));
    assert!(matches!(engine.process(&host, &[deep.into_bytes()])[0], Verdict::Refuse(_)));
    assert_eq!(engine.process::<Vec<u8>>(&host, &[]), []);
}

#[test]
fn a_batch_asks_the_host_once() {
    let list = [("Resource.id", "cryptoHash"), ("nodesByType('dateTime')", "dateShift")];
    let mut engine = load(&rules(&list, json!({}))).unwrap();
    let host = TestHost::new();
    let resources: Vec<_> = (0..10)
        .map(|n| {
            let patient = n % 3;
            json!({"resourceType": "Observation", "id": format!("o{}", n / 2), "effectiveDateTime": "2020-01-01",
                   "subject": {"reference": format!("Patient/{patient}")}})
        })
        .map(|resource| resource.to_string().into_bytes())
        .collect();
    let verdicts = engine.process(&host, &resources);
    assert_eq!(host.calls(), [5, 3]);
    let same = |a: usize, b: usize, key: &str| {
        let value = |at: usize| -> Value {
            serde_json::from_slice::<Value>(&common::applied(&verdicts[at], &resources[at])).unwrap()[key]
                .clone()
        };
        value(a) == value(b)
    };
    assert!(same(0, 1, "id") && !same(0, 2, "id"));
    assert!(same(0, 3, "effectiveDateTime") && same(0, 6, "effectiveDateTime"));

    let host = TestHost::without_grants();
    for verdict in engine.process(&host, &resources) {
        let Verdict::Refuse(refusal) = verdict else { panic!("{verdict:?}") };
        assert_eq!(refusal.code, "exception");
        assert!(refusal.message.contains("grants.pseudonym"), "{refusal:?}");
    }
    assert_eq!(host.lines()[0].0, Level::Error);
    // Nothing to ask for: no grant needed.
    let plain = br#"{"resourceType":"Basic"}"#.to_vec();
    assert_eq!(engine.process(&host, &[plain]), [Verdict::Keep]);
}

#[test]
fn dates_of_one_patient_move_alike_and_without_one_patient_not_at_all() {
    let list = [
        ("nodesByType('date')", "dateShift"),
        ("nodesByType('dateTime')", "dateShift"),
        ("nodesByType('instant')", "dateShift"),
    ];
    let mut engine = load(&rules(&list, json!({"enablePartialDatesForRedact": true}))).unwrap();
    let host = TestHost::new();
    let mut output = |resource: Value| -> Value {
        serde_json::from_str(&run(&mut engine, &host, &resource.to_string())).unwrap()
    };
    let patient = output(json!({"resourceType": "Patient", "id": "1", "birthDate": "2000-02-28"}));
    // The reference may come after the dates.
    let encounter = output(json!({
        "resourceType": "Encounter",
        "period": {"start": "2000-02-28T10:11:12.5+01:00", "end": "2000-03-01"},
        "subject": {"reference": "Patient/1/_history/2"},
    }));
    let day = patient["birthDate"].as_str().unwrap();
    let start = encounter["period"]["start"].as_str().unwrap();
    assert_ne!(day, "2000-02-28");
    assert_eq!(start, format!("{day}T00:00:00.0+01:00"));
    let nested = output(json!({"resourceType": "Bundle", "timestamp": "2000-02-28T00:00:00Z", "entry": [
        {"resource": {"resourceType": "Patient", "id": "1", "birthDate": "2000-02-28"}},
        {"resource": {"resourceType": "Condition", "recordedDate": "2000-02-28", "subject": {"reference": "Patient/2"},
                      "contained": [{"resourceType": "Patient", "id": "1", "birthDate": "2000-02-28"}]}},
        {"resource": {"resourceType": "Organization", "contact": [{"name": {"period": {"start": "2000-02-28"}}}]}},
    ]}));
    let entry = |at: usize| &nested["entry"][at]["resource"];
    assert_eq!(nested.get("timestamp"), None);
    assert_eq!(entry(0)["birthDate"], day);
    assert_ne!(entry(1)["recordedDate"], day);
    assert_eq!(entry(1)["contained"][0]["birthDate"], entry(1)["recordedDate"]);
    assert_eq!(entry(2)["contact"][0]["name"]["period"]["start"], "2000");
    for subject in [
        json!({}),
        json!({"reference": "Group/1"}),
        json!({"reference": "#p"}),
        json!({"reference": "urn:uuid:0f9c3b1e-6f4c-4f0e-9d55-0f2f2f1d7a11"}),
        json!({"reference": "Patient?identifier=1"}),
        json!({"identifier": {"value": "1"}}),
    ] {
        let resource = json!({"resourceType": "Observation", "subject": subject, "effectiveDateTime": "2000-02-28",
                              "issued": "2000-02-28T00:00:00Z"});
        let resource = output(resource);
        assert_eq!(resource["effectiveDateTime"], "2000", "{subject}");
        assert_eq!(resource.get("issued"), None, "{subject}");
    }
    let two = output(json!({"resourceType": "Observation", "effectiveDateTime": "2000-02-28",
        "subject": {"reference": "Patient/1"}, "performer": [{"reference": "Patient/2"}]}));
    assert_eq!(two["effectiveDateTime"], "2000");
    // What is no date is not passed on as one.
    let text = output(json!({"resourceType": "Observation", "effectiveDateTime": "Chalmers",
        "subject": {"reference": "Patient/1"}}));
    assert_eq!(text.get("effectiveDateTime"), None);
    // Places in an array of dates stay.
    let timing = output(json!({"resourceType": "ServiceRequest", "subject": {"reference": "Patient/1"},
        "occurrenceTiming": {"event": ["1900-01-01", "2000-02-28"], "_event": [{"id": "a"}, {"id": "b"}]}}));
    assert_eq!(
        timing["occurrenceTiming"],
        json!({"event": [null, day], "_event": [{"id": "a"}, {"id": "b"}]})
    );
    let timing = output(json!({"resourceType": "ServiceRequest", "subject": {"reference": "Patient/1"},
        "occurrenceTiming": {"event": ["1900-01-01", "2000-02-28"]}}));
    assert_eq!(timing["occurrenceTiming"], json!({"event": [day]}));
}

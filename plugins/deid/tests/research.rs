//! The rules for a research route (`policies/deid/research.json`) over sample data.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::{applied, load};
use fireguard_deid::Engine;
use fireguard_sdk::testing::TestHost;
use fireguard_sdk::{Host, Verdict};
use serde_json::{Value, json};

/// 2026-11-21
const TODAY: u64 = 1_795_219_200;

fn engine() -> Engine {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/deid/research.json");
    load(&std::fs::read_to_string(file).unwrap()).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

fn deidentified(resource: &Value) -> Value {
    let host = TestHost::new().at(TODAY);
    serde_json::from_str(&common::run(&mut engine(), &host, &resource.to_string())).unwrap()
}

#[test]
fn a_patient() {
    let host = TestHost::new();
    let patient = json!({
        "resourceType": "Patient", "id": "p-1",
        "meta": {"versionId": "4", "lastUpdated": "2026-11-20T10:00:00Z", "source": "https://hospital.example", "profile": ["http://hospital.example/fhir/StructureDefinition/okafor", "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"],
                 "tag": [{"system": "http://hospital.example/ward", "code": "okafor"}]},
        "language": "Okafor",
        "text": {"status": "generated", "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\">Ada Okafor</div>"},
        "extension": [{"url": "u", "valueString": "Okafor"}],
        "identifier": [{"system": "http://hospital.example/mrn", "value": "12345", "assigner": {"display": "Leeds"}}],
        "active": true, "name": [{"use": "official", "family": "Okafor", "given": ["Ada"], "period": {"start": "2000-01-01"}}],
        "telecom": [{"system": "phone", "value": "555"}], "gender": "female",
        "birthDate": "1984-03-09", "_birthDate": {"extension": [{"url": "u", "valueDateTime": "1984-03-09T10:00:00Z"}]},
        "deceasedDateTime": "2021-02-03T04:05:06Z",
        "address": [{"use": "home", "line": ["1 Test Rd"], "city": "Leeds", "postalCode": "98052", "state": "WY", "country": "GB", "text": "x"}],
        "maritalStatus": {"coding": [
            {"id": "Okafor", "system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": "M", "display": "Married", "version": "1"},
            {"system": "http://10.0.0.5/fhir/CodeSystem/okafor", "code": "m"},
        ], "text": "Married to Obi"},
        "multipleBirthInteger": 2, "photo": [{"contentType": "image/png", "data": "aGk=", "title": "Ada"}],
        "contact": [{"relationship": [{"coding": [{"code": "N"}]}], "name": {"family": "Okafor"}, "gender": "male"}],
        "communication": [{"language": {"coding": [{"code": "en"}]}, "preferred": true}],
        "generalPractitioner": [{"reference": "Practitioner/gp-7", "type": "Practitioner", "display": "Dr Example"}],
    });
    let token = |text: &str| host.tokens("", &[text.to_owned()]).unwrap().remove(0);
    let output = deidentified(&patient);
    let labels: Vec<_> =
        output["meta"]["security"].as_array().unwrap().iter().map(|label| &label["code"]).collect();
    assert_eq!(labels, ["REDACTED", "CRYTOHASH", "PERTURBED"]);
    let mut expected = json!({
        "resourceType": "Patient", "id": token("p-1"), "meta": {"profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"]},
        "active": true, "name": [{"period": {"start": "2000"}}], "gender": "female", "birthDate": "1984",
        "address": [{"state": "WY", "country": "GB"}],
        "maritalStatus": {"coding": [
            {"system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": "M", "version": "1"},
            {"code": "m"},
        ]},
        "multipleBirthInteger": 2, "photo": [{"contentType": "image/png"}],
        "communication": [{"language": {"coding": [{"code": "en"}]}, "preferred": true}],
        "generalPractitioner": [{"reference": format!("Practitioner/{}", token("gp-7"))}],
    });
    expected["meta"]["security"] = output["meta"]["security"].clone();
    expected["deceasedDateTime"] = output["deceasedDateTime"].clone();
    assert_eq!(output, expected);
    let deceased = output["deceasedDateTime"].as_str().unwrap();
    assert!(deceased.ends_with("T00:00:00Z") && !deceased.starts_with("2021-02-03"), "{deceased}");
}

#[test]
fn an_observation_keeps_what_research_needs() {
    let observation = json!({
        "resourceType": "Observation", "id": "o", "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7", "display": "Hemoglobin"}], "text": "Hb of Ada"},
        "subject": {"reference": "Patient/p-1", "display": "Ada"}, "issued": "2021-07-01T08:00:00Z",
        "effectivePeriod": {"start": "2021-06-30", "end": "2021-07-02"},
        "valueQuantity": {"value": 13.5, "unit": "g/dL", "system": "http://unitsofmeasure.org", "code": "g/dL"},
        "note": [{"text": "Ada was here", "authorString": "Dr Example"}],
        "component": [{"code": {"coding": [{"code": "x"}]}, "valueString": "Ada"}],
        "referenceRange": [{"low": {"value": 1.10, "unit": "g/dL"}, "text": "for Ada", "age": {"low": {"value": 18}}}],
        "contained": [{"resourceType": "Practitioner", "id": "c", "name": [{"family": "Example"}], "gender": "male"}],
        "device": {"reference": "#c"},
    });
    let output = deidentified(&observation);
    assert_eq!(output["code"], json!({"coding": [{"system": "http://loinc.org", "code": "718-7"}]}));
    assert_eq!(output["valueQuantity"], observation["valueQuantity"]);
    assert_eq!(output["component"], json!([{"code": {"coding": [{"code": "x"}]}}]));
    assert_eq!(
        output["referenceRange"],
        json!([{"low": {"value": 1.10, "unit": "g/dL"}, "age": {"low": {"value": 18}}}])
    );
    assert_eq!(output.get("note"), None);
    assert_eq!(output.get("issued"), None);
    let contained = &output["contained"][0];
    assert_eq!(contained["gender"], "male");
    assert_eq!(contained.get("name"), None);
    assert_eq!(output["device"]["reference"], format!("#{}", contained["id"].as_str().unwrap()));
    let day = |key: &str| output["effectivePeriod"][key].as_str().unwrap().to_owned();
    assert_ne!(day("start"), "2021-06-30");
    assert!(day("start") < day("end"));
}

#[test]
fn other_resources_say_nothing_about_people_and_places() {
    for resource in [
        json!({"resourceType": "Organization", "name": "Leeds Clinic", "alias": ["Leeds"], "contact": [{"name": {"family": "Leeds"}}], "active": true}),
        json!({"resourceType": "Location", "name": "Leeds", "description": "Leeds", "position": {"latitude": 53.801, "longitude": 53.801}, "status": "active"}),
        json!({"resourceType": "Device", "serialNumber": "Leeds", "udiCarrier": [{"deviceIdentifier": "Leeds", "carrierHRF": "Leeds"}], "distinctIdentifier": "Leeds", "lotNumber": "Leeds", "deviceName": [{"name": "Leeds", "type": "other"}], "status": "active"}),
        json!({"resourceType": "DocumentReference", "status": "current", "description": "Leeds", "content": [{"attachment": {"contentType": "text/plain", "url": "http://leeds.example/1", "data": "TGVlZHM=", "title": "Leeds", "hash": "TGVlZHM="}}]}),
        json!({"resourceType": "AuditEvent", "agent": [{"name": "Leeds", "network": {"address": "53.801", "type": "2"}}], "entity": [{"query": "TGVlZHM=", "name": "Leeds"}]}),
        json!({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "invalid", "diagnostics": "Leeds", "details": {"text": "Leeds"}, "location": ["Leeds"]}]}),
        json!({"resourceType": "Binary", "contentType": "text/plain", "data": "TGVlZHM="}),
        json!({"resourceType": "Parameters", "parameter": [{"name": "result", "valueString": "Leeds"}, {"name": "x", "valueUri": "http://leeds.example"}, {"name": "y", "valueBoolean": true}]}),
        json!({"resourceType": "Communication", "payload": [{"contentString": "Leeds"}], "status": "completed"}),
        json!({"resourceType": "Composition", "title": "Leeds", "section": [{"title": "Leeds", "text": {"div": "<div>Leeds</div>"}}], "status": "final"}),
        json!({"resourceType": "MedicationRequest", "dosageInstruction": [{"text": "Leeds", "patientInstruction": "Leeds", "sequence": 1}], "status": "active"}),
        json!({"resourceType": "Coverage", "subscriberId": "Leeds", "class": [{"value": "Leeds", "name": "Leeds"}], "status": "active"}),
        json!({"resourceType": "Bundle", "type": "batch", "entry": [{"fullUrl": "http://leeds.example/Patient/1", "request": {"method": "PUT", "url": "Patient?name=Leeds", "ifNoneExist": "name=Leeds"}, "response": {"status": "200", "location": "http://leeds.example"}}], "link": [{"relation": "self", "url": "http://leeds.example"}]}),
        json!({"resourceType": "Bundle", "type": "document", "identifier": {"value": "Leeds"}, "entry": [{"resource": {"resourceType": "Patient", "name": [{"text": "Leeds"}]}}]}),
        json!({"resourceType": "ImagingStudy", "series": [{"uid": "1.2.53.801", "description": "Leeds", "instance": [{"uid": "1.2.53.801", "title": "Leeds"}]}], "status": "available"}),
        json!({"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": "Questionnaire/Leeds", "item": [{"linkId": "Leeds", "text": "Leeds",
               "answer": [{"valueString": "Leeds", "item": [{"linkId": "Leeds"}]}], "item": [{"linkId": "Leeds", "item": [{"linkId": "Leeds", "item": [{"linkId": "Leeds"}]}]}]}]}),
        json!({"resourceType": "Parameters", "parameter": [{"name": "Leeds", "part": [{"name": "Leeds"}]}, {"name": "result", "valueMeta": {"versionId": "Leeds", "tag": [{"system": "http://leeds.example"}], "profile": ["http://leeds.example"]}}]}),
        json!({"resourceType": "Observation", "status": "final", "language": "Leeds", "subject": {"type": "Leeds", "reference": "http://leeds.example/Patient/1/_history/2"}, "focus": [{"reference": "Patient/1/_history/Leeds"}], "valueSampledData": {"data": "1 Leeds", "period": 1}}),
        json!({"resourceType": "Endpoint", "status": "active", "payloadMimeType": ["text/Leeds"], "address": "http://leeds.example"}),
        json!({"resourceType": "Media", "status": "completed", "content": {"contentType": "image/Leeds", "language": "Leeds"}}),
        json!({"resourceType": "Binary", "contentType": "text/Leeds", "data": "TGVlZHM="}),
        json!({"resourceType": "Condition", "clinicalStatus": {"coding": [{"system": "http://leeds.example/fhir/CodeSystem/1", "code": "active"}]}, "_recordedDate": {"id": "Leeds"}, "code": {"id": "Leeds"}}),
        json!({"resourceType": "FamilyMemberHistory", "name": "Leeds", "bornString": "Leeds", "ageAge": {"value": 90, "unit": "a"}, "status": "completed"}),
    ] {
        let output = deidentified(&resource).to_string();
        for text in ["Leeds", "leeds", "TGVlZHM", "53.801", "\"value\":90"] {
            assert!(!output.contains(text), "{text} is left of {resource}: {output}");
        }
        // Something useful is left.
        let kept = ["status", "active", "severity", "Binary", "result", "Patient", "type"];
        assert!(kept.iter().any(|name| output.contains(name)), "{output}");
    }
}

#[test]
fn nothing_personal_of_the_samples_is_left() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fhir-samples");
    if !folder.exists() {
        println!("skipped: no samples in ../shared");
        return;
    }
    let host = TestHost::new().at(TODAY);
    let mut engine = engine();
    let (mut resources, mut secrets_seen) = (0, 0);
    for group in ["synthea-2019-bundles", "synthea-2.7-bundles", "fhir-loader-samples"] {
        let files = std::fs::read_dir(folder.join(group)).unwrap().map(|file| file.unwrap().path());
        for path in files.filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
            let bundle: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let entries = bundle["entry"].as_array().unwrap();
            let mut secrets = BTreeSet::new();
            entries.iter().for_each(|entry| collect(&entry["resource"], "", &mut secrets));
            secrets_seen += secrets.len();
            let texts: Vec<Vec<u8>> =
                entries.iter().map(|entry| entry["resource"].to_string().into_bytes()).collect();
            let verdicts: Vec<Verdict> =
                texts.chunks(50).flat_map(|texts| engine.process(&host, texts)).collect();
            for (verdict, text) in verdicts.iter().zip(&texts) {
                let output: Value = serde_json::from_slice(&applied(verdict, text)).unwrap();
                let mut left = BTreeSet::new();
                strings(&output, &mut left);
                assert_eq!(output.to_string().matches("\"display\"").count(), labels(&output));
                for string in &left {
                    assert!(!secrets.contains(*string), "{string:?} is left in {}", path.display());
                }
                resources += 1;
            }
        }
    }
    println!("{resources} resources, {secrets_seen} secrets");
    assert!(resources > 2_000 && secrets_seen > 5_000, "{resources} {secrets_seen}");
}

/// Everything personal that a resource says: by what it is in, not by the rules under test.
fn collect<'v>(value: &'v Value, under: &str, secrets: &mut BTreeSet<&'v str>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                // A Coding's display repeats what the code says; a Reference's says who it is.
                let reference = members.contains_key("reference");
                let personal = match (under, name.as_str()) {
                    ("name", "family" | "given" | "text" | "prefix") => true,
                    ("telecom" | "identifier", "value") => true,
                    ("address", "line" | "city" | "postalCode" | "text") => true,
                    (_, "display") => reference,
                    (_, "birthDate" | "div" | "id" | "lastUpdated" | "source" | "fullUrl" | "reference") => {
                        true
                    }
                    ("attachment" | "presentedForm", "data" | "url" | "title") => true,
                    _ => false,
                };
                if personal {
                    strings(value, secrets);
                }
                collect(value, name, secrets);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| collect(element, under, secrets)),
        _ => {}
    }
}

/// The displays of security labels.
fn labels(resource: &Value) -> usize {
    resource["meta"]["security"].as_array().map_or(0, Vec::len)
}

fn strings<'v>(value: &'v Value, out: &mut BTreeSet<&'v str>) {
    match value {
        Value::String(text) if text.len() > 2 => {
            out.insert(text);
        }
        Value::Array(elements) => elements.iter().for_each(|element| strings(element, out)),
        Value::Object(members) => members.values().for_each(|member| strings(member, out)),
        _ => {}
    }
}

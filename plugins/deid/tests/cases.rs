//! The shared cases: Microsoft's published inputs and outputs, and edge cases in the same shape.
//!
//! They carry keys in the configuration, which this plugin refuses; so the tests check that, blank the keys
//! and give the host the same one. Shifted dates differ from the published ones by design (an offset for
//! each patient, not for each resource id), so those are held against the offset that the host gave.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fireguard_deid::{Deid, Engine, config};
use fireguard_sdk::testing::TestHost;
use fireguard_sdk::{File, Host, Plugin, Problem, Settings, Verdict};
use serde_json::{Value, json};

/// 2026-11-21, the day that the cases call today.
const TODAY: u64 = 1_795_219_200;

/// Own cases that use what this version does not have or what it refuses on purpose, and a part of the
/// message that has to say so.
const REFUSED: [(&str, &str); 20] = [
    ("choice-element", "choosing among the types"),
    ("choice-oftype", "`perturb` is not supported"),
    ("config-with-comments", "it is `processingErrors`"),
    ("dateshift-fixed-offset", "a fixed offset is not supported"),
    ("dateshift-on-string-is-keep", "dateShift does nothing to `HumanName`"),
    ("general-first-makes-specific-dead", "can never apply"),
    ("generalize-complex-error", "`generalize` is not supported"),
    ("generalize-date", "`generalize` is not supported"),
    ("generalize-empty-is-true", "`generalize` is not supported"),
    ("generalize-error-skip", "processingErrors has to be \"raise\""),
    ("generalize-first-match", "`generalize` is not supported"),
    ("nodesbyname-choice", "nodesByName is not supported"),
    ("substitute-complex-keeps-earlier", "`substitute` is not supported"),
    ("substitute-null", "`substitute` is not supported"),
    ("substitute-primitive", "`substitute` is not supported"),
    ("union-same-value", "a rule has one path"),
    ("unknown-method", "unknown method `mask`"),
    ("where-before-change", "functions and predicates are not supported"),
    ("where-coding-exists", "functions and predicates are not supported"),
    ("where-sees-earlier-changes", "functions and predicates are not supported"),
];

#[test]
fn own_cases() {
    let Some(folder) = shared("own") else { return };
    let (mut ran, mut refused) = (0, 0);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for path in files {
        let case = read(&path);
        let id = case["id"].as_str().unwrap();
        let text = match case["configText"].as_str() {
            Some(text) => text.to_owned(),
            None => case["config"].to_string(),
        };
        assert_refuses_keys(&text, id);
        let host = host_of(&text);
        let mut outcome = load(&without_keys(&text));
        let expected_refusal =
            REFUSED.iter().find(|(refused, _)| *refused == id).map(|(_, message)| *message);
        let expected_refusal = match id {
            "wrong-case-type-is-dead" => Some("did you mean `Patient`?"),
            "wrong-version" => Some("fhirVersion has to be"),
            _ => expected_refusal,
        };
        if let Some(message) = expected_refusal {
            let problems = outcome.err().unwrap_or_else(|| panic!("{id} has to be refused"));
            assert!(problems.iter().any(|problem| problem.message.contains(message)), "{id}: {problems:#?}");
            assert!(
                problems.iter().all(|problem| problem.line > 0 && problem.column > 0),
                "{id}: {problems:#?}"
            );
            refused += 1;
            continue;
        }
        let engine = outcome.as_mut().unwrap_or_else(|problems| panic!("{id}: {problems:#?}"));
        let actual = run(engine, &host, &case["input"]);
        if id == "unknown-element" {
            // The original refuses the resource; here the element goes.
            let gone: Vec<_> =
                keys(&case["input"]).into_iter().filter(|key| actual.get(key).is_none()).collect();
            assert_eq!(gone, ["name", "notInFhir"], "{id}");
            ran += 1;
            continue;
        }
        let expected = case["expected"].clone();
        // Without a patient there is no offset: redacted.
        let expected = if id == "dateshift-no-id" { without(expected, "birthDate") } else { expected };
        compare(id, &case["input"], &expected, &actual, &host);
        ran += 1;
    }
    println!("own cases: {ran} ran, {refused} refused as they have to be");
    assert_eq!((ran, refused), (21, 22));
}

#[test]
fn published_cases() {
    let Some(folder) = shared("") else { return };
    let manifest = read(&folder.join("manifest.json"));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for case in manifest["cases"].as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        if case["dialect"] != "ms" {
            *counts.entry("skipped: the other tool's dialect (YAML)").or_default() += 1;
            continue;
        }
        let text = std::fs::read_to_string(folder.join(case["config"].as_str().unwrap())).unwrap();
        let host = host_of(&text);
        let strict = load(&without_keys(&text));
        if case["input"].is_null() {
            assert!(strict.is_err(), "{id} has to be refused");
            *counts.entry("bad configurations refused").or_default() += 1;
            continue;
        }
        let input = read(&folder.join(case["input"].as_str().unwrap()));
        let (mut engine, kind) = match strict {
            Ok(engine) => (engine, "ran"),
            Err(problems) => {
                // What is not supported must be refused. The rest of the rules can still be held against the
                // published output, where the refused ones have no part in it.
                assert!(!problems.is_empty());
                let independent = id.contains("r4-configuration-sample") || id.contains("r4-rejects");
                if !independent {
                    *counts.entry("refused for rules that this version does not have").or_default() += 1;
                    continue;
                }
                let rules = without_rules(&without_keys(&text), &problems);
                (
                    load(&rules).unwrap_or_else(|problems| panic!("{id}: {problems:#?}")),
                    "ran without refused rules",
                )
            }
        };
        let resource = input.to_string().into_bytes();
        let verdicts = engine.process(&host, std::slice::from_ref(&resource));
        if case["expectError"] == "invalid-input" {
            match &verdicts[0] {
                Verdict::Drop => {}
                Verdict::Replace(bytes) => {
                    let unknown = if id.contains("Claim") { "\"organization\"" } else { "\"agent\"" };
                    let output = String::from_utf8_lossy(bytes);
                    assert!(
                        input.to_string().contains(unknown) && !output.contains(unknown),
                        "{id} {output}"
                    );
                }
                other => panic!("{id}: {other:?}"),
            }
            *counts.entry("invalid input that loses what R4 does not know").or_default() += 1;
            continue;
        }
        let expected = read(&folder.join(case["expected"].as_str().unwrap()));
        compare(id, &input, &expected, &applied(&verdicts[0], &resource), &host);
        *counts.entry(kind).or_default() += 1;
    }
    println!("published cases: {counts:#?}");
    assert_eq!(counts["bad configurations refused"], 9);
    assert_eq!(counts["ran"], 3);
    assert_eq!(counts["ran without refused rules"], 4);
}

#[test]
fn vectors() {
    let Some(folder) = shared("vectors") else { return };
    let vectors = read(&folder.join("vectors.json"));
    let host = TestHost::with_key(vectors["cryptoHash"]["key"].as_str().unwrap().as_bytes());
    let hash = |path: &str, resource: Value| {
        let rules = json!({"fhirPathRules": [{"path": path, "method": "cryptoHash"}]}).to_string();
        run(&mut load(&rules).unwrap(), &host, &resource)
    };
    for pair in vectors["cryptoHash"]["value"].as_array().unwrap() {
        let output = hash("Patient.language", json!({"resourceType": "Patient", "language": pair[0]}));
        assert_eq!(output["language"], pair[1]);
    }
    for pair in vectors["cryptoHash"]["reference"].as_array().unwrap() {
        let output = hash(
            "Observation.subject",
            json!({"resourceType": "Observation", "subject": {"reference": pair[0]}}),
        );
        let expected = elsewhere(pair[0].as_str().unwrap(), &host);
        assert_eq!(output["subject"]["reference"], expected.map_or(pair[1].clone(), Value::String));
    }
    let shapes = &vectors["referenceShape"];
    let whole = shapes["whole"].as_array().unwrap().iter().map(|text| (text, "@ID"));
    let known = shapes["known"].as_array().unwrap().iter().map(|pair| (&pair[0], pair[1].as_str().unwrap()));
    for (text, shape) in known.chain(whole) {
        let output = hash(
            "Observation.subject",
            json!({"resourceType": "Observation", "subject": {"reference": text}}),
        );
        let output = output["subject"]["reference"].as_str().unwrap();
        if let Some(expected) = elsewhere(text.as_str().unwrap(), &host).filter(|_| !shape.starts_with('@')) {
            assert_eq!(output, expected);
            continue;
        }
        let (before, after) = shape.split_once("@ID").unwrap();
        assert!(output.starts_with(before) && output.ends_with(after), "{text}: {output}");
        assert_eq!(output.len(), before.len() + 64 + after.len(), "{text}: {output}");
    }
    let rules = json!({
        "fhirPathRules": [{"path": "nodesByType('Address').postalCode", "method": "redact"}],
        "parameters": {
            "enablePartialZipCodesForRedact": true,
            "restrictedZipCodeTabulationAreas": vectors["postalCode"]["restricted"],
        },
    });
    for pair in vectors["postalCode"]["cases"].as_array().unwrap() {
        let patient = json!({"resourceType": "Patient", "address": [{"postalCode": pair[0]}]});
        let output = run(&mut load(&rules.to_string()).unwrap(), &host, &patient);
        assert_eq!(output["address"][0]["postalCode"], pair[1]);
    }
}

/// What becomes of a reference to another server: here its address is hashed too, not only the id.
fn elsewhere(text: &str, host: &TestHost) -> Option<String> {
    let (target, version) = match text.find("/_history/") {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let ty = target.split_once("://")?.1.rsplit('/').nth(1)?;
    Some(format!("{ty}/{}{version}", host.tokens("", &[target.to_owned()]).unwrap().remove(0)))
}

/// A file or folder of the shared cases; none when they are not there.
fn shared(path: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/deid").join(path);
    if !folder.exists() {
        println!("skipped: no cases in ../shared/deid");
        return None;
    }
    Some(folder)
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap()
}

fn load(rules: &str) -> Result<Engine, Vec<Problem>> {
    let file = File { name: "rules".into(), path: "rules.json".into(), content: rules.as_bytes().to_vec() };
    let settings = Settings { json: "{}".into(), files: vec![file.clone()] };
    let rules = config::read(&file);
    assert_eq!(Deid::configure(settings).map(|_| ()).err(), rules.as_ref().err().cloned());
    Ok(Engine::new(rules?))
}

fn run(engine: &mut Engine, host: &TestHost, input: &Value) -> Value {
    let resource = input.to_string().into_bytes();
    let verdict = engine.process(host, std::slice::from_ref(&resource)).remove(0);
    applied(&verdict, &resource)
}

fn applied(verdict: &Verdict, resource: &[u8]) -> Value {
    match verdict {
        Verdict::Keep => serde_json::from_slice(resource).unwrap(),
        Verdict::Replace(bytes) => serde_json::from_slice(bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

const KEYS: [&str; 3] = ["dateShiftKey", "cryptoHashKey", "encryptKey"];

/// The members of the configuration's text that hold a key, and their values.
fn keys_in(text: &str) -> Vec<(&str, &str)> {
    KEYS.iter()
        .filter_map(|name| {
            let rest = &text[text.find(&format!("\"{name}\""))? + name.len() + 2..];
            let value = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
            Some((*name, &value[..value.find('"')?]))
        })
        .collect()
}

fn host_of(text: &str) -> TestHost {
    let hash = keys_in(text).into_iter().find(|(name, _)| *name == "cryptoHashKey");
    let key = hash.map(|(_, key)| key).filter(|key| !key.is_empty()).unwrap_or("none");
    TestHost::with_key(key.as_bytes()).at(TODAY)
}

fn without_keys(text: &str) -> String {
    keys_in(text).into_iter().fold(text.to_owned(), |text, (name, key)| {
        let at = text.find(&format!("\"{name}\"")).unwrap();
        let value = at + name.len() + 2 + text[at + name.len() + 2..].find('"').unwrap() + 1;
        format!("{}{}", &text[..value], &text[value + key.len()..])
    })
}

fn assert_refuses_keys(text: &str, id: &str) {
    let problems = load(text).expect_err("keys have to be refused");
    for (name, key) in keys_in(text) {
        let pointer = format!("/parameters/{name}");
        let found = problems.iter().find(|problem| problem.pointer == pointer);
        assert!(found.is_some_and(|problem| problem.message.contains("keys do not belong")), "{id} {name}");
        let quoted = problems.iter().any(|problem| problem.message.contains(key));
        assert!(key.len() < 4 || !quoted, "{id}: a message quotes the key");
    }
}

/// The configuration without the rules that have problems.
fn without_rules(text: &str, problems: &[Problem]) -> String {
    let mut config: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap();
    let bad: Vec<usize> = problems
        .iter()
        .map(|problem| {
            problem.pointer.split('/').nth(2).unwrap_or_else(|| panic!("{problem:?}")).parse().unwrap()
        })
        .collect();
    let rules = config["fhirPathRules"].as_array().unwrap().iter().enumerate();
    let kept: Vec<_> = rules.filter(|(at, _)| !bad.contains(at)).map(|(_, rule)| rule.clone()).collect();
    config["fhirPathRules"] = Value::Array(kept);
    config.to_string()
}

fn keys(value: &Value) -> Vec<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

fn without(mut value: Value, key: &str) -> Value {
    value.as_object_mut().unwrap().remove(key);
    value["meta"] = json!({"security": [{
        "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "REDACTED", "display": "redacted",
    }]});
    value
}

/// Compares by value; where the original shifted a date, ours has to be the input moved by the patient's
/// offset instead.
fn compare(id: &str, input: &Value, expected: &Value, actual: &Value, host: &TestHost) {
    let patient = match input["resourceType"].as_str() {
        Some("Patient") => input["id"].as_str().map(|id| format!("Patient/{id}")),
        Some("Claim") => input["patient"]["reference"].as_str().map(str::to_owned),
        _ => input["subject"].get(0).unwrap_or(&input["subject"])["reference"].as_str().map(str::to_owned),
    };
    let mut expected = expected.clone();
    let offset = patient.map(|patient| i64::from(host.date_offsets(&[patient]).unwrap()[0]));
    if offset.is_none()
        && let Some(labels) = expected["meta"]["security"].as_array_mut()
    {
        labels.retain(|label| label["code"] != "PERTURBED");
    }
    compare_at(id, "", Some(input), &expected, actual, (offset, host));
}

fn compare_at(
    id: &str,
    path: &str,
    input: Option<&Value>,
    expected: &Value,
    actual: &Value,
    (offset, host): (Option<i64>, &TestHost),
) {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            for (key, value) in expected {
                let inner =
                    actual.get(key).unwrap_or_else(|| panic!("{id} {path}.{key} is missing: {actual:?}"));
                compare_at(
                    id,
                    &format!("{path}.{key}"),
                    input.and_then(|i| i.get(key)),
                    value,
                    inner,
                    (offset, host),
                );
            }
            for key in actual.keys() {
                assert!(expected.contains_key(key), "{id} {path}.{key} is left: {:?}", actual[key]);
            }
        }
        (Value::Array(expected), Value::Array(actual)) => {
            assert_eq!(expected.len(), actual.len(), "{id} {path}: {expected:?} {actual:?}");
            for (at, (expected, actual)) in expected.iter().zip(actual).enumerate() {
                compare_at(id, path, input.and_then(|i| i.get(at)), expected, actual, (offset, host));
            }
        }
        (Value::String(expected), Value::String(actual)) if expected != actual => {
            let original = input.and_then(Value::as_str).unwrap_or_else(|| panic!("{id} {path}: {actual}"));
            if path.ends_with(".reference")
                && let Some(expected) = elsewhere(original, host)
            {
                assert_eq!(*actual, expected, "{id} {path}: {original}");
                return;
            }
            let Some(offset) = offset else {
                // No patient, no offset: the year is left.
                assert_eq!(*actual, original[..4], "{id} {path}");
                return;
            };
            let day = |text: &str| {
                let mut parts = text[..10].split('-').map(|part| part.parse::<i64>().unwrap());
                day_number(parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap())
            };
            assert_eq!(day(actual), day(original) + offset, "{id} {path}: {original} {expected} {actual}");
            assert_eq!(actual[10..], expected[10..], "{id} {path}");
        }
        _ => assert_eq!(expected, actual, "{id} {path}"),
    }
}

/// Days since the year 1, counted the slow way.
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    (1..year).map(|year| 365 + i64::from(leap(year))).sum::<i64>()
        + lengths[..month as usize - 1].iter().sum::<i64>()
        + day
}

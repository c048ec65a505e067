use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::*;

fn id(text: &str) -> Id {
    Id::parse(text).unwrap()
}

fn concerned(resource_type: ResourceType, of: &str, patients: &[&str]) -> Concerned {
    let patients = patients.iter().map(|patient| id(patient)).collect();
    Concerned { resource_type, id: Some(id(of)), version: None, patients }
}

fn principal() -> Principal {
    Principal {
        issuer: "https://idp.example.org".into(),
        subject: "u-1".into(),
        client: Some("app".into()),
        roles: ["nurse".to_owned()].into(),
        tenant: None,
        fhir_user: None,
        patient: None,
        purposes: ["TREAT".to_owned()].into(),
        bound_to: None,
        scopes: None,
        expires: None,
    }
}

fn parsed(events: Vec<AuditEvent>) -> Vec<Value> {
    let one = |event: AuditEvent| {
        let value: Value = serde_json::from_slice(&event.resource).unwrap();
        assert_eq!(value["id"], event.id);
        value
    };
    events.into_iter().map(one).collect()
}

fn happened<'a>(
    interaction: &'a str,
    principal: &'a Principal,
    policies: &'a BTreeSet<Arc<str>>,
) -> Happened<'a> {
    Happened {
        at: "2026-01-01T00:00:00.000Z",
        request_id: "r-1",
        interaction,
        status: 200,
        principal: Some(principal),
        client: Ipv4Addr::LOCALHOST.into(),
        base: "https://fhir.example.org/fhir",
        query: Some("GET https://fhir.example.org/fhir/Observation?code=x"),
        policies,
        denial: None,
    }
}

/// Each interaction: the profile with a patient, action, the client's part, the server's, the user's.
#[test]
fn every_interaction_has_its_pattern() {
    let principal = principal();
    let policies = BTreeSet::from(["a-rule".into()]);
    for (interaction, profile, action, client, server, user) in [
        ("create", Some("PatientCreate"), "C", "110153", "110152", "AUT"),
        ("update", Some("PatientUpdate"), "U", "110153", "110152", "AUT"),
        ("patch", Some("PatientUpdate"), "U", "110153", "110152", "AUT"),
        ("delete", Some("PatientDelete"), "D", "110150", "custodian", "AUT"),
        ("read", Some("PatientRead"), "R", "110152", "110153", "IRCP"),
        ("vread", Some("PatientRead"), "R", "110152", "110153", "IRCP"),
        ("search-type", Some("PatientQuery"), "E", "110153", "110152", "IRCP"),
        ("history-instance", None, "R", "110152", "110153", "IRCP"),
        ("operation", None, "E", "110153", "110152", "IRCP"),
        ("transaction", None, "E", "110153", "110152", "IRCP"),
    ] {
        let happened = happened(interaction, &principal, &policies);
        let events =
            happened.events(AuditLevel::Patient, &[concerned(ResourceType::Observation, "o", &["p"])]);
        let events = parsed(events);
        assert_eq!(events.len(), 1, "{interaction}");
        let event = &events[0];
        let given = event["meta"]["profile"][0].as_str().map(|url| url.rsplit('.').next().unwrap());
        assert_eq!(given, profile, "{interaction}");
        assert_eq!((&event["action"], &event["outcome"]), (&json!(action), &json!("0")), "{interaction}");
        assert_eq!(event["subtype"][0]["code"], interaction);
        let types: Vec<_> = event["agent"]
            .as_array()
            .unwrap()
            .iter()
            .map(|agent| agent["type"]["coding"][0]["code"].as_str().unwrap())
            .collect();
        assert_eq!(types, [client, server, user], "{interaction}");
        let user = &event["agent"][2];
        assert_eq!((&user["altId"], &user["requestor"]), (&json!("u-1"), &json!(true)));
        assert_eq!(user["policy"], json!(["urn:fireguard:policy:a-rule"]));
        assert_eq!(event["agent"][0]["who"]["identifier"]["value"], "app");
        assert_eq!(event["purposeOfEvent"][0]["coding"][0]["code"], "TREAT");
        assert_eq!(event["entity"][0]["what"]["identifier"]["value"], "r-1");
        assert_eq!(event["entity"][1]["what"]["reference"], "Patient/p");
        let queried = event["entity"][2]["query"].is_string();
        assert_eq!(queried, action == "E", "{interaction}");
        if interaction == "delete" {
            assert_eq!(event["entity"][2]["what"], identified("Observation", "o"));
        } else if !queried {
            assert_eq!(event["entity"][2]["what"]["reference"], "Observation/o", "{interaction}");
        }
    }
}

/// Of a page: how many events, and the patients and resources that they name.
#[test]
fn a_level_says_how_closely_it_is_looked_at() {
    let (principal, policies) = (principal(), BTreeSet::new());
    let happened = happened("search-type", &principal, &policies);
    let page = [
        concerned(ResourceType::Observation, "1", &["a"]),
        concerned(ResourceType::Observation, "2", &["a", "b"]),
        concerned(ResourceType::Medication, "3", &[]),
    ];
    let told = |level, page: &[Concerned]| -> Vec<String> {
        let what = |entity: &Value| entity["what"]["reference"].as_str().map(str::to_owned);
        let told = |event: Value| {
            let named: Vec<_> = event["entity"].as_array().unwrap().iter().filter_map(what).collect();
            named.join(" ")
        };
        parsed(happened.events(level, page)).into_iter().map(told).collect()
    };
    assert_eq!(told(AuditLevel::Exchange, &page), [""]);
    assert_eq!(told(AuditLevel::Exchange, &page[..1]), ["Patient/a"]);
    assert_eq!(told(AuditLevel::Patient, &page), ["Patient/a", "Patient/b"]);
    assert_eq!(told(AuditLevel::Patient, &[]), [""]);
    let entries = ["Patient/a Observation/1 Observation/2", "Patient/b Observation/2", "Medication/3"];
    assert_eq!(told(AuditLevel::Entry, &page), entries);
}

#[test]
fn what_failed_claims_no_profile() {
    let (principal, policies) = (principal(), BTreeSet::new());
    for (status, outcome) in [(304, "0"), (403, "4"), (404, "4"), (500, "8"), (503, "8")] {
        let happened = Happened { status, ..happened("read", &principal, &policies) };
        let events = parsed(happened.events(AuditLevel::Exchange, &[]));
        assert_eq!(events[0]["outcome"], outcome, "{status}");
        assert!(events[0].get("meta").is_none(), "{status}");
    }
}

#[test]
fn what_was_refused_says_by_what() {
    let (principal, policies) = (principal(), BTreeSet::from(["a-permit".into()]));
    for (denial, why, by) in [
        (Denial::Forbidden(vec!["a".into(), "b".into()]), ": forbidden by a, b", Some(["a", "b"])),
        (Denial::Unpermitted, ": no policy permits it", None),
        (Denial::Unscoped, ": no scope that was granted permits it", None),
    ] {
        let happened =
            Happened { status: 403, denial: Some(&denial), ..happened("read", &principal, &policies) };
        let event = parsed(happened.events(AuditLevel::Exchange, &[])).remove(0);
        assert_eq!(event["outcomeDesc"], format!("HTTP status 403{why}"));
        let by = by.map(|ids| json!(ids.map(|id| format!("urn:fireguard:policy:{id}")))).unwrap_or_default();
        assert_eq!(event["agent"][2]["policy"], by, "{denial:?}");
    }
}

#[test]
fn references_can_be_taken_out() {
    let (principal, policies) = (principal(), BTreeSet::new());
    let happened = happened("update", &principal, &policies);
    let mut observation = concerned(ResourceType::Observation, "o", &["p"]);
    observation.version = Some(id("7"));
    let events = happened.events(AuditLevel::Patient, &[observation]);
    let text = String::from_utf8(events[0].resource.clone()).unwrap();
    assert!(text.contains("\"Observation/o/_history/7\""), "{text}");
    let without = without_references(&events[0].resource).unwrap();
    let without: Value = serde_json::from_slice(&without).unwrap();
    assert!(!without.to_string().contains("\"reference\""));
    assert_eq!(without["entity"][1]["what"], identified("Patient", "p"));
    assert_eq!(without["entity"][2]["what"], identified("Observation", "o"));
}

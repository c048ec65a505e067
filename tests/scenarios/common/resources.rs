//! Small resources of our own. `{me}` is filled in by the steps.

use serde_json::{Value, json};

/// Every resource carries the mark of its side as a tag, by which searches find their own only.
pub(crate) fn meta() -> Value {
    json!({"tag": [{"system": "urn:fireguard:test", "code": "{me}"}]})
}

pub(crate) fn patient(id: &str, family: &str) -> Value {
    json!({
        "resourceType": "Patient",
        "id": id,
        "meta": meta(),
        "identifier": [{"system": "urn:fireguard:mrn", "value": id}],
        "name": [{"family": family, "given": ["Änne", "B."]}],
        "gender": "female",
        "birthDate": "1950-02-03",
    })
}

/// Without an id: what a create sends.
pub(crate) fn new_patient(identifier: &str, family: &str) -> Value {
    let mut patient = patient(identifier, family);
    patient.as_object_mut().unwrap().shift_remove("id");
    patient
}

pub(crate) fn observation(id: &str, subject: &str, value: &str) -> Value {
    let value: serde_json::Number = value.parse().unwrap();
    json!({
        "resourceType": "Observation",
        "id": id,
        "meta": meta(),
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
        "subject": {"reference": subject},
        "effectiveDateTime": "2024-03-01T08:00:00Z",
        "valueQuantity": {"value": value, "unit": "1/min"},
    })
}

/// A Bundle to post to the base.
pub(crate) fn bundle(kind: &str, entries: Vec<Value>) -> Value {
    json!({"resourceType": "Bundle", "type": kind, "entry": entries})
}

/// An entry of it.
pub(crate) fn entry(method: &str, url: &str, resource: Option<Value>) -> Value {
    let mut entry = json!({"request": {"method": method, "url": url}});
    if let Some(resource) = resource {
        entry["resource"] = resource;
    }
    entry
}

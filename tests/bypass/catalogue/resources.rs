//! Groups 5, 6 and 11: what is asked for by its name, in all its versions, and what is in it.

use crate::attack::{Attack, get, write};

pub(super) fn all() -> Vec<Attack> {
    [compartments(), outside(), within(), told()].concat()
}

fn compartments() -> Vec<Attack> {
    let unsupported = "no such path here";
    let mut attacks = vec![
        get(5, "Patient/{x}-patient"),
        get(5, "Patient/{x}-patient/Observation").inert(unsupported),
        get(5, "Patient/{x}-patient/*").inert(unsupported),
        get(5, "Patient/zqa-patient/Observation?patient={x}-patient").plain().inert(unsupported),
        get(5, "Encounter/{x}-visit/Observation").inert(unsupported),
        get(5, "Patient/{x}-patient/$everything"),
        get(5, "Patient/{x}-patient/$everything?_type=Observation"),
        get(5, "Patient/zqa-patient/$everything").marker().inert("only what is A's"),
        get(5, "Patient/$everything").marker(),
        get(5, "Encounter/{x}-visit/$everything"),
        get(5, "Observation/$lastn?patient={x}-patient"),
        get(5, "Observation/{x}-obs1/$meta"),
        get(5, "Observation/$meta").marker(),
        get(5, "$meta").marker(),
        get(5, "Patient/{x}-patient/$diff?from=1").inert("no such operation"),
        get(5, "Patient/{x}-patient/$export").header("Prefer", "respond-async").plain(),
        get(5, "$export").header("Prefer", "respond-async").plain().refused(),
        get(5, "$export?patient=Patient/zqa-patient").header("Prefer", "respond-async").plain().refused(),
        get(5, "Patient/$export").header("Prefer", "respond-async").plain().refused(),
        get(5, "Group/{x}-group/$export").header("Prefer", "respond-async").plain(),
        get(5, "$graphql?query={Patient(id:\"{x}-patient\"){name{family}}}").plain().inert("switched off"),
        get(5, "Patient/{x}-patient/$graphql?query={name{family}}").plain().inert("switched off"),
        get(5, "Observation/{x}-focus"),
        get(5, "Observation?focus=Patient/zqa-patient").marker(),
        get(5, "Patient/zqa-patient2"),
        get(5, "Observation?subject=Patient/zqa-patient2"),
        get(5, "Patient/zqa-patien"),
    ];
    for id in ["zqa-patient2", "zqa-patien"] {
        attacks.retain(|attack| !attack.target.contains(id));
    }
    // Not somebody's by `{x}`: an id that begins with A's, whose data is B's.
    attacks.push(get(5, "Patient/zqa-patient2").marker().inert("there is one of B's only"));
    attacks
}

/// Types that are in no compartment of a patient, or in one by some of their elements only.
fn outside() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for (kind, id) in [
        ("RelatedPerson", "kin"),
        ("Encounter", "visit"),
        ("Observation", "obs1"),
        ("Condition", "condition"),
        ("MedicationRequest", "order"),
        ("DocumentReference", "report"),
        ("Composition", "summary"),
        ("Bundle", "document"),
        ("List", "list"),
        ("List", "notes"),
        ("Group", "group"),
        ("Device", "device"),
        ("Provenance", "source"),
        ("AuditEvent", "event"),
        ("QuestionnaireResponse", "answers"),
        ("Basic", "basic"),
        ("Binary", "file"),
        ("Binary", "loose"),
    ] {
        attacks.push(get(5, &format!("{kind}/{{x}}-{id}")));
        attacks.push(get(6, &format!("{kind}/{{x}}-{id}/_history/1")));
        attacks.push(get(6, &format!("{kind}/{{x}}-{id}/_history")));
        if kind != "Binary" {
            attacks.push(get(5, &format!("{kind}?_id={{x}}-{id}")));
        }
    }
    attacks.extend([
        get(5, "Group?member=Patient/{x}-patient"),
        get(5, "List?subject=Patient/{x}-patient"),
        get(5, "List?item=Patient/{x}-patient"),
        get(5, "List?title=Quokka{X}"),
        get(5, "Device?patient={x}-patient"),
        get(5, "Provenance?target=Observation/{x}-obs1"),
        get(5, "Provenance?agent=Patient/{x}-patient"),
        get(5, "AuditEvent?entity=Patient/{x}-patient"),
        get(5, "AuditEvent?patient={x}-patient"),
        get(5, "AuditEvent?date=gt2020").marker(),
        get(5, "Composition?subject=Patient/{x}-patient"),
        get(5, "Bundle?identifier=urn:zq|SECRET-{X}-document"),
        get(5, "Bundle?type=document").marker(),
        get(5, "Basic?subject=Patient/{x}-patient"),
        get(5, "List?item=Patient/zqa-patient").marker(),
        get(5, "Group?type=person").marker(),
        get(5, "Binary/{x}-file").header("Accept", "*/*").plain(),
        get(5, "Binary/{x}-file").header("Accept", "text/plain").plain(),
        get(5, "Binary/{x}-loose").header("Accept", "application/octet-stream").plain(),
        get(5, "Binary/{x}-loose").header("Accept", "application/fhir+ndjson").plain(),
        get(5, "Binary/{x}-loose").header("Range", "bytes=0-10").header("Accept", "*/*").plain(),
        get(5, "Binary/{x}-file?_format=xml").plain(),
    ]);
    attacks
}

fn within() -> Vec<Attack> {
    let gone = "what is deleted is not shown";
    vec![
        get(6, "Observation/{x}-gone"),
        get(6, "Observation/{x}-gone/_history/1"),
        get(6, "Observation/{x}-gone/_history"),
        get(6, "Observation?_id={x}-gone").inert(gone),
        get(6, "Observation/zqa-moved-{x}/_history/1").marker().knows("moved-{x}"),
        get(6, "Observation/zqa-moved-{x}/_history").marker().knows("moved-{x}"),
        get(6, "Observation/{x}-taken").marker(),
        get(6, "Observation/{x}-taken/_history/2").marker(),
        get(6, "Observation/{x}-taken/_history").marker(),
        get(6, "Observation/_history").marker(),
        get(6, "Patient/_history").marker(),
        get(6, "_history").marker(),
        get(6, "_history?_count=1000").marker(),
        get(6, "_history?_since=2020-01-01T00:00:00Z").marker(),
        get(6, "Patient/_history?_at=ge2020").marker(),
        get(6, "Observation/{x}-obs1/_history?_list={x}-list"),
        get(6, "Observation/zqa-holds-{x}").marker(),
        get(6, "Observation?_id=zqa-holds-{x}").marker(),
        get(6, "Observation?code=tie").marker().knows("{x}-obs1").knows("{x}-report"),
        get(6, "Composition/{x}-summary/$document"),
        get(6, "Bundle/{x}-document?_elements=entry").plain(),
        get(6, "Patient/{x}-patient").header("If-None-Match", "W/\"1\"").plain(),
        get(6, "Patient/{x}-patient").header("If-Modified-Since", "Sat, 01 Jan 2050 00:00:00 GMT").plain(),
        write(6, "POST", "Patient/$match",
            r#"{"resourceType":"Parameters","parameter":[{"name":"resource","resource":{"resourceType":"Patient","name":[{"family":"Quokka{X}"}]}}]}"#)
            .marker(),
        write(6, "POST", "$graphql", r#"{"query":"{PatientList(name:\"Quokka{X}\"){id}}"}"#).inert("switched off"),
    ]
}

fn told() -> Vec<Attack> {
    vec![
        get(11, "Patient/{x}-patient/_history/99"),
        get(11, "Observation/{x}-obs1/_history/1"),
        get(11, "Observation/{x}-obs1?_elements=id").plain(),
        get(11, "Patient/{x}-patient").header("Accept", "text/html").plain(),
        get(11, "Patient/{x}-patient?_format=html/json").plain(),
        get(11, "Patient/{x}-patient").header("Cache-Control", "only-if-cached").plain(),
        write(11, "POST", "Patient/$validate",
            r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"Patient/{x}-patient"}}"#)
            .marker(),
    ]
}

//! What is at HAPI: the same of each patient, with marks in every element that takes a text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Somebody: `x` is in their ids, `name` in their texts. All are as long, so that answers about them are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) x: &'static str,
    pub(crate) name: &'static str,
}

/// Who asks.
pub(crate) const A: Who = Who { x: "zqa", name: "Alpha" };
/// Whose data must not be seen.
pub(crate) const B: Who = Who { x: "zqb", name: "Bravo" };
/// Whose data shows that an attack works.
pub(crate) const C: Who = Who { x: "zqc", name: "Chars" };
/// Of whom there is nothing.
pub(crate) const NOBODY: Who = Who { x: "zqn", name: "Nobod" };

impl Who {
    /// Fills a template in; `{base64:…}`, with single quotes for double ones, when that is done.
    pub(crate) fn fill(self, template: &str) -> String {
        let filled = template.replace("{x}", self.x).replace("{X}", self.name);
        let Some((before, (plain, after))) =
            filled.split_once("{base64:").and_then(|(before, rest)| Some((before, rest.split_once("}]}")?)))
        else {
            return filled;
        };
        format!("{before}{}{after}", STANDARD.encode(format!("{plain}}}]").replace('\'', "\"")))
    }

    /// The text that stands in everything of theirs, and in nothing else.
    pub(crate) fn mark(self) -> String {
        format!("Quokka{}", self.name)
    }
}

/// What is shared: nobody's.
pub(crate) fn shared() -> Vec<Value> {
    vec![
        json!({"resourceType": "Practitioner", "id": "zqs-doctor", "name": [{"family": "Shareddoctor"}]}),
        json!({"resourceType": "Organization", "id": "zqs-clinic", "name": "Sharedclinic"}),
        json!({"resourceType": "Medication", "id": "zqs-pill", "code": {"text": "Sharedpill"}}),
    ]
}

/// What belongs to one patient, in an order in which references lead to what is there.
pub(crate) fn of(who: Who) -> Vec<Value> {
    let Who { x, name } = who;
    let me = json!({"reference": format!("Patient/{x}-patient"), "display": who.mark()});
    let code = json!({"coding": [{"system": "urn:zq", "code": format!("code-{x}")}], "text": who.mark()});
    let observation = |id: &str, more: Value| {
        let mut observation = json!({"resourceType": "Observation", "id": format!("{x}-{id}"), "status": "final",
            "code": code, "subject": me, "effectiveDateTime": "2024-03-01T08:00:00Z",
            "encounter": {"reference": format!("Encounter/{x}-visit")},
            "performer": [{"reference": "Practitioner/zqs-doctor"}, me],
            "valueString": who.mark(), "note": [{"text": format!("seen: {}", who.mark())}]});
        merge(&mut observation, more);
        observation
    };
    let file = STANDARD.encode(format!("a file about {} and nobody else", who.mark()));
    let composition = json!({"resourceType": "Composition", "id": format!("{x}-summary"), "status": "final",
        "type": {"text": who.mark()}, "subject": me, "date": "2024-03-01",
        "author": [{"reference": "Practitioner/zqs-doctor"}], "title": who.mark(),
        "section": [{"title": who.mark(), "entry": [{"reference": format!("Observation/{x}-obs1")}]}]});
    let within = json!({"resourceType": "Patient", "name": [{"family": who.mark()}]});
    let mut all = vec![
        json!({"resourceType": "Patient", "id": format!("{x}-patient"),
            "identifier": [{"system": "urn:zq", "value": format!("SECRET-{name}")}],
            "name": [{"family": who.mark(), "given": [format!("Given{name}")]}],
            "telecom": [{"system": "phone", "value": format!("555-{name}")}],
            "address": [{"line": [format!("1 {} Street", who.mark())], "city": format!("City{name}")}],
            "gender": "female", "birthDate": "1971-02-03",
            "managingOrganization": {"reference": "Organization/zqs-clinic"},
            "extension": [{"url": "urn:zq:note", "valueString": who.mark()}]}),
        json!({"resourceType": "RelatedPerson", "id": format!("{x}-kin"), "patient": me,
            "name": [{"family": who.mark()}]}),
        json!({"resourceType": "Encounter", "id": format!("{x}-visit"), "status": "finished",
            "class": {"code": "AMB"}, "subject": me, "reasonCode": [{"text": who.mark()}]}),
        observation("obs1", json!({})),
        observation("obs2", json!({})),
        observation("obs3", json!({"hasMember": [{"reference": format!("Observation/{x}-obs1")}]})),
        json!({"resourceType": "Condition", "id": format!("{x}-condition"), "subject": me, "code": code,
            "note": [{"text": who.mark()}]}),
        json!({"resourceType": "MedicationRequest", "id": format!("{x}-order"), "status": "active",
            "intent": "order", "subject": me, "note": [{"text": who.mark()}],
            "contained": [{"resourceType": "Medication", "id": "m", "code": {"text": who.mark()}}],
            "medicationReference": {"reference": "#m"}}),
        json!({"resourceType": "Binary", "id": format!("{x}-file"), "contentType": "text/plain", "data": file,
            "securityContext": {"reference": format!("Patient/{x}-patient")}}),
        json!({"resourceType": "Binary", "id": format!("{x}-loose"), "contentType": "text/plain", "data": file}),
        json!({"resourceType": "DocumentReference", "id": format!("{x}-report"), "status": "current",
            "subject": me, "description": who.mark(),
            "content": [{"attachment": {"contentType": "text/plain", "url": format!("Binary/{x}-loose"),
                "data": file, "title": who.mark()}}]}),
        composition.clone(),
        json!({"resourceType": "Bundle", "id": format!("{x}-document"), "type": "document",
            "timestamp": "2024-03-01T00:00:00Z",
            "identifier": {"system": "urn:zq", "value": format!("SECRET-{name}-document")},
            "entry": [{"fullUrl": format!("http://zq.example/Composition/{x}-summary"), "resource": composition}]}),
        json!({"resourceType": "List", "id": format!("{x}-list"), "status": "current", "mode": "working",
            "subject": me, "title": who.mark(), "entry": [{"item": {"reference": format!("Observation/{x}-obs1")}}]}),
        json!({"resourceType": "List", "id": format!("{x}-notes"), "status": "current", "mode": "working",
            "title": who.mark(), "entry": [{"item": {"reference": format!("Patient/{x}-patient")}}],
            "note": [{"text": who.mark()}]}),
        json!({"resourceType": "Group", "id": format!("{x}-group"), "type": "person", "actual": true,
            "name": who.mark(), "member": [{"entity": me}]}),
        json!({"resourceType": "Device", "id": format!("{x}-device"), "patient": me,
            "serialNumber": who.mark(), "note": [{"text": who.mark()}]}),
        json!({"resourceType": "Provenance", "id": format!("{x}-source"), "recorded": "2024-03-01T08:00:00Z",
            "target": [{"reference": format!("Observation/{x}-obs1")}],
            "agent": [{"who": me}], "reason": [{"text": who.mark()}]}),
        json!({"resourceType": "AuditEvent", "id": format!("{x}-event"), "recorded": "2024-03-01T08:00:00Z",
            "type": {"code": "rest"}, "source": {"observer": {"display": who.mark()}},
            "agent": [{"requestor": true, "who": me}], "entity": [{"what": me, "name": who.mark()}]}),
        json!({"resourceType": "QuestionnaireResponse", "id": format!("{x}-answers"), "status": "completed",
            "subject": me, "item": [{"linkId": "1", "text": who.mark(), "answer": [{"valueString": who.mark()}]}]}),
        json!({"resourceType": "Basic", "id": format!("{x}-basic"), "subject": me, "code": {"text": who.mark()}}),
        // Nobody's: its parameter holds somebody.
        json!({"resourceType": "Parameters", "id": format!("{x}-parameters"),
            "parameter": [{"name": "patient", "resource": within}]}),
    ];
    // HAPI stores no Parameters.
    all.pop();
    for resource in &mut all {
        mark(resource, who);
    }
    all
}

/// What ties A to somebody: theirs by one reference, about A by another; A's, and leading to them.
pub(crate) fn ties(who: Who) -> Vec<Value> {
    let x = who.x;
    let me = json!({"reference": format!("Patient/{x}-patient")});
    let a = json!({"reference": "Patient/zqa-patient"});
    let code = json!({"coding": [{"system": "urn:zq", "code": "tie"}]});
    let mut focus = json!({"resourceType": "Observation", "id": format!("{x}-focus"), "status": "final",
        "code": code, "subject": me, "focus": [a], "valueString": who.mark()});
    mark(&mut focus, who);
    let mut group = json!({"resourceType": "List", "id": format!("{x}-mixed"), "status": "current",
        "mode": "working", "subject": me, "title": who.mark(), "entry": [{"item": a}]});
    mark(&mut group, who);
    vec![
        focus,
        group,
        // A's own. That it leads there is A's to know, and nothing more.
        json!({"resourceType": "Observation", "id": format!("zqa-tie-{x}"), "status": "final",
            "code": code, "subject": a, "hasMember": [{"reference": format!("Observation/{x}-obs1")}],
            "derivedFrom": [{"reference": format!("DocumentReference/{x}-report")}]}),
        json!({"resourceType": "Observation", "id": format!("zqa-holds-{x}"), "status": "final", "code": code,
            "subject": a, "performer": [{"reference": "#kin"}],
            "contained": [{"resourceType": "RelatedPerson", "id": "kin", "patient": me,
                "name": [{"family": who.mark()}]}]}),
    ]
}

fn mark(resource: &mut Value, who: Who) {
    let kind = resource["resourceType"].as_str().unwrap().to_owned();
    resource["meta"] = json!({"tag": [{"system": "urn:zq", "code": format!("tag-{}", who.x)}],
        "security": [{"system": "urn:zq", "code": format!("label-{}", who.x)}],
        "source": format!("urn:zq:{}", who.x), "profile": [format!("urn:zq:profile-{}", who.x)]});
    if !["Binary", "Bundle", "Parameters"].contains(&kind.as_str()) {
        resource["text"] = json!({"status": "generated",
            "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\">{}</div>", who.mark())});
    }
}

fn merge(into: &mut Value, more: Value) {
    if let Value::Object(more) = more {
        into.as_object_mut().unwrap().extend(more);
    }
}

//! What is one's own, and what is nobody's, is shown: a gateway that refuses everything leaks nothing either.

use serde_json::json;

use crate::attack::{Token, get, write};
use crate::data::{A, C};
use crate::forms::Form;
use crate::world::World;

#[tokio::test]
async fn bypass_what_is_ones_own_is_shown() {
    let world = World::start().await;
    let through = world.through(&Token::Usual);
    let mut missing = Vec::new();
    for (target, expected) in [
        ("Patient/{x}-patient", "Quokka{X}"),
        ("Patient?_id={x}-patient", "Quokka{X}"),
        ("Patient?name=Quokka{X}", "{x}-patient"),
        ("Observation?patient={x}-patient", "{x}-obs1"),
        ("Observation?patient={x}-patient", "{x}-obs3"),
        ("Observation?code=code-{x}", "{x}-obs2"),
        ("Observation?subject=Patient/{x}-patient&_sort=date", "{x}-obs2"),
        ("Observation/{x}-obs1", "Quokka{X}"),
        ("Observation/{x}-obs1/_history/1", "Quokka{X}"),
        ("Observation/{x}-obs1/_history", "Quokka{X}"),
        ("Observation?_id={x}-obs3&_include=Observation:has-member", "{x}-obs1"),
        ("Observation?_id={x}-obs1&_include=Observation:performer", "Shareddoctor"),
        ("Patient?_id={x}-patient&_revinclude=Observation:patient", "{x}-obs3"),
        ("Condition?patient={x}-patient", "{x}-condition"),
        ("MedicationRequest/{x}-order", "Quokka{X}"),
        ("DocumentReference?patient={x}-patient", "{x}-report"),
        ("Encounter/{x}-visit", "Quokka{X}"),
        ("Practitioner/zqs-doctor", "Shareddoctor"),
        ("Organization?name=Sharedclinic", "zqs-clinic"),
        ("Medication/zqs-pill", "Sharedpill"),
        ("Binary/{x}-file", "contentType"),
        ("Patient/{x}-patient/Observation", "{x}-obs1"),
        ("Patient/{x}-patient/Condition?_count=5", "{x}-condition"),
        ("Patient/{x}-patient/$everything?_type=Observation", "{x}-obs1"),
        ("Condition?_summary=count", r#""total":1"#),
        ("Condition?code=code-{x}&_count=0", r#""total":1"#),
    ] {
        let attack = get(0, target);
        for form in [Form::Plain, Form::Post, Form::Batch, Form::Transaction, Form::Pages, Form::Gzip] {
            if !form.fits(&attack) {
                continue;
            }
            let seen = through.take(&through.call(&attack, A, form), form).await;
            if !seen.text.contains(&A.fill(expected)) {
                missing.push(format!("{form} {}: {} {}", A.fill(target), seen.status, seen.text));
            }
        }
    }
    let own = json!({"resourceType": "Observation", "id": "zqa-made", "status": "final", "code": {"text": "x"},
        "subject": {"reference": "Patient/zqa-patient"}});
    for (method, target, body, status) in [
        ("PUT", "Observation/zqa-made", own.to_string(), 201),
        ("POST", "Observation", own.to_string().replace(r#""id":"zqa-made","#, ""), 201),
        ("DELETE", "Observation/zqa-made", String::new(), 200),
    ] {
        let attack = write(0, method, target, &body);
        let seen = through.take(&through.call(&attack, C, Form::Plain), Form::Plain).await;
        if seen.status != status && !(method == "DELETE" && seen.status == 204) {
            missing.push(format!("{method} {target}: {} {}", seen.status, seen.text));
        }
    }
    assert!(missing.is_empty(), "{} are missing\n{}", missing.len(), missing.join("\n"));
}

//! Groups 1, 2 and 4: what a search asks for, and how it says it.

use crate::attack::{Attack, get};

pub(super) fn all() -> Vec<Attack> {
    [conflicts(), modifiers(), elements()].concat()
}

fn conflicts() -> Vec<Attack> {
    let both = "one resource of both does not exist";
    vec![
        get(1, "Observation?patient={x}-patient"),
        get(1, "Observation?subject=Patient/{x}-patient"),
        get(1, "Observation?subject:Patient={x}-patient"),
        get(1, "Observation?subject={base}/Patient/{x}-patient"),
        get(1, "Observation?subject=Patient/{x}-patient/_history/1"),
        get(1, "Observation?patient=zqa-patient,{x}-patient"),
        get(1, "Observation?patient={x}-patient,zqa-patient"),
        get(1, "Observation?patient=zqa-patient%2C{x}-patient"),
        get(1, "Observation?patient=Patient/zqa-patient,Patient/{x}-patient"),
        get(1, "Observation?patient=zqa-patient\\,{x}-patient").inert("an escaped comma is no list"),
        get(1, "Observation?patient=zqa-patient&patient={x}-patient").inert(both),
        get(1, "Observation?patient={x}-patient&subject=Patient/zqa-patient").inert(both),
        get(1, "Observation?performer=Practitioner/zqs-doctor,Patient/{x}-patient"),
        get(1, "Observation?performer=Patient/{x}-patient"),
        get(1, "Observation?patient:identifier=urn:zq|SECRET-{X}").inert("references hold no identifiers"),
        get(1, "Observation?subject:identifier=urn:zq|SECRET-{X}").inert("references hold no identifiers"),
        get(1, "Observation?code=urn:zq|code-{x}"),
        get(1, "Observation?code=code-{x}&patient=zqa-patient").inert(both),
        get(1, "Observation?_id={x}-obs1"),
        get(1, "Observation?_id=zqa-obs1,{x}-obs1"),
        get(1, "Observation?encounter={x}-visit"),
        get(1, "Observation?encounter=Encounter/{x}-visit&status=final"),
        get(1, "Patient?_id={x}-patient"),
        get(1, "Patient?_id=zqa-patient,{x}-patient"),
        get(1, "Patient?identifier=urn:zq|SECRET-{X}"),
        get(1, "Patient?identifier=SECRET-{X}"),
        get(1, "Patient?name=Quokka{X}"),
        get(1, "Patient?family=Quokka{X}&_id=zqa-patient").inert(both),
        get(1, "Patient?phone=555-{X}"),
        get(1, "Patient?address-city=City{X}"),
        get(1, "Condition?subject=Patient/{x}-patient"),
        get(1, "Condition?patient={x}-patient"),
        get(1, "MedicationRequest?patient={x}-patient"),
        get(1, "Encounter?patient={x}-patient"),
        get(1, "RelatedPerson?patient={x}-patient"),
        get(1, "RelatedPerson?name=Quokka{X}"),
        get(1, "DocumentReference?patient={x}-patient"),
        get(1, "QuestionnaireResponse?subject=Patient/{x}-patient"),
        // What the URL says and what the form says are one set.
        get(1, "Observation/_search?patient=zqa-patient,{x}-patient")
            .content("application/x-www-form-urlencoded", "status=final")
            .post(),
        get(1, "Observation/_search?status=final")
            .content("application/x-www-form-urlencoded", "patient={x}-patient")
            .post(),
        get(1, "Patient/_search?_id={x}-patient").content("text/plain", "_id=zqa-patient").post(),
        get(1, "Patient/_search").content("application/json", "{\"_id\":\"zqa-patient\"}").post().refused(),
        get(1, "Patient/_search").content("application/fhir+json", "{}").post().refused(),
    ]
}

fn modifiers() -> Vec<Attack> {
    let name = "no such parameter";
    vec![
        get(2, "Observation?patient:not={x}-patient").inert("not for references"),
        get(2, "Observation?code:not=code-zqa").marker(),
        get(2, "Observation?code:not=code-{x}"),
        get(2, "Patient?gender:not=male").marker(),
        get(2, "Patient?name:missing=false").marker(),
        get(2, "Patient?birthdate:missing=false").marker(),
        get(2, "Observation?subject:missing=false").marker(),
        get(2, "Patient?name:contains=okka{X}"),
        get(2, "Patient?name:exact=Quokka{X}"),
        get(2, "Patient?family:contains={X}"),
        get(2, "Patient?identifier:of-type=urn:t|MR|SECRET-{X}").inert("none has a type"),
        get(2, "Patient?name:text=Quokka{X}"),
        get(2, "Observation?code:text=Quokka{X}"),
        get(2, "Observation?code:in=urn:zq:set").inert("no such value set"),
        get(2, "Observation?code:not-in=urn:zq:set").inert("no such value set"),
        get(2, "Observation?code:above=urn:zq|code-{x}").inert("no such code system"),
        get(2, "Observation?code:below=urn:zq|code-{x}").inert("no such code system"),
        get(2, "Observation?subject:mdm=Patient/{x}-patient"),
        get(2, "Observation?_tag:not=urn:zq|tag-zqa").marker(),
        get(2, "Observation?%70atient={x}-patient"),
        get(2, "Observation?patient%3AResource={x}-patient").inert(name),
        get(2, "Observation?Patient={x}-patient").inert(name),
        get(2, "Observation?patient.={x}-patient"),
        get(2, "Observation?patient+={x}-patient").inert(name),
        get(2, "Observation?%20patient={x}-patient").inert(name),
        get(2, "Observation?patient:={x}-patient"),
        get(2, "Patient?_id=zqa-patient&%5Frevinclude=Observation:focus").marker(),
        get(2, "Patient?_id=zqa-patient&_REVINCLUDE=Observation:focus").marker().inert(name),
        get(2, "Patient?_id=zqa-patient&_revinclude%3Aiterate=Observation:focus").marker(),
        get(2, "Patient?_id=zqa-patient&_revinclude:recurse=Observation:focus").marker(),
    ]
}

fn elements() -> Vec<Attack> {
    let mut attacks = Vec::new();
    for parameter in [
        "_elements=code",
        "_elements=id",
        "_elements=status,valueString",
        "_elements:exclude=subject",
        "_summary=true",
        "_summary=text",
        "_summary=data",
        "_summary=count",
        "_summary=false",
        "_pretty=true",
    ] {
        attacks.push(get(4, &format!("Observation/{{x}}-obs1?{parameter}")).plain());
        attacks.push(get(4, &format!("Observation?code=code-{{x}}&{parameter}")));
        attacks.push(get(4, &format!("Observation?status=final&{parameter}")).marker());
    }
    attacks.retain(|attack| attack.target != "Observation/{x}-obs1?_summary=count");
    // A number is no mark: whether it counts the other's is seen by what it counts.
    attacks.retain(|attack| attack.target != "Observation?status=final&_summary=count");
    attacks.push(get(4, "Patient/{x}-patient?_elements=id").plain());
    attacks.push(get(4, "List/{x}-notes?_elements=status").plain());
    attacks.push(get(4, "Group/{x}-group?_elements=type").plain());
    attacks
}

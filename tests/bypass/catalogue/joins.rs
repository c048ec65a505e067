//! Group 3: what leads from one resource to another, and what tells without showing.

use crate::attack::{Attack, get};

pub(super) fn all() -> Vec<Attack> {
    [included(), chained(), told()].concat()
}

fn included() -> Vec<Attack> {
    let tie = |target: &str| get(3, target).marker().knows("{x}-obs1").knows("{x}-report").knows("tie-{x}");
    vec![
        tie("Observation?_id=zqa-tie-{x}&_include=Observation:has-member"),
        tie("Observation?_id=zqa-tie-{x}&_include=Observation:derived-from"),
        tie("Observation?_id=zqa-tie-{x}&_include=Observation:*"),
        tie("Observation?_id=zqa-tie-{x}&_include=*"),
        tie("Observation?_id=zqa-tie-{x}&_include=Observation:has-member&_include:iterate=Observation:subject"),
        tie("Observation?_id=zqa-tie-{x}&_include:iterate=*"),
        tie("Observation?patient=zqa-patient&_include=Observation:has-member"),
        tie("Observation?patient=zqa-patient&_include=Observation:has-member:Observation"),
        get(3, "Patient?_id=zqa-patient&_revinclude=Observation:focus").marker(),
        get(3, "Patient?_id=zqa-patient&_revinclude=List:item").marker(),
        get(3, "Patient?_id=zqa-patient&_revinclude=*").marker(),
        get(3, "Patient?_id=zqa-patient&_revinclude=Observation:*").marker(),
        get(3, "Patient?_id=zqa-patient&_revinclude:iterate=Observation:focus").marker(),
        get(3, "Patient?_id=zqa-patient&_revinclude=Observation:focus&_include:iterate=Observation:subject").marker(),
        get(3, "Practitioner?_id=zqs-doctor&_revinclude=Observation:performer").marker(),
        get(3, "Practitioner?_id=zqs-doctor&_revinclude=Composition:author").marker(),
        get(3, "Organization?_id=zqs-clinic&_revinclude=Patient:organization").marker(),
        get(3, "Organization?_id=zqs-clinic&_revinclude=Patient:organization&_revinclude:iterate=Observation:patient")
            .marker(),
        get(3, "Observation?patient=zqa-patient&_include=Observation:performer&_revinclude:iterate=Observation:performer")
            .marker(),
    ]
}

fn chained() -> Vec<Attack> {
    vec![
        get(3, "Observation?patient.name=Quokka{X}"),
        get(3, "Observation?subject:Patient.family=Quokka{X}"),
        get(3, "Observation?patient.identifier=urn:zq|SECRET-{X}"),
        get(3, "Observation?encounter.subject:Patient.name=Quokka{X}"),
        get(3, "Observation?has-member.patient.name=Quokka{X}"),
        get(3, "Observation?has-member:Observation.code=code-{x}"),
        get(3, "Observation?focus:Patient.name=Quokka{X}").inert("nobody's focus is on them"),
        get(3, "Encounter?patient.phone=555-{X}"),
        get(3, "Patient?_has:Observation:patient:code=code-{x}"),
        get(3, "Patient?_has:Observation:subject:code=code-{x}"),
        get(3, "Patient?_has:Condition:patient:code=code-{x}&_summary=count"),
        get(3, "Practitioner?_has:Observation:performer:code=code-{x}"),
        get(3, "Practitioner?_has:Observation:performer:patient=Patient/{x}-patient"),
        get(3, "Practitioner?_has:Observation:performer:_id={x}-obs1"),
        get(3, "Organization?_has:Patient:organization:name=Quokka{X}"),
        get(3, "Organization?_has:Patient:organization:_has:Observation:patient:code=code-{x}"),
        get(3, "Patient?_id=zqa-patient&_has:Observation:focus:code=tie")
            .marker()
            .inert("only their own is shown"),
        get(3, "Patient?_id=zqa-patient&_has:List:item:title=Quokka{X}"),
    ]
}

fn told() -> Vec<Attack> {
    vec![
        get(3, "Observation?_source=urn:zq:{x}"),
        get(3, "Observation?_security=urn:zq|label-{x}"),
        get(3, "Observation?_tag=urn:zq|tag-{x}"),
        get(3, "Observation?_profile=urn:zq:profile-{x}"),
        get(3, "Observation?_lastUpdated=gt2020-01-01").marker(),
        get(3, "Patient?_lastUpdated=gt2020-01-01").marker(),
        get(3, "Observation?_list={x}-list"),
        get(3, "Observation?_filter=code eq code-{x}"),
        get(3, "Observation?_query=current&code=code-{x}").inert("no such query"),
        get(3, "Observation?_text=Quokka{X}").inert("without an index of texts"),
        get(3, "Observation?_content=Quokka{X}").inert("without an index of texts"),
        get(3, "Medication?_contained=true&code=Quokka{X}").inert("not supported"),
        get(3, "Observation?_contained=both&_containedType=container&status=final").inert("not supported"),
        get(3, "?_type=Observation&_tag=urn:zq|tag-{x}").inert("no search of the system"),
        get(3, "?_type=Patient,Observation&_id={x}-patient").inert("no search of the system"),
        get(3, "Observation?_sort=code&status=final").marker(),
        get(3, "Observation?_sort=-_lastUpdated&status=final").marker(),
        get(3, "Patient?_sort=name").marker(),
        get(3, "Observation?code=code-{x}&_total=accurate"),
        get(3, "Observation?code=code-{x}&_summary=count"),
        get(3, "Observation?code=code-{x}&_count=0"),
        get(3, "Patient?name=Quokka{X}&_total=estimate"),
        get(3, "Observation?code=code-{x}&_count=1000"),
        get(3, "Observation?code=code-{x}&_offset=0&_count=1"),
        get(3, "Observation?code=code-{x}&_maxresults=1"),
        get(3, "Observation?_has:Provenance:target:agent=Patient/{x}-patient"),
        get(11, "Observation?code=code-{x}&_sort=date&_count=2"),
        get(11, "Observation?code=tie,code-{x}&_total=accurate"),
        get(11, "Observation?status=final&code=code-{x},code-zqa&_total=accurate"),
        get(11, "Patient?name=Quokka{X},QuokkaAlpha&_total=accurate"),
    ]
}

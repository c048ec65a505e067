//! Resources such as Synthea makes them, by a formula: nothing is read, and every run has the same bytes.

use bytes::Bytes;
use serde_json::{Value, json};

/// A Patient of about 1.5 KB.
pub(super) fn patient(n: usize) -> Bytes {
    let id = id("Patient", n);
    format!(
        r#"{{"resourceType":"Patient","id":"{id}","meta":{{"versionId":"1","lastUpdated":"2024-03-0{day}T10:15:30.123+00:00","profile":["http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"]}},"text":{{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">Generated record {n}. Born in a town by the river, moved twice, married once; seen yearly.</div>"}},"extension":[{{"url":"http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName","valueString":"Lorene{n} Ortiz"}},{{"url":"http://synthetichealth.github.io/synthea/disability-adjusted-life-years","valueDecimal":3.7129876}}],"identifier":[{{"system":"https://github.com/synthetichealth/synthea","value":"{id}"}},{{"type":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"MR","display":"Medical Record Number"}}],"text":"Medical Record Number"}},"system":"http://hospital.smarthealthit.org","value":"{id}"}}],"name":[{{"use":"official","family":"Gutmann{n}","given":["Abel{n}","Hollis"],"prefix":["Mr."]}}],"telecom":[{{"system":"phone","value":"555-2{n:03}-90{n:02}","use":"home"}}],"gender":"male","birthDate":"19{year}-05-1{day}","address":[{{"line":["{n} Hauck Key Suite 19"],"city":"Newbury","state":"MA","postalCode":"01951","country":"US"}}],"maritalStatus":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/v3-MaritalStatus","code":"M","display":"Married"}}],"text":"Married"}},"multipleBirthBoolean":false,"communication":[{{"language":{{"coding":[{{"system":"urn:ietf:bcp:47","code":"en-US","display":"English"}}],"text":"English"}}}}]}}"#,
        day = n % 9 + 1,
        year = n % 60 + 30,
    )
    .into()
}

/// An Observation about a patient, to be stored: it refers to nothing else.
pub(super) fn observation_of(patient: &str, n: usize) -> Value {
    let mut resource = serde_json::from_str(&observation(n)).unwrap_or(Value::Null);
    if let Some(elements) = resource.as_object_mut() {
        elements.retain(|name, _| !matches!(name.as_str(), "id" | "meta" | "encounter"));
        elements.insert("subject".to_owned(), json!({"reference": format!("Patient/{patient}")}));
    }
    resource
}

/// Resources of one patient, of about so many bytes in all.
pub(super) fn record(bytes: usize) -> Vec<Bytes> {
    let mut resources = vec![patient(1)];
    let mut size = resources[0].len();
    for n in 1.. {
        let next = match n % 8 {
            0 => encounter(n),
            3 => condition(n),
            5 => medication(n),
            _ => observation(n),
        };
        size += next.len();
        resources.push(next.into());
        if size >= bytes {
            break;
        }
    }
    resources
}

/// A searchset of 20 Observations with their `fullUrl`s below a base: of 30 KB, or, cut down to nothing, of 2 KB.
pub(super) fn searchset(large: bool, base: &str) -> Vec<u8> {
    let entry = |n: usize| {
        let resource =
            if large { observation(n) } else { format!(r#"{{"resourceType":"Observation","id":"{n}"}}"#) };
        format!(r#"{{"fullUrl":"{base}/Observation/{n}","resource":{resource}}}"#)
    };
    let entries: Vec<String> = (0..20).map(entry).collect();
    format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{}]}}"#, entries.join(",")).into_bytes()
}

fn observation(n: usize) -> String {
    format!(
        r#"{{"resourceType":"Observation","id":"{id}","meta":{{"versionId":"1","lastUpdated":"2024-03-01T10:15:30.123+00:00","profile":["http://hl7.org/fhir/StructureDefinition/vitalsigns"]}},"status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs","display":"vital-signs"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"85354-9","display":"Blood Pressure"}}],"text":"Blood Pressure"}},"subject":{{"reference":"Patient/{patient}"}},"encounter":{{"reference":"Encounter/{encounter}"}},"effectiveDateTime":"201{year}-07-14T05:27:23-04:00","issued":"201{year}-07-14T05:27:23.456-04:00","component":[{{"code":{{"coding":[{{"system":"http://loinc.org","code":"8462-4","display":"Diastolic Blood Pressure"}}],"text":"Diastolic Blood Pressure"}},"valueQuantity":{{"value":8{year}.25,"unit":"mm[Hg]","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}}},{{"code":{{"coding":[{{"system":"http://loinc.org","code":"8480-6","display":"Systolic Blood Pressure"}}],"text":"Systolic Blood Pressure"}},"valueQuantity":{{"value":12{year}.50,"unit":"mm[Hg]","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}}}]}}"#,
        id = id("Observation", n),
        patient = id("Patient", 1),
        encounter = id("Encounter", n / 8 * 8),
        year = n % 10,
    )
}

fn encounter(n: usize) -> String {
    format!(
        r#"{{"resourceType":"Encounter","id":"{id}","meta":{{"versionId":"1","lastUpdated":"2024-03-01T10:15:30.123+00:00"}},"identifier":[{{"use":"official","system":"https://github.com/synthetichealth/synthea","value":"{id}"}}],"status":"finished","class":{{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"}},"type":[{{"coding":[{{"system":"http://snomed.info/sct","code":"410620009","display":"Well child visit (procedure)"}}],"text":"Well child visit (procedure)"}}],"subject":{{"reference":"Patient/{patient}","display":"Mr. Abel1 Gutmann1"}},"participant":[{{"period":{{"start":"2015-07-14T05:27:23-04:00","end":"2015-07-14T05:42:23-04:00"}},"individual":{{"reference":"Practitioner/{practitioner}","display":"Dr. Emile Olson"}}}}],"period":{{"start":"2015-07-14T05:27:23-04:00","end":"2015-07-14T05:42:23-04:00"}},"serviceProvider":{{"reference":"Organization/{organization}","display":"Newbury General"}}}}"#,
        id = id("Encounter", n),
        patient = id("Patient", 1),
        practitioner = id("Practitioner", n % 5),
        organization = id("Organization", n % 3),
    )
}

fn condition(n: usize) -> String {
    format!(
        r#"{{"resourceType":"Condition","id":"{id}","meta":{{"versionId":"1","lastUpdated":"2024-03-01T10:15:30.123+00:00"}},"clinicalStatus":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}}]}},"verificationStatus":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/condition-ver-status","code":"confirmed"}}]}},"code":{{"coding":[{{"system":"http://snomed.info/sct","code":"59621000","display":"Essential hypertension (disorder)"}}],"text":"Essential hypertension (disorder)"}},"subject":{{"reference":"Patient/{patient}"}},"encounter":{{"reference":"Encounter/{encounter}"}},"onsetDateTime":"2012-08-14T05:27:23-04:00","recordedDate":"2012-08-14T05:27:23-04:00","note":[{{"time":"2012-08-14T05:30:00-04:00","text":"Told by his wife Ana; to be seen again in spring."}}]}}"#,
        id = id("Condition", n),
        patient = id("Patient", 1),
        encounter = id("Encounter", n / 8 * 8),
    )
}

fn medication(n: usize) -> String {
    format!(
        r#"{{"resourceType":"MedicationRequest","id":"{id}","meta":{{"versionId":"1","lastUpdated":"2024-03-01T10:15:30.123+00:00"}},"status":"active","intent":"order","medicationCodeableConcept":{{"coding":[{{"system":"http://www.nlm.nih.gov/research/umls/rxnorm","code":"314076","display":"lisinopril 10 MG Oral Tablet"}}],"text":"lisinopril 10 MG Oral Tablet"}},"subject":{{"reference":"Patient/{patient}"}},"encounter":{{"reference":"Encounter/{encounter}"}},"authoredOn":"2012-08-14T05:27:23-04:00","requester":{{"reference":"Practitioner/{practitioner}","display":"Dr. Emile Olson"}},"dosageInstruction":[{{"sequence":1,"text":"Take once a day.","timing":{{"repeat":{{"frequency":1,"period":1.0,"periodUnit":"d"}}}},"asNeededBoolean":false,"doseAndRate":[{{"type":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/dose-rate-type","code":"ordered","display":"Ordered"}}]}},"doseQuantity":{{"value":1.0}}}}]}}]}}"#,
        id = id("MedicationRequest", n),
        patient = id("Patient", 1),
        encounter = id("Encounter", n / 8 * 8),
        practitioner = id("Practitioner", n % 5),
    )
}

/// As long as a UUID.
fn id(resource_type: &str, n: usize) -> String {
    format!("{n:08x}-{:04x}-4a5b-8c7d-{:012x}", resource_type.len(), n * 7919)
}

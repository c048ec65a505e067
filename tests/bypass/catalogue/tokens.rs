//! Groups 7 and 8: who one says one is, and what one may do.

use serde_json::json;

use crate::attack::{Attack, Forgery, get, write};

pub(super) fn all() -> Vec<Attack> {
    let mut attacks = Vec::new();
    let scope = |scope: &str| json!({"scope": scope});
    for claims in [
        scope(""),
        scope("openid fhirUser launch/patient"),
        scope("patient/Condition.rs"),
        scope("patient/Observation.c"),
        scope("patient/Observation.read.write"),
        scope("patient/Observation.sr"),
        scope("patient/observation.rs"),
        scope("patient/Observation.x"),
        scope("patient/Observ*.rs"),
        scope("patient/Observation"),
        scope("Patient/Observation.rs"),
        scope("patients/Observation.rs"),
        scope("patient/Observation.*s"),
        json!({"patient": null}),
        json!({"patient": ""}),
        json!({"patient": "zqa-patient/../zqb-patient"}),
        json!({"patient": ["zqa-patient", "zqb-patient"]}),
        json!({"patient": "https://elsewhere.example/fhir/Patient/zqb-patient"}),
        json!({"patient": null, "fhirUser": "https://elsewhere.example/fhir/Patient/zqb-patient"}),
        json!({"patient": null, "fhirUser": "Practitioner/zqs-doctor"}),
    ] {
        attacks.push(get(7, "Observation?patient={x}-patient").refused().claims(claims.clone()).plain());
        attacks.push(get(7, "Observation/{x}-obs1").marker().claims(claims).plain());
    }
    // Granted for A: not for others, however the scopes are mixed.
    for claims in [
        json!({"patient": "zqa-patien"}),
        json!({"patient": "zqa-patient2x"}),
        json!({"patient": "zq"}),
        json!({"patient": "Patient/zqa-patient"}),
        json!({"scope": "patient/*.rs user/Organization.rs"}),
        json!({"scope": "patient/*.read user/Practitioner.read"}),
        json!({"scope": "patient/Observation.rs?category=laboratory patient/Patient.rs"}),
        json!({"scope": "patient/*.rs system/Practitioner.rs"}),
    ] {
        attacks.push(get(7, "Observation?code=code-{x}").marker().claims(claims.clone()).plain());
        attacks.push(get(7, "Patient?name=Quokka{X}").marker().claims(claims.clone()).plain());
        attacks.push(get(7, "Patient/{x}-patient").marker().claims(claims).plain());
    }
    // What may only be read is not written, and the other way round.
    let observation = r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},
        "subject":{"reference":"Patient/zqa-patient"}}"#;
    attacks.push(write(7, "POST", "Observation", observation).refused().claims(scope("patient/*.rs")));
    attacks
        .push(write(7, "POST", "Observation", observation).refused().claims(scope("patient/Observation.ud")));
    attacks.push(write(7, "DELETE", "Observation/{x}-obs3", "").refused().claims(scope("patient/*.rs")));
    attacks.push(get(7, "Observation/{x}-obs1").refused().claims(scope("patient/*.cud")).plain());

    for forgery in [
        Forgery::None,
        Forgery::Rubbish,
        Forgery::Unsigned,
        Forgery::KeyConfusion,
        Forgery::OtherKey,
        Forgery::UnknownKey,
    ] {
        attacks.push(get(8, "Patient/{x}-patient").refused().forged(forgery));
        attacks.push(get(8, "Observation?patient={x}-patient").refused().forged(forgery));
    }
    for claims in [
        json!({"aud": "https://elsewhere.example"}),
        json!({"aud": null}),
        json!({"iss": "https://elsewhere.example"}),
        json!({"exp": 1}),
        json!({"exp": null}),
        json!({"nbf": 99_999_999_999_u64}),
    ] {
        attacks.push(get(8, "Patient/{x}-patient").refused().claims(claims).plain());
    }
    attacks
}

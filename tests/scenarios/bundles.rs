//! Transactions and batches.

use serde_json::{Value, json};

use crate::common::resources::{bundle, entry, new_patient, observation, patient};
use crate::common::{Step, World};

#[tokio::test]
async fn transactions() {
    let world = World::start().await;
    let linked = |reference: &str| {
        let mut observation = observation("x", reference, "70");
        observation.as_object_mut().unwrap().shift_remove("id");
        observation
    };
    let with = |mut entry: Value, name: &str, value: &str| {
        entry[name] = value.into();
        entry
    };
    let uuid = "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a";
    let new = with(entry("POST", "Patient", Some(new_patient("{me}-new", "New"))), "fullUrl", uuid);
    let mut once = entry("POST", "Patient", Some(new_patient("{me}-new", "Again")));
    once["request"]["ifNoneExist"] = "identifier=urn:fireguard:mrn|{me}-new".into();
    let mut stale = entry("PUT", "Patient/{me}-p", Some(patient("{me}-p", "Stale")));
    stale["request"]["ifMatch"] = "W/\"7\"".into();
    let conditional = "Patient?identifier=urn:fireguard:mrn|{me}-new";
    world
        .compare(
            "transactions",
            &[
                Step::post(
                    "",
                    &bundle(
                        "transaction",
                        vec![
                            new,
                            entry("POST", "Observation", Some(linked(uuid))),
                            entry("PUT", "Patient/{me}-p", Some(patient("{me}-p", "Put"))),
                            entry("GET", "Patient/{me}-p", None),
                        ],
                    ),
                ),
                Step::post(
                    "/",
                    &bundle("transaction", vec![entry("POST", "Observation", Some(linked(conditional)))]),
                ),
                Step::post("", &bundle("transaction", vec![once])),
                Step::get("/Observation?patient.identifier=urn:fireguard:mrn%7C{me}-new&_sort=_lastUpdated"),
                Step::post("", &bundle("transaction", vec![stale])).gives(409),
                Step::post(
                    "",
                    &bundle(
                        "transaction",
                        vec![
                            entry("PUT", "Patient/{me}-lost", Some(patient("{me}-lost", "Lost"))),
                            entry("POST", "Observation", Some(linked("Patient/{me}-nobody"))),
                        ],
                    ),
                )
                .gives(400),
                Step::get("/Patient/{me}-lost").gives(404),
                Step::post(
                    "",
                    &bundle(
                        "transaction",
                        vec![entry("POST", "Observation", Some(linked("Patient?identifier={me}-nil")))],
                    ),
                )
                .gives(404),
                Step::post("", &bundle("transaction", vec![entry("DELETE", "Patient/{me}-p", None)])),
                Step::get("/Patient/{me}-p").gives(410),
                Step::post("", &bundle("transaction", Vec::new())),
            ],
        )
        .await;
}

#[tokio::test]
async fn batches_with_failing_entries() {
    let world = World::start().await;
    let patch = json!({"resourceType": "Binary", "contentType": "application/json-patch+json",
        "data": "W3sib3AiOiJyZXBsYWNlIiwicGF0aCI6Ii9nZW5kZXIiLCJ2YWx1ZSI6Im1hbGUifV0="});
    world
        .compare(
            "batches",
            &[
                Step::post(
                    "",
                    &bundle(
                        "batch",
                        vec![
                            entry("PUT", "Patient/{me}-a", Some(patient("{me}-a", "Good"))),
                            entry("POST", "Observation", Some(observation("{me}-o", "Patient/{me}-no", "1"))),
                            entry("GET", "Patient/{me}-none", None),
                            entry("PUT", "Patient/123", Some(patient("123", "Digits only"))),
                            entry("GET", "Patient?identifier=urn:fireguard:mrn|{me}-no", None),
                            entry("DELETE", "Patient/{me}-none", None),
                        ],
                    ),
                ),
                Step::get("/Patient/{me}-a"),
                Step::post("", &bundle("batch", vec![entry("PATCH", "Patient/{me}-a", Some(patch))])),
                Step::get("/Patient/{me}-a"),
                Step::post(
                    "",
                    &bundle(
                        "batch",
                        vec![entry(
                            "POST",
                            "Patient",
                            Some(json!({"resourceType": "Patient", "gender": "zzz"})),
                        )],
                    ),
                )
                .gives(400),
                Step::post("", &bundle("searchset", Vec::new())).gives(400),
                Step::create(
                    "/Bundle",
                    &bundle("collection", vec![json!({"resource": patient("x", "Inside")})]),
                ),
            ],
        )
        .await;
}

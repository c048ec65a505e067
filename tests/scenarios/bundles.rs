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
                Step::post("", &bundle("transaction", vec![stale])).gives(409).put_right(412),
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
                Step::create(
                    "/Bundle",
                    &bundle("collection", vec![json!({"resource": patient("x", "Inside")})]),
                ),
            ],
        )
        .await;
}

/// HAPI carries out more than FHIR says; Fireguard cannot judge what it would not see, and refuses.
#[tokio::test]
async fn what_hapi_reads_into_a_batch_is_refused() {
    let world = World::start().await;
    let get = entry("GET", "Patient?_count=0", None);
    let create = |url: &str| entry("POST", url, Some(new_patient("zq-more", "More")));
    let batch = |entries: Value| json!({"resourceType": "Bundle", "type": "batch", "entry": entries});
    for (case, body) in [
        ("one entry instead of a list", batch(get.clone())),
        ("a list in the list", batch(json!([[get]]))),
        ("a list of requests", batch(json!([{"request": [get["request"]]}]))),
        ("a list of URLs", batch(json!([{"request": {"method": "GET", "url": ["Patient?_count=0"]}}]))),
        ("no type", json!({"resourceType": "Bundle", "entry": [get]})),
        ("a create below an operation", batch(json!([create("Patient/$validate")]))),
        ("a create of another type", batch(json!([create("Observation")]))),
        ("a create without a URL", batch(json!([create("")]))),
    ] {
        let post = async |base: &str| {
            let post = world.client.post(base).header("Content-Type", "application/fhir+json");
            let answer = post.body(body.to_string()).send().await.unwrap();
            let status = answer.status().as_u16();
            (status, answer.json::<Value>().await.unwrap())
        };
        let (status, answer) = post(world.hapi.base_url()).await;
        let carried_out = answer["entry"][0]["response"]["status"].as_str().unwrap_or_default();
        assert!(
            status == 200 && carried_out.starts_with('2'),
            "{case}: HAPI reads it otherwise now: {answer}"
        );
        let (status, answer) = post(&world.base()).await;
        assert_eq!(
            (status, answer["resourceType"].as_str()),
            (400, Some("OperationOutcome")),
            "{case}: {answer}"
        );
    }
}

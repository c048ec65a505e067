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
    for (case, body, whole) in [
        ("one entry instead of a list", batch(get.clone()), true),
        ("a list in the list", batch(json!([[get]])), true),
        ("a list of requests", batch(json!([{"request": [get["request"]]}])), true),
        ("a list of URLs", batch(json!([{"request": {"method": "GET", "url": ["Patient?_count=0"]}}])), true),
        ("no type", json!({"resourceType": "Bundle", "entry": [get]}), true),
        ("a create below an operation", batch(json!([create("Patient/$validate")])), false),
        ("a create of another type", batch(json!([create("Observation")])), false),
        ("a create without a URL", batch(json!([create("")])), false),
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
        if whole {
            assert_eq!(
                (status, &answer["resourceType"]),
                (400, &"OperationOutcome".into()),
                "{case}: {answer}"
            );
        } else {
            let refused = answer["entry"][0]["response"]["status"].as_str().unwrap_or_default();
            assert_eq!((status, refused), (200, "400 Bad Request"), "{case}: {answer}");
        }
    }
}

/// HAPI never sees the entries of a batch that the route refuses, and its answers to the others are in their places.
#[tokio::test]
async fn refused_entries_of_a_batch_are_answered_in_their_places() {
    let world = World::start().await;
    let put = |id: &str| entry("PUT", &format!("Patient/{id}"), Some(patient(id, "Apart")));
    let (forbidden, unknown) =
        (entry("GET", "Patient/zq-apart-a/$of-our-own", None), entry("GET", "Nope/1", None));
    let ask = async |kind: &str, entries: Vec<Value>| {
        let post = world.client.post(world.base()).header("Content-Type", "application/fhir+json");
        let answer = post.body(bundle(kind, entries).to_string()).send().await.unwrap();
        let status = answer.status().as_u16();
        let answer: Value = answer.json().await.unwrap();
        let entries = answer["entry"].as_array().cloned().unwrap_or_default();
        let status_of = |entry: &Value| entry["response"]["status"].as_str().unwrap()[..3].to_owned();
        (status, entries.iter().map(status_of).collect::<Vec<_>>(), answer)
    };
    let (status, statuses, answer) = ask(
        "batch",
        vec![forbidden.clone(), put("zq-apart-a"), unknown.clone(), put("zq-apart-b"), forbidden.clone()],
    )
    .await;
    assert_eq!((status, statuses.join(" ")), (200, "403 201 404 201 403".to_owned()), "{answer}");
    assert_eq!(answer["type"], "batch-response");
    for (place, id) in [(1, "zq-apart-a"), (3, "zq-apart-b")] {
        let location = answer["entry"][place]["response"]["location"].as_str().unwrap();
        assert!(location.contains(id), "{answer}");
    }
    let outcome = &answer["entry"][4]["response"]["outcome"];
    assert_eq!(outcome["issue"][0]["code"], "forbidden", "{answer}");
    let (status, statuses, answer) = ask("batch", vec![forbidden.clone(), unknown]).await;
    assert_eq!((status, statuses.join(" ")), (200, "403 404".to_owned()), "{answer}");
    // All or nothing.
    let (status, _, answer) = ask("transaction", vec![put("zq-apart-c"), forbidden]).await;
    assert_eq!((status, &answer["resourceType"]), (403, &"OperationOutcome".into()), "{answer}");
    let read = world.client.get(format!("{}/Patient/zq-apart-c", world.hapi.base_url()));
    assert_eq!(read.send().await.unwrap().status(), 404);
}

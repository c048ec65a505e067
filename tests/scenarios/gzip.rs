//! Encoded bodies on both sides: HAPI is asked for gzip, and gets what clients have encoded as it was before.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use serde_json::Value;

use crate::common::resources::{bundle, entry, new_patient, observation, patient};
use crate::common::world::config;
use crate::common::{Step, World};

fn gzip(resource: &Value) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(resource.to_string().as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn answers_in_gzip_are_the_same() {
    let url = "url = \"{upstream}\"\n";
    let world = World::with(&config("").replace(url, &format!("{url}gzip = true\n"))).await;
    let observations = (0..30).map(|n| {
        let id = format!("{{me}}-o{n}");
        entry("PUT", &format!("Observation/{id}"), Some(observation(&id, "Patient/{me}-a", "72.50")))
    });
    let mut entries = vec![entry("PUT", "Patient/{me}-a", Some(patient("{me}-a", "Zipped")))];
    entries.extend(observations);
    let image = "iVBORw0KGgo".repeat(1000);
    world
        .compare(
            "gzip",
            &[
                Step::post("/", &bundle("transaction", entries)),
                Step::get("/Patient/{me}-a"),
                Step::head("/Patient/{me}-a"),
                Step::get("/Patient/{me}-a").with("Accept-Encoding", "gzip, br"),
                Step::get("/Patient/{me}-a").with("If-None-Match", "W/\"1\"").gives(304),
                Step::get("/Patient/{me}-none").gives(404),
                Step::get("/Observation?_tag=urn:fireguard:test%7C{me}&_sort=_id&_count=20")
                    .keeps_link("next", "next"),
                Step::get("{next}"),
                Step::put("/Patient/{me}-b", &patient("{me}-b", "Minimal"))
                    .with("Prefer", "return=minimal")
                    .gives(201),
                Step::put("/Patient/{me}-b", &patient("{me}-b", "Changed")).with("Prefer", "return=minimal"),
                Step::new(Method::POST, "/Binary")
                    .content("image/png", image)
                    .with("Accept", "application/fhir+json")
                    .gives(201)
                    .keeps_id("binary"),
                Step::get("/Binary/{binary}").with("Accept", "image/png"),
                Step::get("/Patient/{me}-a/$everything"),
                Step::delete("/Patient/{me}-b"),
            ],
        )
        .await;
    let metadata = world.client.get(format!("{}/metadata", world.base())).send().await.unwrap();
    assert_eq!(metadata.json::<Value>().await.unwrap()["fhirVersion"], "4.0.1");
}

#[tokio::test]
async fn bodies_in_gzip_are_stored_the_same() {
    let world = World::start().await;
    let kind = "application/fhir+json";
    let [one, two] = ["{me}-z", "{me}-y"].map(|id| patient(id, "Zipped"));
    // The marks of the sides are written out: what is encoded cannot be filled in.
    for (base, mark) in [(world.hapi.base_url().to_owned(), "zqd-zip"), (world.base(), "zqp-zip")] {
        for resource in [&one, &two] {
            let text = resource.to_string().replace("{me}", mark);
            let resource: Value = serde_json::from_str(&text).unwrap();
            let target = format!("{base}/Patient/{}", resource["id"].as_str().unwrap());
            let request =
                world.client.put(target).header("Content-Type", kind).header("Content-Encoding", "gzip");
            let answer = request.body(gzip(&resource)).send().await.unwrap();
            assert!(answer.status().is_success(), "{base}: {}", answer.status());
            let mut stored: Value = answer.json().await.unwrap();
            stored["meta"] = resource["meta"].clone();
            stored.as_object_mut().unwrap().shift_remove("text");
            assert_eq!(stored, resource, "{base}");
        }
        let entries = vec![entry("POST", "Patient", Some(new_patient(mark, "Zipped")))];
        let request =
            world.client.post(&base).header("Content-Type", kind).header("Content-Encoding", "gzip");
        let answer = request.body(gzip(&bundle("transaction", entries))).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{base}");
    }
}

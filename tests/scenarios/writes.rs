//! Create, update, patch, delete, and what they are asked to answer.

use serde_json::json;

use crate::common::resources::{new_patient, patient};
use crate::common::{Step, World};

#[tokio::test]
async fn create_update_delete() {
    let world = World::start().await;
    world
        .compare(
            "writes",
            &[
                Step::create("/Patient", &new_patient("{me}-1", "Created")).keeps_id("created"),
                Step::get("/Patient/{created}"),
                Step::create("/Patient?_format=json", &new_patient("{me}-2", "Created")),
                Step::put("/Patient/{me}-a", &patient("{me}-a", "New")).gives(201),
                Step::put("/Patient/{me}-a", &patient("{me}-a", "Newer")),
                // Nothing changes: no new version.
                Step::put("/Patient/{me}-a", &patient("{me}-a", "Newer")),
                Step::put("/Patient/{me}-a", &patient("{me}-b", "Other id")).gives(400),
                Step::put("/Patient/{me}-a", &new_patient("{me}-c", "No id")).gives(400),
                Step::put("/Patient/4711", &patient("4711", "Digits only")).gives(400),
                Step::post("/Observation", &patient("{me}-d", "Other type")).gives(400),
                Step::post("/Patient", &json!({"resourceType": "Patient", "gender": "zzz"})).gives(400),
                Step::post("/Patient", &json!({"resourceType": "Nope"})).gives(400),
                Step::delete("/Patient/{me}-a"),
                Step::delete("/Patient/{me}-a"),
                Step::delete("/Patient/{me}-none"),
            ],
        )
        .await;
}

#[tokio::test]
async fn preferred_answers() {
    let world = World::start().await;
    let mut steps = Vec::new();
    for (number, prefer) in
        ["return=minimal", "return=representation", "return=OperationOutcome"].iter().enumerate()
    {
        let (id, at) = (format!("{{me}}-{number}"), format!("/Patient/{{me}}-{number}"));
        let replace = json!([{"op": "replace", "path": "/gender", "value": "male"}]);
        steps.extend([
            Step::create("/Patient", &new_patient(&id, "Preferred")).with("Prefer", prefer),
            Step::put(&at, &patient(&id, "Preferred")).with("Prefer", prefer).gives(201),
            Step::put(&at, &patient(&id, "Changed")).with("Prefer", prefer),
            Step::put(&at, &patient(&id, "Zipped")).with("Prefer", prefer).with("Accept-Encoding", "gzip"),
            Step::json_patch(&at, &replace).with("Prefer", prefer),
            Step::delete(&at).with("Prefer", prefer),
        ]);
    }
    world.compare("prefer", &steps).await;
}

#[tokio::test]
async fn patches() {
    let world = World::start().await;
    let at = "/Patient/{me}-a";
    let replace = |value: &str| json!([{"op": "replace", "path": "/birthDate", "value": value}]);
    let fhirpath = json!({"resourceType": "Parameters", "parameter": [{"name": "operation", "part": [
        {"name": "type", "valueCode": "replace"},
        {"name": "path", "valueString": "Patient.gender"},
        {"name": "value", "valueCode": "other"},
    ]}]});
    let test = json!([{"op": "test", "path": "/gender", "value": "unknown"}]);
    world
        .compare(
            "patches",
            &[
                Step::put(at, &patient("{me}-a", "Patched")).gives(201),
                Step::json_patch(at, &replace("1960-01-01")),
                Step::fhirpath_patch(at, &fhirpath),
                Step::get(at),
                Step::json_patch(at, &test).gives(400),
                Step::json_patch(at, &json!([{"op": "remove", "path": "/nothing"}])).gives(400),
                Step::json_patch(at, &replace("1961-01-01"))
                    .with("If-Match", "W/\"1\"")
                    .gives(409)
                    .put_right(412),
                Step::json_patch(at, &replace("1962-01-01")).with("If-Match", "W/\"3\""),
                Step::json_patch("/Patient?identifier=urn:fireguard:mrn%7C{me}-a", &replace("1963-01-01")),
                Step::json_patch("/Patient?identifier=urn:fireguard:mrn%7C{me}-no", &replace("1963-01-01"))
                    .gives(404),
                Step::json_patch("/Patient/{me}-none", &replace("1963-01-01")).gives(404),
                Step::get(at),
            ],
        )
        .await;
}

#[tokio::test]
async fn a_version_that_is_not_the_current_one() {
    let world = World::start().await;
    let at = "/Patient/{me}-a";
    world
        .compare(
            "versions",
            &[
                Step::put(at, &patient("{me}-a", "One")).gives(201).keeps_header("first", "etag"),
                Step::put(at, &patient("{me}-a", "Two"))
                    .with("If-Match", "{first}")
                    .keeps_header("second", "etag"),
                Step::put(at, &patient("{me}-a", "Three"))
                    .with("If-Match", "{first}")
                    .gives(409)
                    .put_right(412),
                Step::put(at, &patient("{me}-a", "Three")).with("If-Match", "{second}"),
                Step::get(at),
            ],
        )
        .await;
}

//! Operations that read.

use serde_json::json;

use crate::common::resources::{bundle, entry, meta, observation, patient};
use crate::common::{Step, World};

#[tokio::test]
async fn operations() {
    let world = World::start().await;
    let put = |path: &str, resource| entry("PUT", path, Some(resource));
    let stored = bundle(
        "transaction",
        vec![
            put("Patient/{me}-a", patient("{me}-a", "Everything")),
            put("Observation/{me}-1", observation("{me}-1", "Patient/{me}-a", "60")),
            put("Observation/{me}-2", observation("{me}-2", "Patient/{me}-a", "61")),
        ],
    );
    let codes = json!({"resourceType": "CodeSystem", "id": "{me}-cs", "meta": meta(), "url": "urn:{me}:cs",
        "status": "active", "content": "complete",
        "concept": [{"code": "a", "display": "Alpha"}, {"code": "b", "display": "Beta"}]});
    let values = json!({"resourceType": "ValueSet", "id": "{me}-vs", "url": "urn:{me}:vs", "status": "active",
        "compose": {"include": [{"system": "urn:{me}:cs"}]}});
    let validate = json!({"resourceType": "Parameters", "parameter": [{"name": "resource",
        "resource": {"resourceType": "Patient", "gender": "female"}}]});
    let validated = json!({"resourceType": "Patient", "gender": "female"});
    let expand = json!({"resourceType": "Parameters", "parameter": [{"name": "url", "valueUri": "http://hl7.org/fhir/ValueSet/administrative-gender"}]});
    world
        .compare(
            "operations",
            &[
                Step::post("", &stored),
                Step::get("/Patient/{me}-a/$everything"),
                Step::get("/Patient/{me}-a/$everything?_type=Observation"),
                Step::get("/Patient/{me}-a/$everything?_count=1"),
                Step::get("/Patient/{me}-none/$everything").gives(404),
                Step::get("/Patient/{me}-a/$meta"),
                Step::get("/Patient/{me}-none/$meta").gives(404),
                Step::post("/Patient/$validate", &validate),
                Step::post("/Patient/$validate", &validated),
                Step::post("/Patient/$validate", &json!({"resourceType": "Patient", "gender": "zzz"}))
                    .gives(400),
                Step::put("/CodeSystem/{me}-cs", &codes).gives(201),
                Step::put("/ValueSet/{me}-vs", &values).gives(201),
                // Our own code system would need HAPI's full-text index.
                Step::get("/ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender"),
                Step::get(
                    "/ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender&filter=fem",
                ),
                Step::post("/ValueSet/$expand", &expand),
                Step::get("/ValueSet/$expand?url=urn:{me}:nothing").gives(404),
                Step::get("/ValueSet/{me}-vs/$validate-code?system=urn:{me}:cs&code=a"),
                Step::get("/CodeSystem/$lookup?system=urn:{me}:cs&code=b"),
                Step::get("/CodeSystem/$lookup?system=urn:{me}:cs&code=zzz").gives(404),
            ],
        )
        .await;
}

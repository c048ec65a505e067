//! Searches: parameters and their escapes, chains, includes, results.

use serde_json::json;

use crate::common::resources::{bundle, entry, meta, observation, patient};
use crate::common::{Step, World};

#[tokio::test]
async fn searches_by_get_and_by_post() {
    let world = World::start().await;
    let mut steps = vec![stored()];
    for query in [
        "family=Abel",
        "family=Abel,Baker&_sort=family",
        "family=Abel&given=Änne",
        "given=%C3%84nne&_sort=family",
        "identifier=urn:fireguard:mrn%7C{me}-a",
        "identifier=urn:fireguard:mrn|{me}-a",
        "identifier=%7C{me}-a",
        "family:exact=Dash%5C%2CComma",
        "family=Dash%5C%2CComma,Abel&_sort=family",
        "birthdate=ge1950-01-01&birthdate=lt1951-01-01&_sort=family",
        "birthdate=gt2000",
        "gender:not=male&_sort=family",
        "organization.name=Ward",
        "organization:Organization.name=Ward",
        "_has:Observation:subject:code=8867-4",
        "_has:Observation:subject:code=http://loinc.org%7C8867-4&_sort=-family",
        "_id={me}-a,{me}-b&_sort=family",
        "_sort=-family,birthdate",
        "_include=Patient:organization&_sort=family",
        "_revinclude=Observation:subject&_id={me}-a",
        "_summary=true&_sort=family",
        "_summary=text&_sort=family",
        "_summary=data&_sort=family",
        "_summary=count",
        "_summary=false&_sort=family",
        "_elements=name,gender&_sort=family",
        "_count=0",
        "_count=2&_sort=family&_total=accurate",
        "_total=none&_sort=family",
        "_lastUpdated=gt2020-01-01&_sort=family",
        "family:missing=true",
        "family:contains=ake",
        "_format=json&_pretty=true&_sort=family",
        "family=",
        "family=%20%2B%26%3D%23",
    ] {
        let query = format!("{query}&_tag=urn:fireguard:test%7C{{me}}");
        steps.push(Step::get(&format!("/Patient?{query}")));
        steps.push(Step::search("/Patient/_search", &query));
    }
    steps.extend([
        Step::search("/Patient/_search?family=Abel", "_tag=urn:fireguard:test%7C{me}&birthdate=ge1900"),
        Step::get("/Observation?patient={me}-a&_include=Observation:subject"),
        Step::get("/Observation?subject=Patient/{me}-a&subject:Patient.family=Abel"),
        Step::get("/Observation?subject.identifier=urn:fireguard:mrn%7C{me}-a"),
        Step::get(
            "/Observation?code-value-quantity=http://loinc.org%7C8867-4$gt60&patient={me}-a,{me}-b&_sort=_id",
        ),
        Step::get("/Observation?value-quantity=ge60&patient={me}-a"),
        Step::get("/Organization?_id={me}-o"),
        Step::get("/Patient?_tag=urn:fireguard:test%7C{me}&_count=1&_sort=family").keeps_link("two", "next"),
        Step::get("{two}").keeps_link("three", "next").keeps_link("one", "previous"),
        Step::get("{three}"),
        Step::get("{one}"),
        Step::head("{one}").gives(400),
        // HAPI knows no HEAD of a search.
        Step::head("/Patient?_tag=urn:fireguard:test%7C{me}&_sort=family").gives(400),
        Step::get("/Patient?_tag=urn:fireguard:test%7C{me}&_sort=family").with("Accept-Encoding", "gzip"),
        Step::get("/Patient?_tag=urn:fireguard:test%7C{me}&_sort=family").with("Cache-Control", "no-cache"),
    ]);
    world.compare("searches", &steps).await;
}

#[tokio::test]
async fn searches_that_fail() {
    let world = World::start().await;
    world
        .compare(
            "bad-searches",
            &[
                Step::get("/Patient?nonsense=1").gives(400),
                Step::get("/Patient?nonsense=1").with("Prefer", "handling=strict").gives(400),
                Step::get("/Patient?birthdate=yesterday").gives(400),
                Step::get("/Patient?_sort=nonsense").gives(400),
                Step::get("/Patient?_include=Patient:nonsense").gives(400),
            ],
        )
        .await;
}

/// Two patients of a ward and a third one elsewhere, with observations.
fn stored() -> Step {
    let put = |resource: serde_json::Value| {
        let url =
            format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
        entry("PUT", &url, Some(resource))
    };
    let mut patients = [("a", "Abel"), ("b", "Baker"), ("c", "Dash,Comma")].map(|(id, family)| {
        let mut patient = patient(&format!("{{me}}-{id}"), family);
        patient["managingOrganization"] = json!({"reference": "Organization/{me}-o"});
        patient
    });
    patients[2].as_object_mut().unwrap().shift_remove("managingOrganization");
    patients[2]["birthDate"] = "1990".into();
    let ward = json!({"resourceType": "Organization", "id": "{me}-o", "meta": meta(), "name": "Ward"});
    let mut entries = vec![put(ward)];
    entries.extend(patients.map(put));
    for (id, subject, value) in [("1", "a", "61"), ("2", "a", "72.50"), ("3", "b", "80")] {
        entries.push(put(observation(&format!("{{me}}-{id}"), &format!("Patient/{{me}}-{subject}"), value)));
    }
    Step::post("", &bundle("transaction", entries))
}

/// Tomcat takes a head of 8 KB and answers a longer one with a page of HTML: it never gets to see one.
#[tokio::test]
async fn a_url_is_answered_or_too_long_but_never_a_page() {
    let world = World::start().await;
    let mut seen = std::collections::BTreeSet::new();
    for bytes in (7_000..8_400).step_by(50) {
        let ids = "zq-none,".repeat(bytes / 8) + &"x".repeat(bytes % 8 + 1);
        let answer = world.client.get(format!("{}/Patient?_id={ids}", world.base())).send().await.unwrap();
        let status = answer.status().as_u16();
        let body: serde_json::Value = answer.json().await.unwrap();
        assert!(matches!(status, 200 | 414), "{bytes}: {status} {body}");
        seen.insert(status);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [200, 414]);
}

//! Reads, versions, history, metadata, Binary.

use serde_json::json;

use crate::common::resources::{observation, patient};
use crate::common::{Step, World};

#[tokio::test]
async fn reads_and_versions() {
    let world = World::start().await;
    let at = "/Patient/{me}-a";
    world
        .compare(
            "reads",
            &[
                Step::put(at, &patient("{me}-a", "Alpha")).gives(201),
                Step::put(at, &patient("{me}-a", "Beta")),
                Step::get(at).keeps_header("etag", "etag").keeps_header("modified", "last-modified"),
                Step::get(at).with("Accept", "application/fhir+json"),
                Step::get(at).with("Accept-Encoding", "gzip"),
                Step::get("/Patient/{me}-a?_format=json"),
                Step::get("/Patient/{me}-a?_pretty=true"),
                Step::get("/Patient/{me}-a?_summary=true"),
                Step::get("/Patient/{me}-a?_elements=name"),
                Step::head(at),
                Step::get("/Patient/{me}-a/_history/1"),
                Step::head("/Patient/{me}-a/_history/1"),
                Step::get("/Patient/{me}-a/_history/9").gives(404),
                Step::get(at).with("If-None-Match", "{etag}").gives(304),
                Step::get(at).with("If-None-Match", "W/\"1\""),
                Step::get(at).with("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT").gives(304),
                Step::get(at).with("If-Modified-Since", "Sat, 01 Jan 2000 00:00:00 GMT"),
                Step::get("/Patient/{me}-none").gives(404),
                Step::head("/Patient/{me}-none").gives(404),
                Step::delete(at),
                Step::get(at).gives(410),
                Step::head(at).gives(410),
                Step::get("/Patient/{me}-a/_history/2"),
                Step::delete(at),
                Step::put(at, &patient("{me}-a", "Gamma")).gives(201),
                Step::get("/Patient/{me}-a/_history"),
            ],
        )
        .await;
}

#[tokio::test]
async fn history_of_an_instance_a_type_and_the_server() {
    let world = World::start().await;
    let at = "/Basic/{me}-a";
    let basic = |text: &str| json!({"resourceType": "Basic", "id": "{me}-a", "code": {"text": text}});
    world
        .compare(
            "history",
            &[
                Step::put(at, &basic("one")).gives(201),
                Step::put(at, &basic("two")),
                Step::delete(at),
                Step::get("/Basic/{me}-a/_history"),
                Step::get("/Basic/{me}-a/_history?_count=1"),
                Step::get("/Basic/{me}-a/_history?_since=2020-01-01T00:00:00Z"),
                Step::get("/Basic/{me}-none/_history").gives(404),
                // Other tests write meanwhile: nothing can be in these pages but a total.
                Step::get("/Basic/_history?_since=2100-01-01T00:00:00Z"),
                Step::get("/_history?_since=2100-01-01T00:00:00Z"),
            ],
        )
        .await;
}

#[tokio::test]
async fn metadata_is_the_server_s_with_our_addresses() {
    let world = World::start().await;
    world.compare("metadata", &[Step::get("/metadata"), Step::get("/metadata?_summary=true")]).await;
}

#[tokio::test]
async fn binary_raw_and_as_a_resource() {
    let world = World::start().await;
    let resource = json!({"resourceType": "Binary", "contentType": "text/plain", "data": "aGVsbG8="});
    world
        .compare(
            "binary",
            &[
                Step::create("/Binary", &resource).keeps_id("wrapped"),
                Step::get("/Binary/{wrapped}").with("Accept", "application/fhir+json"),
                Step::get("/Binary/{wrapped}"),
                Step::get("/Binary/{wrapped}?_format=json"),
                // HAPI answers a create by the content itself, unless a resource is asked for.
                Step::new(reqwest::Method::POST, "/Binary")
                    .with("Accept", "application/fhir+json")
                    .content("application/octet-stream", vec![0, 159, 146, 150, 255, 10, 13])
                    .gives(201)
                    .keeps_id("raw"),
                Step::get("/Binary/{raw}"),
                Step::get("/Binary/{raw}").with("Accept", "application/octet-stream"),
                Step::get("/Binary/{raw}").with("Accept", "application/fhir+json"),
                Step::head("/Binary/{raw}"),
            ],
        )
        .await;
}

/// HAPI calls it `application/fhir+json` all the same; the client asked for the plain name, and gets it.
#[tokio::test]
async fn json_is_called_as_the_client_calls_it() {
    let world = World::start().await;
    for accept in ["application/json", "application/fhir+json"] {
        let get = world.client.get(format!("{}/Patient?_count=0", world.base())).header("Accept", accept);
        let answer = get.send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], format!("{accept};charset=utf-8"));
    }
}

/// What both sides ask of the same resource differs in nothing but the base.
#[tokio::test]
async fn bytes_stay_as_they_are() {
    let world = World::start().await;
    let direct = world.hapi.base_url();
    // HAPI keeps the digits of a decimal; so must everything on the way.
    for value in ["1.50", "0.00", "100", "1.0E+2"] {
        let body = observation("same-bytes", "urn:fireguard:nobody", value);
        let mut body = body.as_object().unwrap().clone();
        body.shift_remove("subject");
        let url = format!("{}/Observation/same-bytes", world.base());
        let put = world.client.put(&url).header("Content-Type", "application/fhir+json");
        let put = put.body(serde_json::to_vec(&body).unwrap()).send().await.unwrap();
        assert!(put.status().is_success(), "{value}: {}", put.text().await.unwrap());
        for path in ["/Observation/same-bytes", "/Observation/same-bytes?_pretty=true"] {
            let get = async |base: &str| {
                let get = world.client.get(format!("{base}{path}"));
                get.header("Accept", "application/fhir+json").send().await.unwrap().bytes().await.unwrap()
            };
            assert_eq!(get(direct).await, get(&world.base()).await, "{value} {path}");
        }
    }
}

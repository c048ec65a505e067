//! What is not JSON is refused on every way in.

use serde_json::Value;

use crate::common::World;

#[tokio::test]
async fn xml_and_its_relatives_are_refused_on_every_way_in() {
    let world = World::start().await;
    let base = world.base();
    let get = |path: &str| world.client.get(format!("{base}{path}"));
    let post = |path: &str, kind: &str, body: &str| {
        world.client.post(format!("{base}{path}")).header("Content-Type", kind).body(body.to_owned())
    };
    let form = "application/x-www-form-urlencoded";
    let xml = r#"<Patient xmlns="http://hl7.org/fhir"/>"#;
    let patient = r#"{"resourceType":"Patient"}"#;
    let cases = [
        (406, get("/Patient").header("Accept", "application/fhir+xml")),
        (406, get("/Patient").header("Accept", "application/xml")),
        (406, get("/Patient").header("Accept", "text/xml, application/xml;q=0.5")),
        (406, get("/Patient").header("Accept", "text/turtle")),
        // HAPI answers this with XML that is called NDJSON.
        (406, get("/Patient").header("Accept", "application/fhir+ndjson")),
        (406, get("/Patient/1").header("Accept", "application/fhir+ndjson")),
        (406, get("/metadata").header("Accept", "application/fhir+xml")),
        (406, get("/Patient/1/$everything").header("Accept", "application/fhir+xml")),
        (406, get("/Patient/1/_history").header("Accept", "application/fhir+xml")),
        (406, get("?_type=Patient").header("Accept", "application/fhir+xml")),
        (406, get("/Patient?_format=xml")),
        (406, get("/Patient?_format=application/fhir%2Bxml")),
        (406, get("/Patient?_format=application/fhir+xml")),
        (406, get("/Patient?_format=ttl")),
        (406, get("/Patient?_format=ndjson")),
        (406, get("/Patient?_format=application/fhir%2Bndjson")),
        (406, get("/Patient?%5fformat=xml")),
        (406, get("?_type=Patient&_format=xml")),
        (406, post("/Patient/_search", form, "_format=xml")),
        (406, post("/Patient/_search?_format=xml", form, "family=x")),
        (406, post("/Patient", "application/fhir+json", patient).header("Accept", "application/fhir+xml")),
        (
            406,
            post("", "application/fhir+json", r#"{"resourceType":"Bundle","type":"batch"}"#)
                .header("Accept", "text/xml"),
        ),
        (415, post("/Patient", "application/fhir+xml", xml)),
        (415, post("/Patient", "application/xml", xml)),
        (415, post("/Patient", "text/xml;charset=utf-8", xml)),
        (415, post("/Patient", "application/fhir+ndjson", patient)),
        (415, post("/Patient", "text/turtle", "")),
        (415, post("/Patient", "text/plain", patient)),
        (415, post("/Binary", "application/fhir+xml", xml)),
        (415, post("/Binary", "application/fhir+ndjson", patient)),
        (415, post("", "application/fhir+xml", "<Bundle/>")),
        (415, post("/Patient/$validate", "application/fhir+xml", xml)),
        (415, post("/Patient/_search", "application/fhir+json", patient)),
        (415, post("/Patient/_search", "text/plain", "family=x")),
        (415, post("/Patient", "application/fhir+json; charset=utf-16", patient)),
        (415, post("/Patient", "application/fhir+json; fhirVersion=5.0", patient)),
        (
            415,
            world
                .client
                .patch(format!("{base}/Patient/1"))
                .header("Content-Type", "application/xml-patch+xml"),
        ),
        (
            415,
            world.client.put(format!("{base}/Patient/1")).header("Content-Type", "application/xml").body(xml),
        ),
    ];
    for (status, request) in cases {
        let request = request.build().unwrap();
        let shown = format!("{} {} {:?}", request.method(), request.url(), request.headers());
        let answer = world.client.execute(request).await.unwrap();
        let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
        let given = answer.status().as_u16();
        let body = answer.text().await.unwrap();
        assert_eq!(given, status, "{shown}: {body}");
        let outcome: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{shown}: {body}"));
        assert_eq!(outcome["resourceType"], "OperationOutcome", "{shown}");
        assert_eq!(outcome["issue"][0]["code"], "not-supported", "{shown}: {body}");
        assert!(kind.contains("json"), "{shown}: {kind}");
    }
}

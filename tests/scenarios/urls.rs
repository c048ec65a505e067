//! Our absolute URLs in what clients send: HAPI stores what a client that writes relative ones would have stored.

use reqwest::Method;
use serde_json::{Value, json};

use crate::common::World;

/// A client of one route that writes references in one way.
struct Client<'a> {
    world: &'a World,
    base: String,
    /// Before `Patient/1`: nothing, or the base.
    prefix: String,
    me: String,
}

impl Client<'_> {
    /// Sends it with `@` replaced by the prefix and `{me}` by the mark, and answers status and body.
    async fn send(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> (u16, Value) {
        let full = |text: &str| text.replace('@', &self.prefix).replace("{me}", &self.me);
        let mut request = self.world.client.request(method, format!("{}{}", self.base, full(target)));
        let content = match &body {
            Some(Value::Array(_)) => "application/json-patch+json",
            _ => "application/fhir+json",
        };
        if let Some(body) = body {
            request = request.header("Content-Type", content).body(full(&body.to_string()));
        }
        for (name, value) in headers {
            request = request.header(*name, full(value));
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or(Value::Null))
    }

    /// What HAPI itself says that it has, less what differs anyway.
    async fn stored(&self, path: &str) -> String {
        let url = format!("{}{}", self.world.hapi.base_url(), path.replace("{me}", &self.me));
        let mut resource: Value = self.world.client.get(url).send().await.unwrap().json().await.unwrap();
        resource.as_object_mut().unwrap().shift_remove("meta");
        resource.to_string().replace(&self.me, "[me]")
    }
}

fn observation(id: &str) -> Value {
    json!({
        "resourceType": "Observation", "id": id, "status": "final",
        "identifier": [{"system": "@sid", "value": id}],
        "code": {"text": "x"}, "subject": {"reference": "@Patient/{me}-p"},
        "extension": [{"url": "@StructureDefinition/x", "valueReference": {"reference": "@Patient/{me}-p"}}],
    })
}

#[tokio::test]
async fn absolute_urls_of_ours_are_stored_as_relative_ones() {
    let world = World::start().await;
    let ours = format!("{}/", world.base());
    let second = format!("{}/second/r4", world.gateway.url());
    let mut all = Vec::new();
    for (me, base, prefix) in [
        ("zqu-rel", world.base(), ""),
        ("zqu-abs", world.base(), ours.as_str()),
        ("zqu-sec", second.clone(), &format!("{second}/")),
    ] {
        let client = Client { world: &world, base, prefix: prefix.to_owned(), me: me.to_owned() };
        all.push(everything(&client).await);
    }
    // The names stay as they were written, so they differ; everything else must not.
    let plain = |seen: &Vec<String>, prefix: &str| {
        let names = [format!("{prefix}sid"), format!("{prefix}StructureDefinition")];
        seen.iter()
            .map(|text| text.replace(&names[0], "sid").replace(&names[1], "StructureDefinition"))
            .collect::<Vec<_>>()
    };
    assert_eq!(plain(&all[1], &ours), all[0], "absolute");
    assert_eq!(plain(&all[2], &format!("{second}/")), all[0], "by another route");
}

async fn everything(client: &Client<'_>) -> Vec<String> {
    let mut seen = Vec::new();
    let patient = json!({"resourceType": "Patient", "id": "{me}-p",
        "identifier": [{"system": "urn:fireguard:mrn", "value": "{me}-p"}]});
    let (status, _) = client.send(Method::PUT, "/Patient/{me}-p", &[], Some(patient)).await;
    assert!(status == 200 || status == 201, "{status}");

    let (status, created) = client.send(Method::POST, "/Observation", &[], Some(observation("c"))).await;
    assert_eq!(status, 201, "create: {created}");
    seen.push(
        client
            .stored(&format!("/Observation/{}", created["id"].as_str().unwrap()))
            .await
            .replace(created["id"].as_str().unwrap(), "[id]"),
    );

    let update = observation("{me}-u");
    let (status, answer) = client.send(Method::PUT, "/Observation/{me}-u", &[], Some(update)).await;
    assert_eq!(status, 201, "update: {answer}");
    seen.push(client.stored("/Observation/{me}-u").await);

    let patch = json!([{"op": "replace", "path": "/subject", "value": {"reference": "@Patient/{me}-p", "display": "d"}},
        {"op": "replace", "path": "/extension/0/valueReference/reference", "value": "@Patient/{me}-p"}]);
    let (status, answer) = client.send(Method::PATCH, "/Observation/{me}-u", &[], Some(patch)).await;
    assert_eq!(status, 200, "patch: {answer}");
    seen.push(client.stored("/Observation/{me}-u").await);

    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [
        {"fullUrl": "@Observation/{me}-t", "resource": observation("{me}-t"),
            "request": {"method": "PUT", "url": "@Observation/{me}-t"}},
        {"fullUrl": "urn:uuid:0195cbbc-1111-7222-8333-444444444441",
            "resource": {"resourceType": "DocumentReference", "status": "current", "subject": {"reference": "@Patient/{me}-p"},
                "content": [{"attachment": {"url": "@Binary/1"}}]},
            "request": {"method": "POST", "url": "DocumentReference", "ifNoneExist": "subject=@Patient/{me}-p"}},
        {"request": {"method": "GET", "url": "@Observation?subject=@Patient/{me}-p&_summary=count"}},
    ]});
    for turn in ["first", "second"] {
        let (status, answer) = client.send(Method::POST, "/", &[], Some(bundle.clone())).await;
        assert_eq!(status, 200, "transaction: {answer}");
        let statuses: Vec<_> =
            answer["entry"].as_array().unwrap().iter().map(|e| e["response"]["status"].to_string()).collect();
        seen.push(format!("{turn} {statuses:?} {}", answer["entry"][2]["resource"]["total"]));
        let document = answer["entry"][1]["response"]["location"].as_str().unwrap();
        let path = document.split("/_history").next().unwrap();
        let id = path.rsplit('/').next().unwrap();
        seen.push(client.stored(&format!("/DocumentReference/{id}")).await.replace(id, "[id]"));
    }
    seen.push(client.stored("/Observation/{me}-t").await);

    let condition = [("If-None-Exist", "subject=@Patient/{me}-p&identifier={me}-t")];
    let (status, _) =
        client.send(Method::POST, "/Observation", &condition, Some(observation("{me}-n"))).await;
    seen.push(format!("conditional create {status}"));

    for search in [
        "/Observation?subject=@Patient/{me}-p&_summary=count",
        "/Observation?patient=@Patient/{me}-none,@Patient/{me}-p&_summary=count",
        "/Observation?subject:Patient=@Patient/{me}-p&_summary=count",
        "/Patient?_has:Observation:subject:subject=@Patient/{me}-p&_summary=count",
    ] {
        let (status, answer) = client.send(Method::GET, search, &[("Cache-Control", "no-cache")], None).await;
        seen.push(format!("{search} {status} {}", answer["total"]));
    }
    seen
}

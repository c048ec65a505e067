//! XML on a route that speaks it: what a client reads and stores differs from HAPI's own in nothing but URLs.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::common::World;
use crate::common::world::config;

const XML: &str = "application/fhir+xml";
const JSON: &str = "application/fhir+json";

async fn world() -> World {
    World::with(&config("xml = true\n")).await
}

/// One request to one side: status, content type, location, body.
async fn ask(
    world: &World,
    base: &str,
    method: Method,
    target: &str,
    content: Option<(&str, &str)>,
    accept: &str,
) -> (StatusCode, String, String, String) {
    let mut request = world.client.request(method, format!("{base}{target}")).header("Accept", accept);
    if let Some((content_type, body)) = content {
        request = request.header("Content-Type", content_type).body(body.to_owned());
    }
    let response = request.send().await.unwrap();
    let header = |name: &str| {
        let value = response.headers().get(name).map(|value| value.to_str().unwrap());
        value.unwrap_or_default().to_ascii_lowercase().replace(' ', "")
    };
    let (status, kind, location) = (response.status(), header("content-type"), header("location"));
    (status, kind, location, response.text().await.unwrap())
}

async fn get(world: &World, base: &str, target: &str) -> (StatusCode, String, String, String) {
    ask(world, base, Method::GET, target, None, XML).await
}

/// A patient whose narrative and extensions have what XML has to escape.
fn patient(base: &str, id: &str) -> Value {
    json!({
        "resourceType": "Patient", "id": id,
        "meta": {"tag": [{"system": "urn:fireguard:test", "code": "zqx"}]},
        "text": {"status": "generated", "div": format!(
            "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p class='a'>Änne &amp; &lt;B&gt;&nbsp;&#160;x\u{a0}y</p>\
             <a href=\"{base}/Patient/{id}?a=1&amp;b=2\">{base}</a><img src=\"{base}/Binary/1\" alt=\"x\"/><br/></div>")},
        "contained": [{"resourceType": "Organization", "id": "o", "name": "a \"b\" 'c' <d> & e\nf\tg"}],
        "extension": [{"url": "http://example.org/x", "valueUrl": format!("{base}/Binary/1")},
            {"url": "http://example.org/y", "valueDecimal": 1.50}],
        "identifier": [{"system": "urn:fireguard:mrn", "value": id}],
        "name": [{"family": "Quillfeather", "given": ["Änne", "🜚"], "_given": [null, {"extension":
            [{"url": "http://example.org/z", "valueString": "z"}]}]}],
        "photo": [{"contentType": "image/png", "url": format!("{base}/Binary/1")}],
        "managingOrganization": {"reference": "#o"},
        "birthDate": "1950-02-03",
    })
}

async fn stored(world: &World, ids: &[&str]) {
    for id in ids {
        let body = patient(world.hapi.base_url(), id).to_string();
        let target = format!("/Patient/{id}");
        let base = world.hapi.base_url();
        // Another test stores the same at the same moment: HAPI answers one of the two with a conflict.
        for left in (0..10).rev() {
            let content = Some((JSON, body.as_str()));
            let (status, _, _, answer) = ask(world, base, Method::PUT, &target, content, JSON).await;
            if status.is_success() {
                break;
            }
            assert!(status == StatusCode::CONFLICT && left > 0, "{status}: {answer}");
        }
    }
}

#[tokio::test]
async fn what_is_read_differs_in_nothing_but_urls() {
    let world = world().await;
    let (direct, ours) = (world.hapi.base_url(), world.base());
    stored(&world, &["zqx-a", "zqx-b", "zqx-c"]).await;
    for target in [
        "/Patient/zqx-a",
        "/Patient/zqx-a?_pretty=true",
        "/Patient/zqx-a?_summary=true",
        "/Patient/zqx-a?_elements=name",
        "/Patient/zqx-a/_history/1",
        "/Patient/zqx-none",
        "/Patient?identifier=urn:fireguard:mrn%7Czqx-a",
        "/Patient?identifier=urn:fireguard:mrn%7Czqx-a,urn:fireguard:mrn%7Czqx-none&_pretty=true",
        "/Patient?nonsense=x&identifier=none",
        "/Patient?birthdate=zzz",
        "/Patient/zqx-a/$everything",
        "/ValueSet/zqx-none",
        "/metadata",
    ] {
        let (status, kind, _, expected) = get(&world, direct, target).await;
        let (given_status, given_kind, _, given) = get(&world, &ours, target).await;
        assert_eq!((given_status, given_kind.as_str()), (status, kind.as_str()), "{target}: {given}");
        assert!(kind.starts_with(XML), "{target}: {kind}");
        assert!(!given.contains(&format!("\"{direct}")), "{target}: {given}");
        // Of a search the id and the time differ each time.
        let (expected, given) = (changing(&expected.replace(direct, &ours)), changing(&given));
        // What is text stays text, also where it is the server's base.
        let given = given.replace(&format!(">{direct}<"), &format!(">{ours}<"));
        assert!(given == expected, "{target}:\n{given}\n{expected}");
    }
    // HAPI answers this with a page of HTML.
    assert_eq!(get(&world, &ours, "/Patient/zqx-a?_summary=text").await.0.as_u16(), 502);
    let narrative = get(&world, &ours, "/Patient/zqx-a").await.3;
    assert!(
        narrative.contains(&format!("<a href=\"{ours}/Patient/zqx-a?a=1&amp;b=2\">{direct}</a>")),
        "{narrative}"
    );
}

/// Without what differs from one answer to the next.
fn changing(text: &str) -> String {
    let mut text = text.to_owned();
    for element in ["id", "lastUpdated", "date"] {
        let (start, end) = (format!("<{element} value=\""), "\"/>");
        let mut from = 0;
        while let Some(at) = text[from..].find(&start).map(|at| from + at + start.len()) {
            let length = text[at..].find(end).unwrap();
            let value = &text[at..at + length];
            if !value.starts_with("zqx") {
                text.replace_range(at..at + length, "");
            }
            from = at;
        }
    }
    text
}

#[tokio::test]
async fn pages_are_sealed() {
    let world = world().await;
    let ours = world.base();
    stored(&world, &["zqx-a", "zqx-b", "zqx-c"]).await;
    let mut target = "/Patient?_tag=urn:fireguard:test%7Czqx&_count=1&_sort=_id".to_owned();
    let mut seen = Vec::new();
    loop {
        let (status, kind, _, page) = get(&world, &ours, &target).await;
        assert_eq!((status.as_u16(), kind.as_str()), (200, "application/fhir+xml;charset=utf-8"), "{page}");
        assert!(
            !page.contains("_getpages") && !page.contains(&format!("\"{}", world.hapi.base_url())),
            "{page}"
        );
        let id = page.split("<Patient xmlns=\"http://hl7.org/fhir\"><id value=\"").nth(1).unwrap();
        seen.push(id.split('"').next().unwrap().to_owned());
        let next = page.split("<relation value=\"next\"/><url value=\"").nth(1);
        let Some(next) = next.map(|rest| rest.split('"').next().unwrap().to_owned()) else { break };
        assert!(next.contains("_page="), "{next}");
        target = next.strip_prefix(&ours).unwrap().replace("&amp;", "&");
    }
    assert!(["zqx-a", "zqx-b", "zqx-c"].iter().all(|id| seen.iter().any(|seen| seen == id)), "{seen:?}");
}

#[tokio::test]
async fn what_is_written_is_what_json_would_have_stored() {
    let world = world().await;
    let (direct, ours) = (world.hapi.base_url(), world.base());
    // Read as XML from HAPI, written back under another id through Fireguard, with our URLs.
    stored(&world, &["zqx-w"]).await;
    let source = get(&world, direct, "/Patient/zqx-w").await.3;
    let body = source.replace("zqx-w", "zqx-v").replace("</Patient>", &format!(
        "<link><other><reference value=\"{ours}/Patient/zqx-w\"/></other><type value=\"seealso\"/></link></Patient>"
    ));
    for kind in [XML, "application/xml", "text/xml; charset=utf-8"] {
        let (status, answered, _, answer) =
            ask(&world, &ours, Method::PUT, "/Patient/zqx-v", Some((kind, &body)), XML).await;
        assert!(status.is_success() && answered.starts_with(XML), "{kind} {status}: {answer}");
    }
    let read = |id: &str| {
        let url = format!("{direct}/Patient/{id}");
        let request = world.client.get(url).header("Accept", JSON);
        async move {
            let mut resource: Value = request.send().await.unwrap().json().await.unwrap();
            resource["meta"] = Value::Null;
            resource.to_string()
        }
    };
    let mut expected: Value = serde_json::from_str(&read("zqx-w").await.replace("zqx-w", "zqx-v")).unwrap();
    let given: Value = serde_json::from_str(&read("zqx-v").await).unwrap();
    expected["link"] = json!([{"other": {"reference": "Patient/zqx-w"}, "type": "seealso"}]);
    assert_eq!(given, expected);

    // Create, and the answer in JSON.
    let new = format!(
        "<Patient xmlns=\"http://hl7.org/fhir\"><name><family value=\"New\"/></name>\
        <managingOrganization><display value=\"{ours}\"/></managingOrganization></Patient>"
    );
    let (status, kind, location, answer) =
        ask(&world, &ours, Method::POST, "/Patient", Some((XML, &new)), JSON).await;
    assert_eq!((status.as_u16(), kind.as_str()), (201, "application/fhir+json;charset=utf-8"), "{answer}");
    assert!(location.starts_with(&format!("{ours}/patient/")), "{location}");

    // A search by POST, and a FHIRPath Patch.
    let form = Some(("application/x-www-form-urlencoded", "identifier=urn:fireguard:mrn|zqx-v&_format=xml"));
    let (status, kind, _, found) = ask(&world, &ours, Method::POST, "/Patient/_search", form, JSON).await;
    assert_eq!((status.as_u16(), kind.as_str()), (200, "application/fhir+xml;charset=utf-8"), "{found}");
    assert!(found.contains("zqx-v"), "{found}");
    let patch = "<Parameters xmlns=\"http://hl7.org/fhir\"><parameter><name value=\"operation\"/>\
        <part><name value=\"type\"/><valueCode value=\"replace\"/></part>\
        <part><name value=\"path\"/><valueString value=\"Patient.birthDate\"/></part>\
        <part><name value=\"value\"/><valueDate value=\"1960-01-01\"/></part></parameter></Parameters>";
    let (status, _, _, patched) =
        ask(&world, &ours, Method::PATCH, "/Patient/zqx-v", Some((XML, patch)), XML).await;
    assert!(status.is_success() && patched.contains("1960-01-01"), "{status}: {patched}");
}

#[tokio::test]
async fn bundles_are_judged_entry_by_entry() {
    let world = world().await;
    let (direct, ours) = (world.hapi.base_url(), world.base());
    let entry = |id: &str, subject: &str| {
        format!(
            "<entry><fullUrl value=\"{ours}/Observation/{id}\"/><resource><Observation><id value=\"{id}\"/>\
            <status value=\"final\"/><code><text value=\"x &amp; y\"/></code><subject><reference value=\"{subject}\"/></subject>\
            </Observation></resource><request><method value=\"PUT\"/><url value=\"{ours}/Observation/{id}\"/></request></entry>"
        )
    };
    let bundle = |kind: &str, entries: &str| {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Bundle xmlns=\"http://hl7.org/fhir\"><type value=\"{kind}\"/>{entries}</Bundle>"
        )
    };
    stored(&world, &["zqx-s"]).await;
    let subject = format!("{ours}/Patient/zqx-s");
    for kind in ["transaction", "batch"] {
        let entries =
            [entry(&format!("zqx-{kind}-1"), &subject), entry(&format!("zqx-{kind}-2"), "Patient/zqx-s")]
                .concat();
        let (status, answered, _, answer) =
            ask(&world, &ours, Method::POST, "", Some((XML, &bundle(kind, &entries))), XML).await;
        assert_eq!(
            (status.as_u16(), answered.as_str()),
            (200, "application/fhir+xml;charset=utf-8"),
            "{kind}: {answer}"
        );
        assert_eq!(answer.matches("<status value=\"20").count(), 2, "{kind}: {answer}");
        for number in 1..3 {
            let target = format!("/Observation/zqx-{kind}-{number}");
            let stored: Value =
                serde_json::from_str(&ask(&world, direct, Method::GET, &target, None, JSON).await.3).unwrap();
            assert_eq!(stored["subject"]["reference"], "Patient/zqx-s", "{target}");
        }
        // One entry that no route allows, and nothing of the whole is carried out.
        let bad =
            "<entry><request><method value=\"POST\"/><url value=\"Patient/$expunge\"/></request></entry>";
        let entries = format!("{}{bad}", entry(&format!("zqx-{kind}-3"), "Patient/zqx-s"));
        let (status, answered, _, answer) =
            ask(&world, &ours, Method::POST, "", Some((XML, &bundle(kind, &entries))), XML).await;
        assert!(status.is_client_error() && answered.starts_with(XML), "{status}: {answer}");
        assert!(answer.starts_with("<OperationOutcome xmlns=\"http://hl7.org/fhir\">"), "{answer}");
        let (status, ..) = get(&world, direct, &format!("/Observation/zqx-{kind}-3")).await;
        assert_eq!(status.as_u16(), 404, "{kind}");
    }
}

/// HAPI itself compares type and id of a body with its URL, in XML as in JSON.
#[tokio::test]
async fn a_body_that_is_not_what_its_url_says_is_refused() {
    let world = world().await;
    let resource = |ty: &str, id: &str| format!("<{ty} xmlns=\"http://hl7.org/fhir\">{id}</{ty}>");
    let observation = "<Observation xmlns=\"http://hl7.org/fhir\"><id value=\"zqx-m\"/><status value=\"final\"/><code/></Observation>";
    for (method, target, body) in [
        (Method::PUT, "/Patient/zqx-m", resource("Patient", "<id value=\"zqx-other\"/>")),
        (Method::PUT, "/Patient/zqx-m", resource("Patient", "")),
        (Method::PUT, "/Patient/zqx-m", observation.to_owned()),
        (Method::POST, "/Patient", observation.to_owned()),
        (Method::POST, "/Patient", resource("Nonsense", "")),
        (Method::POST, "", resource("Patient", "")),
        (Method::POST, "/Patient", "{\"resourceType\":\"Patient\"}".to_owned()),
        (Method::POST, "/Patient", "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/hostname\">]><Patient xmlns=\"http://hl7.org/fhir\"><name><family value=\"&e;\"/></name></Patient>".to_owned()),
        (Method::POST, "/Patient", resource("Patient", "<id value=\"1\"/>").replace("fhir\"", "fhir2\"")),
    ] {
        let (status, kind, _, answer) =
            ask(&world, &world.base(), method, target, Some((XML, &body)), XML).await;
        assert_eq!(status.as_u16(), 400, "{target} {body}: {answer}");
        assert!(kind.starts_with(XML) && answer.contains("<OperationOutcome"), "{kind}: {answer}");
        assert!(!answer.contains(world.hidden()), "{answer}");
    }
    assert_eq!(get(&world, world.hapi.base_url(), "/Patient/zqx-m").await.0.as_u16(), 404);
}

#[tokio::test]
async fn a_binary_comes_as_it_is_asked_for() {
    let world = world().await;
    let (direct, ours) = (world.hapi.base_url(), world.base());
    let data = "QUJD".repeat(100_000);
    let body = format!(
        "<Binary xmlns=\"http://hl7.org/fhir\"><id value=\"zqx-bin\"/><contentType value=\"text/plain\"/><data value=\"{data}\"/></Binary>"
    );
    let (status, _, _, answer) =
        ask(&world, &ours, Method::PUT, "/Binary/zqx-bin", Some((XML, &body)), XML).await;
    assert!(status.is_success(), "{status}: {}", &answer[..answer.len().min(500)]);
    let (expected, given) =
        (get(&world, direct, "/Binary/zqx-bin").await, get(&world, &ours, "/Binary/zqx-bin").await);
    assert!(given.3.contains(&data) && given == expected);
    let (status, kind, _, raw) = ask(&world, &ours, Method::GET, "/Binary/zqx-bin", None, "*/*").await;
    assert_eq!((status.as_u16(), kind.as_str(), raw.len()), (200, "text/plain", 300_000));
}

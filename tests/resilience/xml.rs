//! XML on a route that speaks it: what passes, in which form errors come, and what breaks.

use fireguard_test_support::standin::{Answer, Received};

use crate::http::{Ask, Reply};
use crate::rig::{Change, Rig};

const XML: &str = "application/fhir+xml";
const TARGET: &str = "/xml/Patient/1";

/// `/xml` speaks it, `/fhir` does not, `/listed` lists its search parameters.
async fn rig() -> Rig {
    let off = "hapi = { check_versions = false, check_transactions = false }";
    let tables = format!(
        "[routes.xml]\npath = \"/xml\"\nupstream = \"hapi\"\nauthentication = \"none\"\nxml = true\n{off}\n\
         [routes.listed]\npath = \"/listed\"\nupstream = \"hapi\"\nauthentication = \"none\"\nxml = true\nsearch_parameters = [\"name\"]\n{off}\n"
    );
    Rig::with(Change { server: "workers = 1".to_owned(), tables, ..Change::default() }).await
}

fn xml(status: u16, body: impl Into<String>) -> Answer {
    Answer::status(status).header("Content-Type", "application/fhir+xml;charset=UTF-8").body(body.into())
}

fn patient(inside: &str) -> String {
    format!("<Patient xmlns=\"http://hl7.org/fhir\">{inside}</Patient>")
}

fn get(target: &str) -> Ask {
    Ask::get(target).header("Accept", XML)
}

fn send(method: &str, target: &str, body: impl Into<Vec<u8>>) -> Ask {
    Ask::new(method, target).header("Content-Type", XML).header("Accept", XML).body(body)
}

/// An OperationOutcome of ours, as XML.
#[track_caller]
fn assert_outcome(reply: &Reply, status: u16, code: &str, case: &str) {
    assert_eq!((reply.status, reply.whole), (status, true), "{case}: {}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/fhir+xml;charset=utf-8"), "{case}");
    let text = reply.text();
    let document =
        roxmltree::Document::parse(&text).unwrap_or_else(|error| panic!("{case}: {error}: {text}"));
    let root = document.root_element();
    assert!(root.has_tag_name(("http://hl7.org/fhir", "OperationOutcome")), "{case}: {text}");
    let found = root.descendants().find(|node| node.tag_name().name() == "code").unwrap();
    assert_eq!(found.attribute("value"), Some(code), "{case}: {text}");
}

fn whole(rig: &Rig) -> Vec<Received> {
    rig.arrived().into_iter().filter(|request| request.complete && request.method != "GET").collect()
}

#[tokio::test]
async fn both_directions_pass_with_their_urls_turned() {
    let rig = rig().await;
    let base = rig.standin.base_url();
    let ours = format!("http://{}/xml", rig.gateway.listen());
    let inside = "<managingOrganization><reference value=\"@/Organization/1\"/></managingOrganization>";
    let theirs = patient(&inside.replace('@', &base));
    let mine = patient(&inside.replace('@', &ours));
    let bare = patient(&inside.replace("@/", ""));
    rig.standin.always("*", "/fhir/Patient/1", xml(200, theirs).header("ETag", "W/\"3\""));
    for (accept, kind) in [
        (XML, "application/fhir+xml;charset=utf-8"),
        ("application/xml", "application/xml;charset=utf-8"),
        ("text/xml", "application/xml;charset=utf-8"),
        ("application/fhir+xml, application/fhir+json;q=0.9", "application/fhir+xml;charset=utf-8"),
    ] {
        let reply = rig.send(Ask::get(TARGET).header("Accept", accept)).await;
        assert_eq!((reply.status, reply.text()), (200, mine.clone()), "{accept}");
        assert_eq!(
            (reply.header("content-type"), reply.header("etag")),
            (Some(kind), Some("W/\"3\"")),
            "{accept}"
        );
        assert_eq!(rig.arrived().pop().unwrap().header("accept"), Some(XML), "{accept}");
    }
    for target in ["?_format=xml", "?_format=application/fhir%2Bxml", "?_format=text/xml"] {
        let reply =
            rig.send(Ask::get(&format!("{TARGET}{target}")).header("Accept", "application/fhir+json")).await;
        assert_eq!((reply.status, reply.text()), (200, mine.clone()), "{target}");
        assert_eq!(rig.arrived().pop().unwrap().target, "/fhir/Patient/1");
    }
    for kind in [XML, "application/xml", "text/xml; charset=utf-8", "application/fhir+xml; fhirVersion=4.0"] {
        let ask =
            Ask::new("PUT", TARGET).header("Content-Type", kind).header("Accept", XML).body(mine.clone());
        for ask in [ask.clone(), ask.chunked()] {
            assert_eq!(rig.send(ask).await.text(), mine);
            let arrived = rig.arrived().pop().unwrap();
            assert_eq!(
                (arrived.header("content-type"), arrived.body.clone()),
                (Some("application/fhir+xml;charset=utf-8"), bare.clone().into_bytes())
            );
        }
    }
}

/// What a route does not speak is refused, in the format that it does.
#[tokio::test]
async fn elsewhere_it_is_refused() {
    let rig = rig().await;
    let body = patient("");
    let plain = |method: &str, target: &str, kind: &str| {
        Ask::new(method, target).header("Content-Type", kind).body(body.clone())
    };
    rig.send(get("/fhir/Patient/1")).await.assert_outcome(406, "not-supported", "another route");
    rig.send(plain("PUT", "/fhir/Patient/1", XML)).await.assert_outcome(
        415,
        "not-supported",
        "another route",
    );
    for (kind, method, target) in [
        ("application/xml-patch+xml", "PATCH", TARGET),
        ("application/xml", "POST", "/xml/Binary"),
        ("text/xml", "PUT", "/xml/Binary/1"),
        ("application/fhir+xml;charset=utf-16", "PUT", TARGET),
        ("application/fhir+xml;fhirVersion=5.0", "PUT", TARGET),
        ("application/xml+fhir", "PUT", TARGET),
        ("application/fhir+turtle", "PUT", TARGET),
        (XML, "POST", "/xml/Patient/_search"),
    ] {
        let ask = plain(method, target, kind).header("Accept", XML);
        assert_outcome(&rig.send(ask).await, 415, "not-supported", kind);
        rig.send(plain(method, target, kind)).await.assert_outcome(415, "not-supported", kind);
    }
    for format in ["ttl", "html", "application/fhir%2Bturtle"] {
        let ask = get(&format!("{TARGET}?_format={format}"));
        assert_outcome(&rig.send(ask).await, 406, "not-supported", format);
    }
    let both = get(&format!("{TARGET}?_format=xml&_format=json"));
    assert_outcome(&rig.send(both).await, 400, "invalid", "two formats");
    assert!(rig.arrived().is_empty(), "{:?}", rig.arrived());
}

#[tokio::test]
async fn errors_come_in_the_format_that_was_asked_for() {
    let rig = rig().await;
    for (case, ask, status, code) in [
        ("a type that is not there", get("/xml/Nonsense"), 404, "not-supported"),
        ("a method", Ask::new("DELETE", "/xml/metadata").header("Accept", XML), 405, "not-supported"),
        ("a parameter", get("/xml/Patient?_pid=1"), 400, "not-supported"),
        ("by parameter", Ask::get("/xml/Patient/1?_format=xml&_pid=1"), 400, "not-supported"),
        ("an operation", get("/xml/$export"), 403, "forbidden"),
        ("a pretended method", get(TARGET).header("X-HTTP-Method-Override", "PUT"), 400, "not-supported"),
    ] {
        let reply = rig.send(ask).await;
        if case == "a pretended method" {
            // The route is not known yet.
            assert_eq!(reply.status, status, "{case}: {}", reply.text());
            continue;
        }
        assert_outcome(&reply, status, code, case);
    }
    rig.standin.always("GET", "/fhir/Patient/1", Answer::html(500, "<html>at org.example.Secret</html>"));
    assert_outcome(&rig.send(get(TARGET)).await, 502, "exception", "HTML");
    let reply = rig.send(Ask::get(&format!("{TARGET}?_format=xml"))).await;
    assert_outcome(&reply, 502, "exception", "HTML, asked by parameter");
    rig.send(Ask::get(TARGET)).await.assert_outcome(502, "exception", "HTML, as JSON");
    let form = Ask::form("/xml/Patient/_search", "_format=xml&name=x");
    rig.standin.always("POST", "/fhir/Patient/_search", Answer::html(500, "<html/>"));
    assert_outcome(&rig.send(form).await, 502, "exception", "asked in a form");
}

#[tokio::test]
async fn a_body_that_is_not_fhir_s_xml_never_arrives_whole() {
    let rig = rig().await;
    rig.standin.always("*", "/fhir/*", xml(201, patient("")));
    let deep = format!("{}{}", "<name>".repeat(70), "</name>".repeat(70));
    let long = "x".repeat(2_000_000);
    for (case, body, code) in [
        ("empty", String::new(), "structure"),
        ("JSON", "{\"resourceType\":\"Patient\"}".to_owned(), "structure"),
        ("cut", patient("")[..40].to_owned(), "structure"),
        ("another namespace", patient("").replace("fhir", "other"), "structure"),
        ("a prefix", "<f:Patient xmlns:f=\"http://hl7.org/fhir\"/>".to_owned(), "structure"),
        ("a DTD", format!("<!DOCTYPE x SYSTEM \"http://127.0.0.1/x\">{}", patient("")), "structure"),
        ("an entity", patient("<id value=\"&x;\"/>"), "structure"),
        (
            "billion laughs",
            format!("<!DOCTYPE x [<!ENTITY a \"{long}\">]>{}", patient("<id value=\"&a;\"/>")),
            "structure",
        ),
        ("an instruction", format!("<?xml-stylesheet href=\"x\"?>{}", patient("")), "structure"),
        (
            "another encoding",
            format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?>{}", patient("")),
            "structure",
        ),
        ("an attribute twice", patient("<id value=\"1\" value=\"2\"/>"), "structure"),
        ("an element twice", patient("<id value=\"1\"/><id value=\"2\"/>"), "invalid"),
        ("too deep", patient(&deep), "structure"),
        ("two roots", patient("").repeat(2), "structure"),
        ("text", patient("text"), "structure"),
        (
            "an open tag without end",
            format!("{}<id {long}", patient("").replace("</Patient>", "")),
            "structure",
        ),
    ] {
        for ask in [send("PUT", TARGET, body.clone()), send("POST", "/xml/Patient", body.clone()).chunked()] {
            if body.is_empty() && ask.method() == "PUT" {
                continue;
            }
            let reply = rig.send(ask).await;
            assert_outcome(&reply, 400, code, case);
            assert!(!reply.text().contains("xxxx"), "{case} is quoted");
        }
    }
    assert!(whole(&rig).is_empty(), "a server would have stored {:?}", whole(&rig));
}

#[tokio::test]
async fn entries_are_judged_one_by_one() {
    let rig = rig().await;
    let answered = "<Bundle xmlns=\"http://hl7.org/fhir\"><type value=\"batch-response\"/><entry><response><status value=\"200\"/></response></entry></Bundle>";
    rig.standin.always("POST", "/fhir/", xml(200, answered));
    let good = "<entry><request><method value=\"GET\"/><url value=\"Patient?name=x&amp;_count=1\"/></request></entry>";
    let bundle = |kind: &str, entries: &str| {
        format!("<Bundle xmlns=\"http://hl7.org/fhir\"><type value=\"{kind}\"/>{entries}</Bundle>")
    };
    let request = |inside: &str| format!("<entry><request>{inside}</request></entry>");
    let patient = "<resource><Patient xmlns=\"http://hl7.org/fhir\"/></resource>";
    for (case, entry, status, code) in [
        (
            "a power",
            request("<method value=\"DELETE\"/><url value=\"Patient?_cascade=delete&amp;name=x\"/>"),
            400,
            "not-supported",
        ),
        (
            "an operation",
            request("<method value=\"GET\"/><url value=\"Patient/$export\"/>"),
            403,
            "forbidden",
        ),
        ("a nested Bundle", request("<method value=\"POST\"/><url value=\"\"/>"), 400, "invalid"),
        (
            "another server",
            request("<method value=\"GET\"/><url value=\"http://elsewhere/Patient/1\"/>"),
            400,
            "invalid",
        ),
        (
            "a type that is not its URL's",
            format!(
                "<entry>{patient}<request><method value=\"POST\"/><url value=\"Observation\"/></request></entry>"
            ),
            400,
            "invalid",
        ),
        (
            "two methods",
            request("<method value=\"GET\"/><method value=\"DELETE\"/><url value=\"Patient/1\"/>"),
            400,
            "invalid",
        ),
        (
            "two requests",
            format!(
                "<entry><request><method value=\"GET\"/><url value=\"Patient/1\"/></request>{}",
                &request("<method value=\"DELETE\"/><url value=\"Patient/1\"/>")[7..]
            ),
            400,
            "invalid",
        ),
        (
            "hidden by a reference",
            request("<method value=\"&#68;ELETE\"/><url value=\"Patient?&#95;cascade=delete&#38;name=x\"/>"),
            400,
            "not-supported",
        ),
        (
            "a partition",
            format!(
                "<entry><extension url=\"http://hapifhir.io/fhir/ns/StructureDefinition/request-partition-ids\"><valueString value=\"x\"/></extension>{}",
                &good[7..]
            ),
            400,
            "invalid",
        ),
    ] {
        for kind in ["batch", "transaction"] {
            for entries in [entry.clone(), format!("{good}{entry}"), format!("{entry}{good}")] {
                let reply = rig.send(send("POST", "/xml", bundle(kind, &entries))).await;
                assert_outcome(&reply, status, code, &format!("{case} in a {kind}"));
            }
        }
    }
    for kind in ["searchset", ""] {
        let reply = rig.send(send("POST", "/xml", bundle(kind, good))).await;
        assert_outcome(&reply, 400, "invalid", kind);
    }
    assert!(whole(&rig).is_empty());
    // JSON in, XML out: nothing can be put into the answer, so one refuses all.
    let json = r#"{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"Patient/1"}},{"request":{"method":"GET","url":"Patient?_pid=1"}}]}"#;
    let mixed = Ask::json("POST", "/xml", json).header("Accept", XML);
    assert_outcome(&rig.send(mixed).await, 400, "not-supported", "JSON in, XML out");
    let reply = rig.send(send("POST", "/xml", bundle("batch", good))).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, answered));
}

#[tokio::test]
async fn a_list_of_parameters_holds_for_references_too() {
    let rig = rig().await;
    rig.standin.always("*", "/fhir/*", xml(201, patient("")));
    let refers = |to: &str| patient(&format!("<link><other><reference value=\"{to}\"/></other></link>"));
    let reply = rig.send(send("POST", "/listed/Patient", refers("Patient?birthdate=x"))).await;
    assert_outcome(&reply, 400, "not-supported", "a conditional reference");
    let reply = rig.send(send("POST", "/listed/Patient", refers("Patient?&#98;irthdate=x"))).await;
    assert_outcome(&reply, 400, "not-supported", "hidden by a reference");
    let parameters = "<Parameters xmlns=\"http://hl7.org/fhir\"/>";
    let reply = rig.send(send("POST", "/listed/Patient/$validate", parameters)).await;
    assert_outcome(&reply, 403, "forbidden", "an operation by POST");
    assert!(whole(&rig).is_empty());
    assert_eq!(rig.send(send("POST", "/listed/Patient", refers("Patient?name=x"))).await.status, 201);
}

#[tokio::test]
async fn an_answer_that_breaks_never_ends_cleanly() {
    let rig = rig().await;
    let photo = format!("<photo><data value=\"{}\"/></photo>", "QUJD".repeat(200_000));
    let long = patient(&photo);
    for (case, answer) in [
        ("cut", xml(200, long.clone()).cut(500_000)),
        ("cut, chunked", xml(200, long.clone()).chunked().cut(500_000)),
        ("half", xml(200, &long[..500_000])),
        ("not closed", xml(200, &long[..long.len() - 1])),
        ("a broken tag at its end", xml(200, patient(&format!("{photo}<id>")))),
        ("an entity at its end", xml(200, patient(&format!("{photo}<id value=\"&e;\"/>")))),
        ("a DTD", xml(200, format!("<!DOCTYPE x>{long}"))),
        ("another namespace", xml(200, long.replace("fhir", "fhir2"))),
        ("JSON", Answer::json(200, "{\"resourceType\":\"Patient\"}")),
        ("JSON that calls itself XML", xml(200, "{\"resourceType\":\"Patient\"}")),
        ("HTML", Answer::html(200, &long)),
    ] {
        rig.standin.always("GET", "/fhir/Patient/1", answer);
        let reply = rig.send(get(TARGET)).await;
        assert!(!reply.whole || reply.status == 502, "{case}: ended cleanly with {}", reply.status);
    }
    rig.standin.always("GET", "/fhir/Patient/1", xml(200, long.clone()));
    rig.send(Ask::get(TARGET)).await.assert_outcome(502, "exception", "XML, where JSON was asked for");
    assert_eq!(rig.send(get(TARGET)).await.text(), long);
    rig.assert_serving().await;
}

/// What the server says is made fit for callers.
#[tokio::test]
async fn an_outcome_of_the_server_is_scrubbed() {
    let rig = rig().await;
    let base = rig.standin.base_url();
    let outcome = |words: &str| {
        format!(
            "<OperationOutcome xmlns=\"http://hl7.org/fhir\"><text><status value=\"generated\"/><div xmlns=\"http://www.w3.org/1999/xhtml\">\
             <p>{words}</p></div></text><issue><severity value=\"error\"/><code value=\"processing\"/>\
             <diagnostics value=\"{words}\"/></issue></OperationOutcome>"
        )
    };
    let secret =
        format!("HAPI-1091: Invalid match URL &quot;Patient?identifier=urn:c|secret&quot; at {base}");
    for (words, shown) in [
        (secret.as_str(), "HAPI-1091: a condition matches no resource"),
        (
            "insert into HFJ_RES_SEARCH_URL&#xa;&lt;secret&gt;",
            "the FHIR server refused the request or failed; its own words are not shown",
        ),
        ("HAPI-2001: Resource Patient/1 is not known", "HAPI-2001: Resource Patient/1 is not known"),
    ] {
        rig.standin.always("GET", "/fhir/Patient/1", xml(404, outcome(words)));
        let reply = rig.send(get(TARGET)).await;
        let text = reply.text();
        assert!(reply.status == 404 && text.contains(&format!("<diagnostics value=\"{shown}\"/>")), "{text}");
        assert!(!text.contains("secret") && !text.contains(&base), "{text}");
        assert!(text.contains("<div xmlns=\"http://www.w3.org/1999/xhtml\">See the issues.</div>"), "{text}");
    }
}

/// Where JSON is looked into to be put right, XML is left as it is or refused: nothing is done twice.
#[tokio::test]
async fn what_is_sent_again_is_what_needs_no_look() {
    let rig = rig().await;
    let busy = || xml(503, "<OperationOutcome xmlns=\"http://hl7.org/fhir\"/>").header("Retry-After", "0");
    rig.standin.next("GET", "/fhir/Patient/1", [busy()]);
    rig.standin.always("GET", "/fhir/Patient/1", xml(200, patient("")));
    assert_eq!(rig.send(get(TARGET)).await.status, 200, "a read is sent again");
    let throttled = "<Bundle xmlns=\"http://hl7.org/fhir\"><type value=\"batch-response\"/><entry><response><status value=\"429\"/></response></entry></Bundle>";
    rig.standin.always("POST", "/fhir/", xml(200, throttled));
    let batch = "<Bundle xmlns=\"http://hl7.org/fhir\"><type value=\"batch\"/><entry><request><method value=\"GET\"/><url value=\"Patient/1\"/></request></entry></Bundle>";
    let reply = rig.send(send("POST", "/xml", batch)).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, throttled), "an entry is not");
    assert_eq!(whole(&rig).len(), 1);
}

//! Entries of a batch or transaction: what would be refused by itself never arrives whole in a Bundle.

use fireguard_test_support::standin::Answer;

use crate::http::Ask;
use crate::rig::{Change, Rig};

const ANSWER: &str =
    r#"{"resourceType":"Bundle","type":"batch-response","entry":[{"response":{"status":"200 OK"}}]}"#;
/// No entries of a Bundle: the whole is refused, and so are Bundles of other types.
const NO_ENTRIES: [&str; 7] = [
    "one entry instead of a list",
    "a list in the list",
    "a list of requests",
    "a list of URLs",
    "twice",
    "a partition",
    "no resourceType",
];
const PARTITIONS: &str = "http://hapifhir.io/fhir/ns/StructureDefinition/request-partition-ids";

/// With a list of search parameters, as long as what an entry may ask by.
async fn listed() -> Rig {
    let tables = "search_parameters = [\"code\", \"_count\", \"identifier\"]".to_owned();
    let rig = Rig::with(Change { server: "workers = 1".to_owned(), tables, ..Change::default() }).await;
    rig.standin.always("POST", "/fhir", Answer::json(200, ANSWER));
    rig.standin.always("POST", "/fhir/", Answer::json(200, ANSWER));
    rig
}

fn bundle(members: &str) -> String {
    format!(r#"{{"resourceType":"Bundle","type":"batch",{members}}}"#)
}

fn entry(method: &str, url: &str) -> String {
    format!(r#"{{"request":{{"method":"{method}","url":"{url}"}}}}"#)
}

#[tokio::test]
async fn nothing_slips_through_in_a_bundle() {
    let rig = listed().await;
    let hidden = entry("GET", "Observation?subject=Patient/1");
    let base = format!("http://{}/fhir", rig.gateway.listen());
    let mut table = vec![
        ("a parameter that is not listed", bundle(&format!(r#""entry":[{hidden}]"#)), 400),
        (
            "after one that is",
            bundle(&format!(r#""entry":[{},{hidden}]"#, entry("GET", "Observation?code=x"))),
            400,
        ),
        ("one entry instead of a list", bundle(&format!(r#""entry":{hidden}"#)), 400),
        ("a list in the list", bundle(&format!(r#""entry":[[{hidden}]]"#)), 400),
        (
            "a list of requests",
            bundle(r#""entry":[{"request":[{"method":"GET","url":"Patient?name=x"}]}]"#),
            400,
        ),
        ("a list of URLs", bundle(r#""entry":[{"request":{"method":"GET","url":["Patient?name=x"]}}]"#), 400),
        (
            "an escaped key",
            bundle(r#""entry":[{"r\u0065quest":{"method":"GET","url":"Patient?name=x"}}]"#),
            400,
        ),
        ("an escaped name", bundle(&format!(r#""entry":[{}]"#, entry("GET", "Patient?n%61me=x"))), 400),
        (
            "twice",
            bundle(r#""entry":[{"request":{"method":"GET","url":"Patient?code=x","url":"Patient?name=x"}}]"#),
            400,
        ),
        ("an operation", bundle(&format!(r#""entry":[{}]"#, entry("GET", "Patient/1/$of-our-own"))), 403),
        (
            "our own absolute URL",
            bundle(&format!(r#""entry":[{}]"#, entry("GET", &format!("{base}/Patient?name=x")))),
            400,
        ),
        ("a leading slash", bundle(&format!(r#""entry":[{}]"#, entry("GET", "/Patient?name=x"))), 400),
        ("by HEAD", bundle(&format!(r#""entry":[{}]"#, entry("HEAD", "Patient?name=x"))), 400),
        ("a condition", bundle(&format!(r#""entry":[{}]"#, entry("DELETE", "Patient?name=x"))), 400),
        (
            "a condition of a create",
            bundle(
                r#""entry":[{"resource":{"resourceType":"Patient"},
                    "request":{"method":"POST","url":"Patient","ifNoneExist":"name=x"}}]"#,
            ),
            400,
        ),
        (
            "a partition",
            bundle(&format!(
                r#""entry":[{{"extension":[{{"url":"{PARTITIONS}","valueString":"7"}}],
                    "request":{{"method":"GET","url":"Patient/1"}}}}]"#
            )),
            400,
        ),
        (
            "a create in an operation's name",
            bundle(
                r#""entry":[{"resource":{"resourceType":"Patient"},
                    "request":{"method":"POST","url":"Patient/$validate"}}]"#,
            ),
            400,
        ),
        (
            "a Bundle in a Bundle",
            bundle(
                r#""entry":[{"request":{"method":"POST","url":""},"resource":{"resourceType":"Bundle"}}]"#,
            ),
            400,
        ),
        ("no request", bundle(r#""entry":[{"resource":{"resourceType":"Patient"}}]"#), 405),
    ];
    for other in ["collection", "document", "message", "searchset"] {
        table.push((other, format!(r#"{{"resourceType":"Bundle","type":"{other}","entry":[]}}"#), 400));
    }
    table.push(("no type", r#"{"resourceType":"Bundle","entry":[]}"#.to_owned(), 400));
    table.push(("no resourceType", r#"{"type":"batch","entry":[]}"#.to_owned(), 400));
    for (case, body, status) in table {
        let transaction = body.replace(r#""type":"batch""#, r#""type":"transaction""#);
        let whole = NO_ENTRIES.contains(&case) || !body.contains(r#""type":"batch""#);
        for (body, whole) in [(body, whole), (transaction, true)] {
            for ask in [
                Ask::json("POST", "/fhir", body.clone()),
                Ask::json("POST", "/fhir/", body.clone()).chunked(),
            ] {
                let reply = rig.send(ask).await;
                let expected = if whole { status } else { 200 };
                assert_eq!((reply.status, reply.whole), (expected, true), "{case}: {}", reply.text());
                let mut outcome = reply.json();
                if !whole {
                    let response = outcome["entry"].as_array().unwrap().last().unwrap()["response"].clone();
                    assert!(response["status"].as_str().unwrap().starts_with(&status.to_string()), "{case}");
                    outcome = response["outcome"].clone();
                }
                assert_eq!(outcome["resourceType"], "OperationOutcome", "{case}");
            }
        }
    }
    let whole = rig.arrived().into_iter().filter(|request| request.complete);
    let bodies: Vec<_> = whole.map(|request| String::from_utf8(request.body.to_vec()).unwrap()).collect();
    let allowed = bundle(&format!(r#""entry":[{}]"#, entry("GET", "Observation?code=x")));
    assert_eq!(bodies, [allowed.clone(), allowed]);
}

/// The server gets a batch of the others, every byte of them as it was sent, and each answer is in its place.
#[tokio::test]
async fn entries_of_a_batch_are_refused_each_by_itself() {
    let rig = listed().await;
    let (good, bad) = (entry("GET", "Observation?code=x"), entry("GET", "Patient?name=x"));
    let forbidden = entry("GET", "Patient/1/$of-our-own");
    let linked = r#"{"resource":{"resourceType":"Observation","subject":{"reference":"Patient?birthdate=1970"}},
        "request":{"method":"POST","url":"Observation"}}"#;
    let long = format!(
        r#"{{"resource":{{"resourceType":"Binary","data":"{}"}},"request":{{"method":"POST","url":"$of-our-own"}}}}"#,
        "A".repeat(1 << 20)
    );
    for (entries, expected) in [
        (vec![&good, &bad], vec![200, 400]),
        (vec![&bad, &good], vec![400, 200]),
        (vec![&bad, &good, &forbidden, &bad, &good, &bad], vec![400, 200, 403, 400, 200, 400]),
        (vec![&good, &linked.to_owned(), &good], vec![200, 400, 200]),
        (vec![&long, &good], vec![400, 200]),
        (vec![&bad, &forbidden], vec![400, 403]),
        (vec![&forbidden], vec![403]),
    ] {
        let kept: Vec<&str> =
            entries.iter().zip(&expected).filter(|(_, s)| **s == 200).map(|(e, _)| e.as_str()).collect();
        let answers: Vec<String> = (0..kept.len())
            .map(|n| format!(r#"{{"response":{{"status":"200 OK","etag":"{n}"}}}}"#))
            .collect();
        let answer = format!(
            r#"{{"resourceType":"Bundle","type":"batch-response","entry":[ {} ]}}"#,
            answers.join(" ,\n")
        );
        let joined = entries.iter().map(|entry| entry.as_str()).collect::<Vec<_>>().join(" ,\n ");
        // Whatever is read first.
        for body in [
            format!(r#"{{"type":"batch","resourceType":"Bundle","entry":[ {joined} ], "id":"x"}}"#),
            format!(r#"{{"entry":[ {joined} ],"resourceType":"Bundle","type":"batch"}}"#),
        ] {
            rig.standin.next("POST", "/fhir/", (!kept.is_empty()).then(|| Answer::json(200, answer.clone())));
            let before = rig.arrived().len();
            let reply = rig.send(Ask::json("POST", "/fhir", body.clone())).await;
            assert_eq!((reply.status, reply.whole), (200, true), "{}", reply.text());
            let bundle = reply.json();
            let found = bundle["entry"].as_array().unwrap();
            let status = |entry: &serde_json::Value| {
                entry["response"]["status"].as_str().unwrap()[..3].parse::<u16>().unwrap()
            };
            assert_eq!(found.iter().map(status).collect::<Vec<_>>(), expected, "{}", reply.text());
            let told = found.iter().filter_map(|entry| entry["response"]["etag"].as_str());
            assert!(told.eq((0..kept.len()).map(|n| n.to_string())), "{}", reply.text());
            let refused = found.iter().filter(|entry| status(entry) != 200);
            for entry in refused {
                assert_eq!(entry["response"]["outcome"]["resourceType"], "OperationOutcome");
            }
            let sent: Vec<_> = rig.arrived().split_off(before).into_iter().filter(|r| r.complete).collect();
            if kept.is_empty() {
                assert!(sent.is_empty(), "nothing was left to ask for");
                continue;
            }
            let sent = String::from_utf8(sent[0].body.to_vec()).unwrap();
            serde_json::from_str::<serde_json::Value>(&sent).unwrap();
            assert!(sent.contains(&kept.join(" ,\n ")), "{sent}");
            assert!(!sent.contains("name=x") && !sent.contains("$of-our-own"), "{sent}");
        }
        // All or nothing, even if what it is comes last.
        let body = format!(r#"{{"entry":[{joined}],"resourceType":"Bundle","type":"transaction"}}"#);
        let reply = rig.send(Ask::json("POST", "/fhir", body)).await;
        let first = expected.iter().find(|status| **status != 200).unwrap();
        assert_eq!((reply.status, reply.whole), (*first, true), "{}", reply.text());
        assert!(!rig.arrived().last().is_some_and(|r| r.complete && r.body.ends_with(b"transaction\"}")));
    }
    // Its answers are told elsewhere, where none could be put among them.
    let ask = Ask::json("POST", "/fhir", bundle(&format!(r#""entry":[{good},{bad}]"#)));
    assert_eq!(rig.send(ask.header("Prefer", "respond-async")).await.status, 400);
}

#[tokio::test]
async fn what_is_allowed_alone_is_allowed_in_a_bundle() {
    let rig = listed().await;
    let members = r#""entry":[
        {"request":{"method":"GET","url":"Observation?code=x&_count=5"}},
        {"resource":{"id":"1","resourceType":"Patient"},"request":{"url":"/Patient/1","method":"PUT"}},
        {"fullUrl":"urn:uuid:0","request":{"method":"POST","url":"Patient","ifNoneExist":"identifier=a|b"},
         "resource":{"resourceType":"Patient"}}]"#;
    for kind in ["batch", "transaction"] {
        let body = format!(r#"{{{members},"type":"{kind}","resourceType":"Bundle"}}"#);
        let reply = rig.send(Ask::json("POST", "/fhir", body.clone())).await;
        assert_eq!(reply.status, 200, "{kind}: {}", reply.text());
        let arrived = rig.arrived();
        let last = arrived.last().unwrap();
        assert_eq!((last.complete, &last.body[..]), (true, body.as_bytes()), "every byte as it was sent");
    }
}

/// A condition that a search could not have is none for a create either.
#[tokio::test]
async fn a_condition_is_a_search() {
    let rig = listed().await;
    rig.standin.always("POST", "/fhir/Patient", Answer::json(201, ANSWER));
    for (condition, status) in [("identifier=a|b", 201), ("name=x", 400)] {
        let ask = Ask::json("POST", "/fhir/Patient", r#"{"resourceType":"Patient"}"#);
        let reply = rig.send(ask.header("If-None-Exist", condition)).await;
        assert_eq!(reply.status, status, "{condition}: {}", reply.text());
    }
}

/// The server looks for what a conditional reference describes, and its answer tells whether it is there.
#[tokio::test]
async fn a_conditional_reference_is_a_search() {
    let rig = listed().await;
    rig.standin.always("*", "/fhir/*", Answer::json(200, ANSWER));
    let resource = |query: &str| {
        format!(r#"{{"resourceType":"Observation","subject":{{"reference":"Patient?{query}"}}}}"#)
    };
    let transaction = |query: &str| {
        let request = r#""request":{"method":"POST","url":"Observation"}"#;
        let batch = bundle(&format!(r#""entry":[{{"resource":{},{request}}}]"#, resource(query)));
        batch.replace(r#""type":"batch""#, r#""type":"transaction""#)
    };
    let patch = |query: &str| {
        let value = format!("Patient?{query}");
        let patch = format!(r#"[{{"op":"replace","path":"/subject/reference","value":"{value}"}}]"#);
        Ask::new("PATCH", "/fhir/Observation/1")
            .header("Content-Type", "application/json-patch+json")
            .body(patch)
    };
    for (query, status) in [("identifier=a|b", 200), ("birthdate=1970", 400), ("identifier=a&name=x", 400)] {
        for ask in [
            Ask::json("POST", "/fhir/Observation", resource(query)),
            Ask::json("PUT", "/fhir/Observation/1", resource(query)),
            Ask::json("POST", "/fhir", transaction(query)).chunked(),
            patch(query),
        ] {
            let reply = rig.send(ask).await;
            assert_eq!(reply.status, status, "{query}: {}", reply.text());
        }
    }
    assert_eq!(rig.arrived().into_iter().filter(|request| request.complete).count(), 4);
}

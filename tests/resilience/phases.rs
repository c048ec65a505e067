//! Plugins before the server: requests and what is to be written. Whatever a plugin makes of them is judged again.

use fireguard_test_support::gateway::{self, Gateway};
use fireguard_test_support::standin::Answer;
use fireguard_test_support::{guest, repository};
use serde_json::{Value, json};

use crate::http::{Ask, Reply};
use crate::rig::{Change, Rig};

/// A plugin of the guest: its name, its settings in TOML, further lines.
pub(crate) type Guest<'a> = (&'a str, &'a str, &'a str);

/// A route `/name` with these plugins, and further lines of its own.
pub(crate) fn route(name: &str, more: &str, plugins: &[Guest<'_>]) -> String {
    let names: Vec<_> = plugins.iter().map(|(plugin, _, _)| format!("{plugin:?}")).collect();
    let mut text = format!(
        "[routes.{name}]\npath = \"/{name}\"\nupstream = \"hapi\"\nauthentication = \"none\"\nplugins = [{}]\n\
         hapi = {{ check_versions = false, check_transactions = false }}\n{more}\n",
        names.join(", ")
    );
    for (plugin, settings, more) in plugins {
        let component = guest::component().display();
        text += &format!(
            "[plugins.{plugin}]\ncomponent = \"{component}\"\nsettings = {{ {settings} }}\n{more}\n"
        );
    }
    text
}

async fn rig(tables: String) -> Rig {
    // The guest is compiled once for all tests.
    let cache = repository::target().join("gateway/cache");
    let server = format!("workers = 1\ncache = {cache:?}");
    Rig::with(Change { tables, server, ..Change::default() }).await
}

fn body(rig: &Rig) -> String {
    String::from_utf8(rig.arrived().last().unwrap().body.to_vec()).unwrap()
}

const PATIENT: &str = r#"{"resourceType" : "Patient", "id":"1", "x": 1.50 }"#;

#[tokio::test]
async fn what_is_written_passes_plugins_and_its_answer_the_other_way_round() {
    let mark = |name: &str| format!("act = \"append\", text = ',\"{name}\":1'");
    let (a, b) = (mark("a"), mark("b"));
    let rig = rig(route("w", "", &[("a", &a, ""), ("b", &b, "")])).await;
    let stored = r#"{"resourceType":"Patient","id":"1","meta":{"versionId":"3"}}"#;
    let answer =
        Answer::json(201, stored).header("Location", "http://elsewhere/secret").header("ETag", "W/\"9\"");
    rig.standin.always("*", "/fhir/*", answer);
    for (method, target) in
        [("POST", "/w/Patient"), ("PUT", "/w/Patient/1"), ("PUT", "/w/Patient?identifier=x")]
    {
        for (prefer, shown) in [("", true), ("return=representation", true), ("return=minimal", false)] {
            let ask = Ask::json(method, target, PATIENT).header("Prefer", prefer);
            let reply = rig.send(ask).await;
            assert_eq!((reply.status, reply.whole), (201, true), "{reply:?}");
            let marked = PATIENT.strip_suffix('}').unwrap().to_owned() + r#","a":1,"b":1}"#;
            assert_eq!(body(&rig), marked, "{target}");
            let sent = rig.arrived().pop().unwrap();
            assert_eq!(sent.header("prefer"), Some("return=representation"), "{target}");
            let seen = stored.strip_suffix('}').unwrap().to_owned() + r#","b":1,"a":1}"#;
            assert_eq!(reply.text(), if shown { seen } else { String::new() }, "{target}");
            let location = format!("{}/w/Patient/1/_history/3", rig.gateway.url());
            assert_eq!(reply.header("location"), Some(location.as_str()));
            assert_eq!(reply.header("etag"), Some("W/\"3\""));
        }
    }
    let reply =
        rig.send(Ask::json("PUT", "/w/Patient/1", PATIENT).header("Prefer", "return=OperationOutcome")).await;
    assert_eq!(reply.code(), "informational");
}

#[tokio::test]
async fn a_write_keeps_its_conditions() {
    let rig = rig(route("w", "", &[("keep", "act = \"keep\"", "")])).await;
    rig.standin.always("*", "/fhir/*", Answer::json(200, PATIENT));
    for (method, target, header, value) in [
        ("PUT", "/w/Patient/1", "If-Match", "W/\"3\""),
        ("PUT", "/w/Patient/1", "If-None-Match", "*"),
        ("POST", "/w/Patient", "If-None-Exist", "identifier=x"),
        ("DELETE", "/w/Patient/1", "If-Match", "W/\"3\""),
    ] {
        let body = if method == "DELETE" { "" } else { PATIENT };
        let ask = if body.is_empty() { Ask::new(method, target) } else { Ask::json(method, target, body) };
        let reply = rig.send(ask.header(header, value)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let sent = rig.arrived().pop().unwrap();
        assert_eq!(sent.header(&header.to_ascii_lowercase()), Some(value), "{method}");
    }
}

/// A body that no plugin wants is not read: what plugins would refuse of it passes.
#[tokio::test]
async fn what_no_plugin_wants_streams() {
    let wants = "act = \"panic\", types = [\"Observation\"]";
    let rig = rig(route("w", "", &[("narrow", wants, "")])).await;
    rig.standin.always("*", "/fhir/*", Answer::json(201, PATIENT).header("ETag", "W/\"1\""));
    let reply = rig.send(Ask::json("POST", "/w/Patient", PATIENT)).await;
    assert_eq!((reply.status, body(&rig).as_str()), (201, PATIENT), "{reply:?}");
    let patch =
        Ask::new("PATCH", "/w/Patient/1").header("Content-Type", "application/json-patch+json").body("[]");
    assert_eq!(rig.send(patch).await.status, 201);
    let before = rig.arrived().len();
    let observation = r#"{"resourceType":"Observation"}"#;
    rig.send(Ask::json("POST", "/w/Observation", observation)).await.assert_outcome(
        500,
        "exception",
        "wanted",
    );
    assert_eq!(rig.arrived().len(), before);
}

fn entry(method: &str, url: &str, resource: Option<&str>) -> String {
    let resource = resource.map_or(String::new(), |resource| format!("\"resource\": {resource} , "));
    format!(r#"{{ {resource}"request":{{"method":"{method}","url":"{url}"}}}}"#)
}

fn bundle(kind: &str, entries: &[String]) -> String {
    format!(r#"{{"resourceType":"Bundle", "type":"{kind}" ,"entry":[ {} ],"x":0.10}}"#, entries.join(" , "))
}

const OUTCOME: &str = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"forbidden","diagnostics":"of its own"}]}"#;

#[tokio::test]
async fn entries_are_refused_one_by_one_and_transactions_as_a_whole() {
    let refuse =
        format!("act = \"refuse-if\", text = '\"bad\"', direction = \"to-server\", outcome = '{OUTCOME}'");
    let rig = rig(route("w", "", &[("refuse", &refuse, "")])).await;
    let good = |n: u8| format!(r#"{{"resourceType":"Patient","n":{n}.0}}"#);
    let bad = r#"{"resourceType":"Patient","bad":1}"#;
    let patch = r#"{"resourceType":"Binary","contentType":"application/json-patch+json","data":"W10="}"#;
    let entries = [
        entry("POST", "Patient", Some(&good(0))),
        entry("POST", "Patient", Some(bad)),
        entry("GET", "Patient?name=x", None),
        entry("PATCH", "Patient/1", Some(patch)),
        entry("PUT", "Patient/1", Some(&good(4))),
    ];
    let says = |n: usize| json!({"response": {"status": "200 OK", "etag": n.to_string()}});
    let answer =
        json!({"resourceType": "Bundle", "type": "batch-response", "entry": [says(0), says(2), says(4)]});
    rig.standin.always("POST", "/fhir/", Answer::json(200, answer.to_string()));
    let reply = rig.send(Ask::json("POST", "/w", bundle("batch", &entries))).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let sent: Vec<_> = [0, 2, 4].map(|n: usize| entries[n].clone()).into();
    assert_eq!(body(&rig), bundle("batch", &sent));
    let found = reply.json()["entry"].as_array().unwrap().clone();
    assert_eq!((&found[0], &found[2], &found[4]), (&says(0), &says(2), &says(4)), "{found:?}");
    assert_eq!(found[1]["response"]["status"], "422 Unprocessable Entity");
    assert_eq!(found[1]["response"]["outcome"], serde_json::from_str::<Value>(OUTCOME).unwrap());
    assert_eq!(found[3]["response"]["status"], "405 Method Not Allowed");
    let before = rig.arrived().len();
    let reply = rig.send(Ask::json("POST", "/w", bundle("transaction", &entries[..3]))).await;
    assert_eq!((reply.status, reply.text().as_str()), (422, OUTCOME));
    let reply = rig.send(Ask::json("POST", "/w", bundle("batch", &entries[1..2]))).await;
    assert_eq!(reply.json()["entry"][0]["response"]["status"], "422 Unprocessable Entity", "{reply:?}");
    assert_eq!(rig.arrived().len(), before, "nothing of it is sent");
    let single = rig.send(Ask::json("POST", "/w/Patient", bad)).await;
    assert_eq!((single.status, single.text().as_str()), (422, OUTCOME));
    assert_eq!(rig.arrived().len(), before);
}

#[tokio::test]
async fn the_answers_to_entries_pass_plugins_in_their_places() {
    let hide = "act = \"refuse-if\", text = 'nothing'";
    let rig =
        rig(route("w", "", &[("see", hide, ""), ("mark", "act = \"append\", text = ',\"m\":1'", "")])).await;
    let secret = "MARKER7391";
    let answer = json!({"resourceType": "Bundle", "type": "transaction-response", "id": secret, "entry": [
        {"fullUrl": secret, "resource": {"resourceType": "Patient", "id": "1", "meta": {"versionId": "2"}},
         "response": {"status": "201 Created", "location": secret, "etag": secret}},
        {"response": {"status": "404 Not Found", "outcome": {"resourceType": "OperationOutcome", "id": secret}}},
        {"response": {"status": "204 No Content", "location": secret}}]});
    rig.standin.always("POST", "/fhir/", Answer::json(200, answer.to_string()));
    let entries = [
        entry("POST", "Patient", Some(r#"{"resourceType":"Patient"}"#)),
        entry("GET", "Patient/7", None),
        entry("DELETE", "Patient/8", None),
    ];
    let reply = rig.send(Ask::json("POST", "/w", bundle("transaction", &entries))).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(!reply.text().contains(secret), "{reply:?}");
    let found = reply.json();
    assert_eq!(found["type"], "transaction-response");
    let url = format!("{}/w/Patient/1", rig.gateway.url());
    let first = json!({"fullUrl": url,
        "resource": {"resourceType": "Patient", "id": "1", "meta": {"versionId": "2"}, "m": 1},
        "response": {"status": "201", "location": "Patient/1/_history/2", "etag": "W/\"2\""}});
    assert_eq!(found["entry"][0], first);
    assert_eq!(found["entry"][1]["response"]["outcome"]["issue"][0]["code"], "not-found");
    assert_eq!(found["entry"][2], json!({"response": {"status": "204"}}));
    let search = [entry("GET", "Patient?name=x", None)];
    let reply = rig.send(Ask::json("POST", "/w", bundle("transaction", &search))).await;
    reply.assert_outcome(400, "not-supported", "a search in a Bundle");
}

/// Whatever a plugin makes of what is to be written, nothing is sent unless it could have been sent before.
#[tokio::test]
async fn a_hostile_plugin_writes_nothing() {
    let acts = [
        ("panic", "act = \"panic\""),
        ("toofew", "act = \"too-few\""),
        ("range", "act = \"out-of-range\""),
        ("nojson", "act = \"edits\""),
        ("drop", "act = \"drop\""),
        ("type", "act = \"say\", text = '{\"resourceType\":\"Group\",\"id\":\"1\"}'"),
        ("id", "act = \"say\", text = '{\"resourceType\":\"Patient\",\"id\":\"2\"}'"),
        ("noid", "act = \"say\", text = '{\"resourceType\":\"Patient\"}'"),
        ("twice", "act = \"say\", text = '{\"resourceType\":\"Patient\",\"id\":\"1\",\"a\":1,\"a\":2}'"),
        ("more", "act = \"say\", text = '{\"resourceType\":\"Patient\",\"id\":\"1\"}{}'"),
        ("refers", "act = \"append\", text = ',\"link\":[{\"other\":{\"reference\":\"Patient?name=x\"}}]'"),
    ];
    let list = "search_parameters = [\"identifier\"]";
    let tables = acts.map(|(name, settings)| route(name, list, &[(name, settings, "")])).concat();
    let rig = rig(tables).await;
    rig.standin.always("*", "/fhir*", Answer::json(200, PATIENT));
    let entries = [entry("PUT", "Patient/1", Some(PATIENT))];
    for (name, _) in acts {
        rig.send(Ask::json("PUT", &format!("/{name}/Patient/1"), PATIENT)).await.assert_outcome(
            500,
            "exception",
            name,
        );
        for kind in ["batch", "transaction"] {
            let ask = Ask::json("POST", &format!("/{name}"), bundle(kind, &entries));
            rig.send(ask).await.assert_outcome(500, "exception", name);
        }
    }
    assert!(rig.arrived().is_empty(), "{:?}", rig.arrived());
    rig.assert_serving().await;
}

#[tokio::test]
async fn what_plugins_cannot_see_is_refused_where_they_want_to() {
    let rig = rig(route("w", "", &[("keep", "act = \"keep\"", "")])).await;
    for (case, ask, status, code) in [
        (
            "a patch",
            Ask::new("PATCH", "/w/Patient/1").header("Content-Type", "application/json-patch+json"),
            405,
            "not-supported",
        ),
        (
            "FHIRPath",
            Ask::new("PATCH", "/w/Patient/1").header("Content-Type", "application/fhir+json"),
            405,
            "not-supported",
        ),
        ("a file", Ask::new("POST", "/w/Binary").header("Content-Type", "image/png"), 415, "not-supported"),
        (
            "XML",
            Ask::new("POST", "/w/Patient").header("Content-Type", "application/fhir+xml"),
            415,
            "not-supported",
        ),
        ("another type", Ask::json("POST", "/w/Patient", r#"{"resourceType":"Group"}"#), 400, "invalid"),
        ("no type", Ask::json("POST", "/w/Patient", "{}"), 400, "invalid"),
        ("no JSON", Ask::json("POST", "/w/Patient", "{"), 400, "structure"),
    ] {
        let ask = if case == "another type" || case.starts_with("no ") { ask } else { ask.body("{}") };
        rig.send(ask).await.assert_outcome(status, code, case);
    }
    assert!(rig.arrived().iter().all(|request| !request.complete), "{:?}", rig.arrived());
}

/// What a client has read with gaps must not be written back.
#[tokio::test]
async fn routes_that_would_be_unsafe_are_refused_at_the_start() {
    let started = |tables: String| {
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
             [upstreams.hapi]\nurl = \"http://127.0.0.1:1/fhir\"\n{tables}"
        );
        Gateway::start(&config)
    };
    for (more, settings, said) in [
        ("", "direction = \"to-client\"", "would be written back with its gaps"),
        ("", "phases = [\"written\"]", "directory ="),
    ] {
        let refused = started(route("w", more, &[("p", settings, "")])).unwrap_err().to_string();
        assert!(refused.contains(said) && refused.contains("route w: the plugin p"), "{refused}");
        started(route("w", "read_only = true", &[("p", settings, "")])).unwrap();
    }
    for more in ["", "read_only = true"] {
        let refused =
            started(route("w", more, &[("p", "phases = [\"ingest\"]", "")])).unwrap_err().to_string();
        assert!(refused.contains("route w: the plugin p wants messages alone"), "{refused}");
    }
}

/// Another component than the one that is meant is not run.
#[test]
fn a_component_is_the_one_whose_digest_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let check = |digest: &str| {
        let config = "[upstreams.hapi]\nurl = \"http://127.0.0.1:1/fhir\"\n".to_owned()
            + &route("w", "", &[("p", "act = \"keep\"", digest)]);
        std::fs::write(folder.path().join("fireguard.toml"), config).unwrap();
        let mut command = std::process::Command::new(gateway::binary().unwrap());
        let output = command.arg("check").current_dir(folder.path()).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (good, said) = check("");
    assert!(!good && said.contains("plugin p has no digest"), "{said}");
    let found = said.split("digest = \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let (good, said) = check(&format!("digest = \"{found}\""));
    assert!(good, "{said}");
    let wrong = format!("sha256:{}", "0".repeat(64));
    let (good, said) = check(&format!("digest = \"{wrong}\""));
    assert!(!good && said.contains("plugin p") && said.contains(&found) && said.contains(&wrong), "{said}");
}

async fn get(rig: &Rig, target: &str) -> Reply {
    rig.get(target).await
}

#[tokio::test]
async fn a_changed_request_is_the_one_that_is_asked() {
    let add = "phases = [\"request\"], request = \"change\", add = [[\"_tag\", \"s|a&b\"]]";
    let rig = rig(route("r", "read_only = true", &[("add", add, "")])).await;
    let link = format!("{}/Patient?name=x&_tag=s%7Ca%26b", rig.standin.base_url());
    let found =
        json!({"resourceType": "Bundle", "type": "searchset", "link": [{"relation": "self", "url": link}]});
    rig.standin.always("*", "/fhir/*", Answer::json(200, found.to_string()));
    let reply = get(&rig, "/r/Patient?name=x").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(rig.arrived()[0].target, "/fhir/Patient?name=x&_tag=s%7Ca%26b");
    // What the client is told is what it asked for.
    assert_eq!(reply.json()["link"][0]["url"], format!("{}/r/Patient?name=x", rig.gateway.url()));
    let reply = rig.send(Ask::form("/r/Patient/_search", "name=x")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(body(&rig), "name=x&_tag=s%7Ca%26b");
}

/// A hostile plugin cannot make another request of one, however it tries.
#[tokio::test]
async fn a_request_is_retargeted_by_nobody_without_the_grant() {
    let heads = [
        ("id", "head = { id = \"2\" }"),
        ("noid", "head = { id = false }"),
        ("odd", "head = { id = \"../1\" }"),
        ("type", "head = { resource_type = \"Group\" }"),
        ("version", "head = { version_id = \"1\" }"),
        ("operation", "head = { operation = \"$everything\" }"),
        ("pid", "add = [[\"_pid\", \"1\"]]"),
        ("format", "add = [[\"_format\", \"xml\"]]"),
        ("name", "add = [[\"a b\", \"1\"]]"),
        ("unlisted", "add = [[\"name\", \"x\"]]"),
        ("header", "head = { headers = [[\"authorization\", \"x\"]] }"),
        ("twice", "head = { headers = [[\"prefer\", \"a\"], [\"prefer\", \"b\"]] }"),
    ];
    let list = "search_parameters = [\"identifier\"]";
    let settings = |head: &str| format!("phases = [\"request\"], request = \"change\", {head}");
    let mut tables = String::new();
    for (name, head) in heads {
        tables += &route(name, list, &[(name, &settings(head), "")]);
    }
    tables += &route("granted", list, &[("granted", &settings(heads[0].1), "grants.retarget = true")]);
    tables += &route("passed", list, &[("passed", &settings(heads[0].1), "on_failure = \"pass\"")]);
    let rig = rig(tables).await;
    rig.standin.always("*", "/fhir/*", Answer::json(200, PATIENT));
    for (name, _) in heads {
        for ask in
            [Ask::get(&format!("/{name}/Patient/1")), Ask::new("DELETE", &format!("/{name}/Patient/1"))]
        {
            rig.send(ask).await.assert_outcome(500, "exception", name);
        }
    }
    assert!(rig.arrived().is_empty(), "{:?}", rig.arrived());
    assert_eq!(get(&rig, "/granted/Patient/1").await.status, 200);
    assert_eq!(get(&rig, "/passed/Patient/1").await.status, 200);
    let paths: Vec<_> = rig.arrived().iter().map(|request| request.path().to_owned()).collect();
    assert_eq!(paths, ["/fhir/Patient/2", "/fhir/Patient/1"]);
}

#[tokio::test]
async fn a_plugin_answers_in_place_of_the_server() {
    let answer = |more: &str| format!("phases = [\"request\"], request = \"answer\", {more}");
    let own = answer(
        "body = '{\"resourceType\":\"Patient\",\"id\":\"own\"}', headers = [[\"etag\", \"W/\\\"7\\\"\"]]",
    );
    let bad = [
        ("status", answer("status = 199")),
        ("status2", answer("status = 600")),
        ("header", answer("headers = [[\"set-cookie\", \"x\"]]")),
        ("split", answer("headers = [[\"etag\", \"a\\r\\nb: c\"]]")),
        ("body", answer("body = 'hello'")),
        ("list", answer("body = '[]'")),
    ];
    let mut tables = route("own", "read_only = true", &[("own", &own, "")]);
    // The plugin before it sees its answer like one of the server.
    tables += &route(
        "seen",
        "read_only = true",
        &[("mark", "act = \"append\", text = ',\"m\":1'", ""), ("own2", &own, "")],
    );
    tables += &route("gone", "", &[("gone", &answer("status = 410"), "")]);
    tables += &route("no", "", &[("no", "phases = [\"request\"], request = \"refuse\"", "")]);
    for (name, settings) in &bad {
        tables += &route(name, "", &[(name, settings, "")]);
    }
    let rig = rig(tables).await;
    let reply = get(&rig, "/own/Patient/1").await;
    assert_eq!((reply.status, reply.header("etag")), (200, Some("W/\"7\"")), "{reply:?}");
    assert_eq!(reply.json(), json!({"resourceType": "Patient", "id": "own"}));
    assert_eq!(get(&rig, "/seen/Patient/1").await.json()["m"], 1);
    assert_eq!(get(&rig, "/gone/Patient/1").await.status, 410);
    let refused = get(&rig, "/no/Patient/1").await;
    refused.assert_outcome(422, "forbidden", "refused");
    assert!(refused.diagnostics().starts_with("no "), "{refused:?}");
    for (name, _) in &bad {
        get(&rig, &format!("/{name}/Patient/1")).await.assert_outcome(500, "exception", name);
    }
    assert!(rig.arrived().is_empty(), "{:?}", rig.arrived());
}

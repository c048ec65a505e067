//! Hostile plugins: whatever one does, nothing that it should have changed is seen, and Fireguard goes on.

use std::time::{Duration, Instant};

use fireguard_test_support::standin::Answer;
use fireguard_test_support::{guest, repository};
use serde_json::json;

use crate::http::Ask;
use crate::rig::{Change, Rig};

const MARKER: &str = "MARKER7391";
/// What the guest says where it must not be repeated. Its standard error is in the log on level debug.
const GUEST_MARKER: &str = "guest-text-7391";

/// Acts that are failures of the plugin.
const FAILURES: [&str; 15] = [
    "panic",
    "exit",
    "loop",
    "loop-in-host",
    "sleep",
    "bomb",
    "recursion",
    "too-few",
    "too-many",
    "out-of-range",
    "reversed",
    "overlap",
    "huge-list",
    // Makes of the resource what is no JSON.
    "edits",
    // And of a Patient what has no type.
    "replace",
];

/// A plugin and a route of the same name.
pub(crate) fn route(name: &str, act: &str, more: &str) -> String {
    let component = guest::component().display();
    format!(
        "[routes.{name}]\npath = \"/{name}\"\nupstream = \"hapi\"\nauthentication = \"none\"\nread_only = true\nplugins = [\"{name}\"]\n\
         [plugins.{name}]\ncomponent = \"{component}\"\nsettings = {{ act = \"{act}\" }}\n{more}\n"
    )
}

/// A server whose every answer bears the marker.
async fn rig(tables: String, limits: &str) -> Rig {
    // The guest is compiled once for all tests.
    let server = format!("cache = {:?}", repository::target().join("gateway/cache"));
    let rig = Rig::with(Change { tables, server, limits: limits.to_owned(), ..Change::default() }).await;
    rig.standin.always("*", "/fhir/Patient*", Answer::json(200, searchset(3)).chunked());
    rig.standin.always("GET", "/fhir/Patient/1", Answer::json(200, patient().to_string()));
    rig
}

fn patient() -> serde_json::Value {
    json!({"resourceType": "Patient", "id": "1", "name": [{"family": MARKER}]})
}

fn searchset(entries: usize) -> String {
    let entry = json!({"fullUrl": "urn:x", "resource": patient(), "search": {"mode": "match"}});
    json!({"resourceType": "Bundle", "type": "searchset", "entry": vec![entry; entries]}).to_string()
}

fn searches(route: &str) -> [Ask; 3] {
    [
        Ask::get(&format!("/{route}/Patient/1")),
        Ask::get(&format!("/{route}/Patient?active=true")),
        Ask::form(&format!("/{route}/Patient/_search"), "active=true"),
    ]
}

#[track_caller]
fn assert_tells_nothing(rig: &Rig) {
    let log = rig.gateway.log();
    let told = log.lines().find(|line| line.contains(MARKER));
    assert_eq!(told, None);
}

#[tokio::test]
async fn a_plugin_that_fails_refuses_the_exchange() {
    let tables = FAILURES.iter().map(|act| route(act, act, "wall_per_call = \"500ms\"")).collect();
    let rig = rig(tables, "").await;
    for act in FAILURES {
        for ask in searches(act) {
            let reply = rig.send(ask).await;
            reply.assert_outcome(500, "exception", act);
            for secret in [MARKER, GUEST_MARKER] {
                assert!(!format!("{reply:?}").contains(secret), "{act}: {reply:?}");
            }
        }
        rig.assert_serving().await;
    }
    assert_tells_nothing(&rig);
    let metrics = rig.metrics().await;
    for act in FAILURES {
        let count = format!("fireguard_plugin_calls_total{{plugin=\"{act}\",phase=\"resources\",outcome=");
        assert!(metrics.contains(&count), "{act}: {metrics}");
    }
    assert!(!metrics.contains(MARKER));
}

#[tokio::test]
async fn with_pass_the_exchange_goes_on_as_if_it_were_not_there() {
    let acts = ["panic", "loop", "bomb", "too-few", "out-of-range", "edits", "replace"];
    let more = "wall_per_call = \"500ms\"\non_failure = \"pass\"";
    let rig = rig(acts.iter().map(|act| route(act, act, more)).collect(), "").await;
    for act in acts {
        for ask in searches(act) {
            let reply = rig.send(ask).await;
            assert_eq!((reply.status, reply.whole), (200, true), "{act}: {reply:?}");
            match reply.json()["entry"].as_array() {
                None => assert_eq!(reply.json(), patient(), "{act}"),
                Some(entries) => {
                    let all = entries.iter().all(|entry| entry["resource"] == patient());
                    assert!(all && entries.len() == 3, "{act}: {reply:?}");
                }
            }
        }
    }
    assert_tells_nothing(&rig);
}

/// A call that fails is made once more, and then refuses like any other.
#[tokio::test]
async fn with_retry_it_is_asked_once_more() {
    let rig = rig(route("panic", "panic", "on_failure = \"retry\""), "").await;
    rig.get("/panic/Patient/1").await.assert_outcome(500, "exception", "again and again");
    let metrics = rig.metrics().await;
    for (line, many) in [
        ("fireguard_plugin_instances_total{plugin=\"panic\"}", 2),
        ("fireguard_plugin_failures_total{plugin=\"panic\",kind=\"trap\"}", 1),
    ] {
        assert!(metrics.contains(&format!("{line} {many}\n")), "{line}: {metrics}");
    }
    assert_tells_nothing(&rig);
}

/// What a plugin answers on purpose is no failure: `on_failure` changes nothing about it.
#[tokio::test]
async fn drop_and_refuse_are_obeyed() {
    for more in ["on_failure = \"refuse\"", "on_failure = \"pass\""] {
        let rig = rig(route("drop", "drop", more) + &route("refuse", "refuse", more), "").await;
        let reply = rig.get("/drop/Patient/1").await;
        reply.assert_outcome(404, "not-found", "a dropped resource is as if it were not there");
        rig.standin.next("GET", "/fhir/Patient/1", [Answer::outcome(404, "not-found")]);
        let truly = rig.get("/drop/Patient/1").await;
        let without_id = |reply: &crate::http::Reply| {
            let text = reply.text();
            text.split(" (request ").next().unwrap().to_owned()
        };
        assert_eq!(without_id(&reply), without_id(&truly), "it tells that something was there");
        for ask in &searches("drop")[1..] {
            let reply = rig.send(ask.clone()).await;
            assert_eq!((reply.status, reply.whole), (200, true));
            let bundle = reply.json();
            assert!(bundle.get("entry").is_none() && bundle.get("total").is_none(), "{bundle}");
        }
        for ask in searches("refuse") {
            let reply = rig.send(ask).await;
            reply.assert_outcome(422, "business-rule", "refused");
            assert!(!reply.text().contains(MARKER));
        }
        assert_tells_nothing(&rig);
    }
}

#[tokio::test]
async fn a_resource_stays_of_its_type() {
    let settings = "settings = { act = \"say\", text = '{\"resourceType\":\"Practitioner\",\"id\":\"1\"}' }";
    let tables = route("other", "", "").replace("settings = { act = \"\" }", settings);
    let rig = rig(tables, "").await;
    for ask in searches("other") {
        let reply = rig.send(ask).await;
        reply.assert_outcome(500, "exception", "another type");
        assert!(!reply.text().contains("Practitioner"));
    }
}

/// The first entries have left when a later one makes the plugin fail: then nothing may end cleanly.
#[tokio::test]
async fn a_failure_after_the_first_entries_aborts() {
    let rig = rig(route("panic", "panic", ""), "").await;
    // The one resource that the guest lets pass.
    let calm = r#"{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"calm":true}}"#;
    let body = format!("{calm},{{\"resource\":{}}}]}}", patient());
    let pause = Duration::from_millis(500);
    rig.standin.next("GET", "/fhir/Patient", [Answer::json(200, body).chunked().drip(calm.len(), pause)]);
    let reply = rig.get("/panic/Patient").await;
    // Should both pieces arrive as one, it is refused before its head.
    assert!(!reply.whole || reply.status == 500, "{reply:?}");
    assert!(!format!("{reply:?}").contains(MARKER), "{reply:?}");
    assert_tells_nothing(&rig);
    rig.assert_serving().await;
}

#[tokio::test]
async fn a_resource_over_the_limit_is_not_passed_by() {
    let rig = rig(route("keep", "keep", ""), "resource = \"64KiB\"").await;
    let large = patient().to_string().replace(MARKER, &MARKER.repeat(10_000));
    rig.standin.next("GET", "/fhir/Patient/1", [Answer::json(200, large.clone())]);
    rig.get("/keep/Patient/1").await.assert_outcome(502, "exception", "a resource over the limit");
    let entry = format!("{{\"resource\":{large}}}");
    let small = format!("{{\"resource\":{}}}", patient());
    let bundle = format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{small},{entry}]}}"#);
    rig.standin.next("GET", "/fhir/Patient", [Answer::json(200, bundle)]);
    let reply = rig.get("/keep/Patient").await;
    assert!(!reply.whole || reply.status == 502, "{} ended cleanly", reply.status);
    assert!(!reply.text().contains(&MARKER.repeat(2)));
    rig.standin.next("GET", "/fhir/Patient/1", [Answer::json(200, large)]);
    assert_eq!(rig.get("/fhir/Patient/1").await.status, 200, "without plugins there is no such limit");
    assert_tells_nothing(&rig);
}

/// A link that is left out would make its page look like the last one.
#[tokio::test]
async fn page_links_that_cannot_be_understood_are_a_502() {
    let rig = rig(route("keep", "keep", ""), "").await;
    let base = rig.standin.base_url();
    let with = |url: &str| {
        let link = json!([{"relation": "next", "url": url}]);
        json!({"resourceType": "Bundle", "type": "searchset", "link": link, "entry": [{"resource": patient()}]})
    };
    for url in [
        "http://elsewhere.example/fhir?_getpages=a&_getpagesoffset=2".to_owned(),
        format!("{base}x?_getpages=a&_getpagesoffset=2"),
        format!("{base}/Patient?name={MARKER}"),
        format!("{base}/Patient?ct={MARKER}"),
        format!("{base}?_getpages={MARKER}&_getpages=b"),
        format!("{base}/../admin?_getpages=a"),
        "?_getpages=a".to_owned(),
        "javascript:alert(1)".to_owned(),
        String::new(),
    ] {
        rig.standin.next("GET", "/fhir/Patient", [Answer::json(200, with(&url).to_string())]);
        let reply = rig.get("/keep/Patient").await;
        reply.assert_outcome(502, "exception", &url);
        assert!(!reply.text().contains(MARKER), "{reply:?}");
    }
    let good = format!("{base}?_getpages=a&_getpagesoffset=2&_count=2&_bundletype=searchset");
    rig.standin.next("GET", "/fhir/Patient", [Answer::json(200, with(&good).to_string())]);
    let reply = rig.get("/keep/Patient").await;
    assert_eq!(reply.status, 200);
    let next = reply.json()["link"][0]["url"].as_str().unwrap().to_owned();
    assert!(
        next.starts_with(&format!("{}/keep", rig.gateway.url()))
            && next.contains("?_page=")
            && !next.contains("_getpages"),
        "{next}"
    );
    assert_tells_nothing(&rig);
}

/// Error texts of the server quote what they refused: behind plugins they are replaced.
#[tokio::test]
async fn the_server_s_own_words_do_not_pass_plugins() {
    let rig = rig(route("keep", "keep", ""), "").await;
    let words = json!({"resourceType": "OperationOutcome", "issue": [{"severity": "error",
        "code": "processing", "diagnostics": MARKER}]});
    for (status, expected, code) in [
        (400, 400, "processing"),
        (404, 404, "not-found"),
        (410, 404, "not-found"),
        (412, 412, "processing"),
        (422, 422, "processing"),
        (429, 429, "throttled"),
        (500, 502, "exception"),
        (503, 503, "throttled"),
    ] {
        let answer =
            Answer::json(status, words.to_string()).header("Warning", &format!("199 - \"{MARKER}\""));
        rig.standin.always("GET", "/fhir/Patient/2", answer);
        let reply = rig.get("/keep/Patient/2").await;
        reply.assert_outcome(expected, code, &status.to_string());
        assert!(!format!("{reply:?}").contains(MARKER), "{reply:?}");
    }
    assert_tells_nothing(&rig);
}

/// Health answers, and so do other requests on the same cores, while plugins take all the time they may.
#[tokio::test]
async fn health_and_others_are_answered_while_plugins_loop_on_every_core() {
    let rig = rig(route("loop", "loop", "cpu_per_call = \"1s\"\nwall_per_call = \"60s\""), "").await;
    let address = rig.gateway.listen().to_owned();
    let looping: Vec<_> = (0..8)
        .map(|_| {
            let address = address.clone();
            tokio::spawn(async move { Ask::get("/loop/Patient/1").send(&address).await })
        })
        .collect();
    assert!(
        rig.standin
            .received(|r| r.iter().filter(|r| r.answered && r.path().ends_with("/1")).count() == 8)
            .await
    );
    let admin = rig.gateway.admin_url();
    let mut soon = 0;
    for _ in 0..20 {
        let asked = Instant::now();
        let live = Ask::get("/live").send(admin.trim_start_matches("http://")).await;
        assert_eq!((live.status, live.text().as_str()), (200, "live\n"));
        soon += usize::from(asked.elapsed() < Duration::from_millis(50));
    }
    // A machine that does other things at the same time may hold up one or the other.
    assert!(soon >= 10, "only {soon} of 20 answers in 50 ms");
    rig.assert_serving().await;
    assert!(looping.iter().all(|looping| !looping.is_finished()), "they were done before anybody asked");
    for looping in looping {
        looping.await.unwrap().assert_outcome(500, "exception", "loop");
    }
}

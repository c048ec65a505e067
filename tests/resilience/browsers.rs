//! Pages of other origins in browsers: what is listed may ask and read, nothing else is told anything.

use fireguard_test_support::standin::Answer;

use crate::http::{Ask, Reply};
use crate::rig::{Change, Rig, WELL};

const APP: &str = "https://app.example";
const TARGET: &str = "/app/Patient/well";

/// `/app` is for pages of one origin, `/fhir` for none.
async fn rig(rate: &str) -> Rig {
    let tables = format!(
        "[routes.app]\npath = \"/app\"\nupstream = \"hapi\"\nauthentication = \"none\"\n{rate}\ncors.origins = [\"{APP}\", \"HTTP://localhost:3000\"]\n"
    );
    let rig = Rig::with(Change { tables, ..Change::default() }).await;
    rig.standin.always("GET", "/fhir/Patient/well", Answer::json(200, WELL).header("ETag", "W/\"1\""));
    rig
}

fn from(origin: &str, ask: Ask) -> Ask {
    ask.header("Origin", origin)
}

fn preflight(target: &str, method: &str) -> Ask {
    Ask::new("OPTIONS", target)
        .header("Access-Control-Request-Method", method)
        .header("Access-Control-Request-Headers", "authorization,content-type,if-match,prefer")
}

/// The names in a header that is a list, in lower case.
fn list(reply: &Reply, name: &str) -> Vec<String> {
    let value = reply.header(name).unwrap_or_default();
    value.split(',').map(|name| name.trim().to_ascii_lowercase()).collect()
}

fn told(reply: &Reply) -> Vec<&str> {
    let names = reply.headers.iter().map(|(name, _)| name.as_str());
    names.filter(|name| name.starts_with("access-control-")).collect()
}

#[tokio::test]
async fn a_preflight_is_answered_here_and_costs_nothing() {
    let rig = rig("rate = { per_second = 0.01, burst = 1 }").await;
    for (target, method) in
        [(TARGET, "PUT"), (TARGET, "PATCH"), ("/app", "POST"), ("/app/Nonsense/1", "DELETE")]
    {
        for origin in [APP, "http://localhost:3000"] {
            let reply = rig.send(from(origin, preflight(target, method))).await;
            assert_eq!((reply.status, reply.body.len(), reply.whole), (204, 0, true), "{reply:?}");
            assert_eq!(reply.header("access-control-allow-origin"), Some(origin));
            assert!(list(&reply, "access-control-allow-methods").contains(&method.to_ascii_lowercase()));
            let headers = list(&reply, "access-control-allow-headers");
            for name in
                ["authorization", "content-type", "if-match", "if-none-exist", "prefer", "x-request-id"]
            {
                assert!(headers.contains(&name.to_owned()), "{name}: {headers:?}");
            }
            assert_eq!(list(&reply, "vary"), ["origin"]);
            assert_eq!(reply.header("access-control-allow-credentials"), None);
        }
    }
    assert!(rig.arrived().is_empty());
    assert_eq!(rig.send(from(APP, Ask::get(TARGET))).await.status, 200, "the one request of the burst");
}

#[tokio::test]
async fn pages_of_listed_origins_read_answers_and_errors() {
    let rig = rig("rate = { per_second = 0.01, burst = 3 }").await;
    for (target, status) in [
        (TARGET, 200),
        ("/app/Patient/none", 404),
        ("/app/Patient?_method=x", 400),
        ("/app/Patient/well/$everything/x", 404),
        (TARGET, 200),
        (TARGET, 429),
    ] {
        let reply = rig.send(from(APP, Ask::get(target))).await;
        assert_eq!(reply.status, status, "{target}: {reply:?}");
        assert_eq!(reply.header("access-control-allow-origin"), Some(APP), "{target}");
        assert_eq!(reply.header("access-control-allow-credentials"), None);
        let exposed = list(&reply, "access-control-expose-headers");
        for name in [
            "etag",
            "location",
            "content-location",
            "last-modified",
            "retry-after",
            "x-progress",
            "www-authenticate",
            "x-request-id",
            "ratelimit",
            "ratelimit-policy",
        ] {
            assert!(exposed.contains(&name.to_owned()), "{name}: {exposed:?}");
        }
    }
}

#[tokio::test]
async fn nobody_else_is_told_anything() {
    let rig = rig("").await;
    for origin in [
        "https://evil.example",
        "https://app.example.evil.example",
        "http://app.example",
        "https://app.example:8443",
        "https://app.example/",
        "null",
        "*",
    ] {
        let reply = rig.send(from(origin, Ask::get(TARGET))).await;
        assert_eq!((reply.status, told(&reply)), (200, vec![]), "{origin}");
        assert!(list(&reply, "vary").contains(&"origin".to_owned()), "{origin}: caches keep them apart");
        let reply = rig.send(from(origin, preflight(TARGET, "PUT"))).await;
        assert_eq!((reply.status, told(&reply)), (405, vec![]), "{origin}");
    }
    let twice = from(APP, from("https://evil.example", Ask::get(TARGET)));
    assert_eq!(told(&rig.send(twice).await), Vec::<&str>::new());
    // Without an origin no browser asks for a page.
    let reply = rig.send(Ask::get(TARGET)).await;
    assert_eq!((reply.status, told(&reply)), (200, vec![]));
    for ask in [Ask::new("OPTIONS", TARGET), preflight(TARGET, "PUT")] {
        let reply = rig.send(ask).await;
        assert_eq!((reply.status, told(&reply)), (405, vec![]));
    }
    // A route without a list is as if there were no browsers.
    for ask in [Ask::get("/fhir/Patient/well"), preflight("/fhir/Patient/well", "PUT")] {
        let reply = rig.send(from(APP, ask)).await;
        assert_eq!((told(&reply), reply.header("vary")), (vec![], None), "{reply:?}");
    }
}

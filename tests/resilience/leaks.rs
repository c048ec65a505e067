//! Logs, metrics and error texts hold nothing of what bodies, URLs and tokens say.

use fireguard_test_support::standin::Answer;

use crate::http::Ask;
use crate::rig::{Change, Rig};

const MARKER: &str = "MARKER7391";

/// Everything that can go wrong, with the marker wherever a client or a server can put text.
#[tokio::test]
async fn nothing_that_was_said_is_in_logs_metrics_or_errors() {
    let rig = Rig::with(Change {
        limits: "answer_head = \"200ms\"\nbody_idle = \"200ms\"\nrequest_body = \"1KiB\"".to_owned(),
        tables: "[routes.reading]\npath = \"/reading\"\nupstream = \"hapi\"\nauthentication = \"none\"\nread_only = true\n\
                 search_parameters = [\"name\"]\n"
            .to_owned(),
        ..Change::default()
    })
    .await;
    let hour = std::time::Duration::from_secs(3600);
    let resource = format!(r#"{{"resourceType":"Patient","id":"1","name":[{{"family":"{MARKER}"}}]}}"#);
    let answers: Vec<Answer> = vec![
        Answer::json(200, format!("{{\"{MARKER}\":1,\"{MARKER}\":2")),
        Answer::json(200, format!("{resource}{MARKER}")),
        Answer::json(200, resource.clone()).cut(40),
        Answer::json(200, resource.clone()).chunked().cut_by_reset(40),
        Answer::json(200, resource.clone()).drip(40, hour),
        Answer::html(200, MARKER),
        Answer::html(404, MARKER),
        Answer::html(500, MARKER),
        Answer::status(200).header("Content-Type", &format!("text/plain; name={MARKER}")).body(MARKER),
        Answer::json(302, "{}").header("Location", &format!("http://elsewhere/{MARKER}")),
        Answer::raw(format!("HTTP/1.1 200 {MARKER}\r\nX: {MARKER}\r\n{MARKER}\r\n\r\n{MARKER}")).closing(),
        Answer::raw(format!("{MARKER}\r\n\r\n")).closing(),
        Answer::reset(),
        Answer::silence(),
    ];
    for answer in answers {
        rig.standin.next("GET", "/fhir/Patient/1", [answer]);
        let reply = rig.send(Ask::get("/fhir/Patient/1").header("Authorization", MARKER)).await;
        if reply.status != 200 {
            assert!(!format!("{reply:?}").contains(MARKER), "{reply:?}");
        }
    }
    rig.standin.always("*", "/fhir/*", Answer::json(200, r#"{"resourceType":"Bundle","type":"searchset"}"#));
    let query = format!("name={MARKER}&_count={MARKER}");
    let asks = vec![
        Ask::get(&format!("/fhir/Patient?name={MARKER}")),
        Ask::get(&format!("/fhir/Patient?{query}")),
        Ask::get(&format!("/fhir/Patient?_pid={MARKER}")),
        Ask::get(&format!("/fhir/Patient?name={MARKER}&_summary={MARKER}&_summary={MARKER}")),
        Ask::get(&format!("/fhir/Patient?name=%ff{MARKER}")),
        Ask::get(&format!("/fhir/Patient?_format={MARKER}")),
        Ask::get(&format!("/fhir/Patient/{MARKER}!")),
        Ask::get(&format!("/fhir/Patient/1;{MARKER}")),
        Ask::get(&format!("/fhir/Patient/1/../{MARKER}")),
        Ask::get(&format!("/fhir/Patient?name={}", MARKER.repeat(2000))),
        Ask::get(&format!("/reading/Patient?birthdate={MARKER}")),
        Ask::get(&format!("/fhir?_getpages={MARKER}&_getpages={MARKER}")),
        Ask::form("/fhir/Patient/_search", &query),
        Ask::form("/fhir/Patient/_search", &format!("name=%zz{MARKER}")),
        Ask::form("/reading/Patient/_search", &format!("birthdate={MARKER}")),
        Ask::json("POST", "/fhir/Patient", format!("{{\"{MARKER}\":1,\"{MARKER}\":2}}")),
        Ask::json("POST", "/fhir/Patient", format!("{{\"resourceType\":{MARKER}}}")),
        Ask::json("POST", "/fhir/Patient", format!("{{\"resourceType\":\"{MARKER}\\q\"}}")),
        Ask::json("POST", "/fhir/Patient", MARKER.repeat(1000)),
        Ask::json("POST", "/reading/Patient", resource.clone()),
        Ask::json("POST", "/fhir/Patient", resource.clone())
            .header("If-None-Exist", &format!("name={MARKER}&_pid=1")),
        Ask::json("PUT", "/fhir/Patient/1", resource.clone()).header("If-Match", MARKER),
        Ask::get("/fhir/Patient/1").header("If-Modified-Since", MARKER),
        Ask::get("/fhir/Patient/1").header("Accept", MARKER),
        Ask::get("/fhir/Patient/1").header("Host", &format!("{MARKER}@x")),
        Ask::get("/fhir/Patient/1").header("Upgrade", MARKER),
        Ask::get("/fhir/Patient/1").header("X-HTTP-Method-Override", MARKER),
        Ask::get("/fhir/Patient/1")
            .header("Authorization", &format!("Bearer {MARKER}"))
            .header("Cookie", MARKER),
        Ask::json("POST", "/fhir/Patient", "{}").header("Content-Type", MARKER),
    ];
    for ask in asks {
        let case = format!("{ask:?}").chars().take(120).collect::<String>();
        let reply = rig.send(ask).await;
        let lower = format!("{reply:?}").to_ascii_lowercase();
        assert!(!lower.contains(&MARKER.to_ascii_lowercase()), "{case}: {reply:?}");
    }
    rig.assert_serving().await;
    let log = rig.gateway.logged("fireguard::access").await;
    let told = log.lines().find(|line| line.to_ascii_lowercase().contains(&MARKER.to_ascii_lowercase()));
    assert_eq!(told, None);
    let metrics = rig.metrics().await;
    assert!(metrics.contains("fireguard_requests_total"), "{metrics}");
    assert!(!metrics.to_ascii_lowercase().contains(&MARKER.to_ascii_lowercase()));
}

//! Answers of a server that is broken: what is not FHIR is never passed on, what breaks off never ends cleanly.

use fireguard_test_support::standin::Answer;

use crate::http::Ask;
use crate::rig::{Change, Rig, before};

const TARGET: &str = "/fhir/Patient/1";
const MARKER: &str = "MARKER-stack-trace";

/// A resource of some length, with ASCII only, so that it can be cut anywhere.
fn resource(bytes: usize) -> String {
    format!(r#"{{"resourceType":"Patient","id":"1","x":"{}"}}"#, "y".repeat(bytes))
}

#[tokio::test]
async fn what_is_not_fhir_becomes_an_outcome() {
    let page = format!("<html><body>{MARKER}</body></html>");
    let moved = |status| Answer::json(status, "{}").header("Location", "http://elsewhere.example/fhir");
    let table = [
        ("HTML with 200", Answer::html(200, &page), 502, "exception"),
        ("HTML with 201", Answer::html(201, &page), 502, "exception"),
        ("HTML with 400", Answer::html(400, &page), 400, "processing"),
        ("HTML with 401", Answer::html(401, &page), 401, "processing"),
        ("HTML with 404", Answer::html(404, &page), 404, "processing"),
        ("HTML with 413", Answer::html(413, &page), 413, "processing"),
        ("HTML with 500", Answer::html(500, &page), 502, "exception"),
        ("HTML with 503", Answer::html(503, &page), 502, "exception"),
        ("HTML, chunked", Answer::html(200, &page).chunked(), 502, "exception"),
        ("HTML to the end", Answer::html(200, &page).until_close(), 502, "exception"),
        ("text", Answer::status(200).header("Content-Type", "text/plain").body(MARKER), 502, "exception"),
        ("a part", Answer::json(206, "{}").header("Content-Range", "bytes 0-1/9"), 502, "exception"),
        ("301", moved(301), 502, "exception"),
        ("302", moved(302), 502, "exception"),
        ("303", moved(303), 502, "exception"),
        ("307", moved(307), 502, "exception"),
        ("308", moved(308), 502, "exception"),
        (
            "XML",
            Answer::status(200).header("Content-Type", "application/fhir+xml").body(MARKER),
            502,
            "exception",
        ),
        ("not JSON", Answer::json(200, MARKER), 502, "exception"),
        ("not HTTP", Answer::raw(format!("{MARKER}\r\n\r\n")).closing(), 502, "transient"),
        (
            "two lengths",
            Answer::raw(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\
                 Content-Length: 9\r\n\r\n{{}}{MARKER}"
            ))
            .closing(),
            502,
            "transient",
        ),
    ];
    let rig = Rig::start().await;
    for (case, answer, status, code) in table {
        // Always: what looks like a connection that was closing is tried once more.
        rig.standin.always("GET", TARGET, answer);
        let reply = rig.get(TARGET).await;
        reply.assert_outcome(status, code, case);
        assert!(!format!("{reply:?}").contains(MARKER), "{case}: {reply:?}");
        assert!(!format!("{reply:?}").contains("elsewhere"), "{case}: {reply:?}");
    }
    assert!(!rig.gateway.log().contains(MARKER));
    rig.assert_serving().await;
}

#[tokio::test]
async fn half_an_answer_never_ends_cleanly() {
    let whole = resource(300_000);
    let answer = || Answer::json(200, whole.clone());
    let rig = Rig::start().await;
    for (case, answer) in [
        ("length", answer().cut(200_000)),
        ("length, reset", answer().cut_by_reset(200_000)),
        ("chunked", answer().chunked().cut(200_000)),
        ("chunked, reset", answer().chunked().cut_by_reset(200_000)),
        ("all but one byte", answer().cut(whole.len() - 1)),
        ("all but the last chunk", answer().chunked().cut(whole.len())),
    ] {
        rig.standin.next("GET", TARGET, [answer]);
        let reply = rig.get(TARGET).await;
        // A reset may overtake what was sent before it.
        assert!(!reply.whole || reply.status == 502, "{case}: ended cleanly with {}", reply.status);
        assert!(reply.status == 502 || whole.as_bytes().starts_with(&reply.body), "{case}");
    }
    rig.assert_serving().await;
}

#[tokio::test]
async fn an_answer_that_ends_before_its_first_byte_is_a_502() {
    let rig = Rig::start().await;
    for (case, answer) in [
        ("length", Answer::json(200, resource(10)).cut(0)),
        ("length, reset", Answer::json(200, resource(10)).cut_by_reset(0)),
        ("chunked", Answer::json(200, resource(10)).chunked().cut(0)),
    ] {
        rig.standin.always("GET", TARGET, answer);
        let reply = rig.get(TARGET).await;
        assert_eq!((reply.status, reply.whole), (502, true), "{case}: {reply:?}");
        assert!(reply.diagnostics().contains("broke"), "{case}: {reply:?}");
    }
    for answer in [Answer::close(), Answer::reset()] {
        rig.standin.always("GET", TARGET, answer);
        rig.get(TARGET).await.assert_outcome(502, "transient", "no head");
    }
    rig.assert_serving().await;
}

/// The framing says that all is well, the JSON does not.
#[tokio::test]
async fn truncated_json_never_ends_cleanly() {
    let rig = Rig::start().await;
    let whole = resource(300_000);
    for keep in [1, 30, 200_000, whole.len() - 1] {
        for answer in [
            Answer::json(200, &whole[..keep]),
            Answer::json(200, &whole[..keep]).chunked(),
            Answer::json(200, &whole[..keep]).until_close(),
        ] {
            rig.standin.next("GET", TARGET, [answer]);
            let reply = rig.get(TARGET).await;
            assert!(!reply.whole || reply.status == 502, "{keep}: ended cleanly with {}", reply.status);
        }
    }
    rig.standin.next("GET", TARGET, [Answer::json(200, format!("{whole}{{}}"))]);
    let reply = rig.get(TARGET).await;
    assert!(!reply.whole || reply.status == 502, "a second document passed");
    rig.assert_serving().await;
}

#[tokio::test]
async fn a_server_that_is_down_is_a_502_and_may_come_back() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let gateway = before(&format!("http://{address}/fhir"), &Change::default()).await;
    for ask in [Ask::get(TARGET), Ask::json("POST", "/fhir/Patient", r#"{"resourceType":"Patient"}"#)] {
        let reply = ask.send(gateway.listen()).await;
        reply.assert_outcome(502, "transient", "down");
        assert!(!reply.text().contains(&address.to_string()), "{}", reply.text());
        assert!(!reply.diagnostics().contains("may have been carried out"), "nothing was sent");
    }
    let admin = gateway.admin_url();
    let admin = admin.trim_start_matches("http://");
    assert_eq!(Ask::get("/live").send(admin).await.status, 200);
    assert_eq!(Ask::get("/ready").send(admin).await.status, 503);
}

#[tokio::test]
async fn a_large_answer_streams_whole() {
    let rig = Rig::start().await;
    let whole = resource(8_000_000);
    for answer in [Answer::json(200, whole.clone()), Answer::json(200, whole.clone()).chunked()] {
        rig.standin.next("GET", TARGET, [answer]);
        let reply = rig.get(TARGET).await;
        assert!(reply.whole && reply.status == 200 && reply.body == whole.as_bytes());
    }
}

/// A body without a media type is not shown: nobody can tell what it is.
#[tokio::test]
async fn a_body_without_a_media_type_is_not_passed_on() {
    let rig = Rig::start().await;
    rig.standin.next("GET", TARGET, [Answer::status(200).body(MARKER)]);
    let reply = rig.get(TARGET).await;
    assert!(!reply.text().contains(MARKER), "{reply:?}");
}

/// Somebody's file passes as it is, and never as a page of ours.
#[tokio::test]
async fn content_never_runs_as_a_page() {
    let rig = Rig::start().await;
    let target = "/fhir/Binary/1";
    let page = "<script>alert(1)</script>";
    let attached = "attachment; filename=\"x.png\"";
    for (given, expected) in [
        (None, "attachment"),
        (Some("inline"), "attachment"),
        (Some("inline; filename=\"attachment\""), "attachment"),
        (Some("attachmentx"), "attachment"),
        (Some(attached), attached),
        (Some("Attachment;"), "Attachment;"),
    ] {
        let mut answer = Answer::html(200, page);
        if let Some(given) = given {
            answer = answer.header("Content-Disposition", given);
        }
        rig.standin.next("GET", target, [answer]);
        let reply = rig.send(Ask::get(target).header("Accept", "image/png")).await;
        assert_eq!((reply.status, reply.whole, reply.text().as_str()), (200, true, page));
        assert_eq!(reply.header("content-disposition"), Some(expected), "{given:?}");
        assert_eq!(reply.header("content-security-policy"), Some("sandbox"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    }
    let twice = Answer::html(200, page)
        .header("Content-Disposition", attached)
        .header("Content-Disposition", "inline")
        .header("Content-Type", "text/xml");
    rig.standin.next("GET", target, [twice]);
    let reply = rig.send(Ask::get(target).header("Accept", "image/png")).await;
    let told = |name: &str| reply.headers.iter().filter(|(present, _)| present == name).count();
    assert_eq!((told("content-disposition"), told("content-type")), (1, 1), "{reply:?}");
    assert_eq!(reply.header("content-disposition"), Some(attached));
    rig.standin.next("GET", target, [Answer::status(200).body(page)]);
    let reply = rig.send(Ask::get(target).header("Accept", "image/png")).await;
    assert_eq!((reply.status, reply.header("content-type"), reply.text().as_str()), (200, None, page));
    assert_eq!(reply.header("content-disposition"), Some("attachment"));
    let page = rig.get(TARGET).await;
    assert_eq!(page.status, 404, "elsewhere it is no answer: {page:?}");
}

/// Nobody asked for it, and the client would not hear of it.
#[tokio::test]
async fn an_encoded_answer_is_not_passed_on() {
    let rig = Rig::start().await;
    for (target, accept) in [(TARGET, "application/fhir+json"), ("/fhir/Binary/1", "image/png")] {
        rig.standin.always("GET", target, Answer::json(200, resource(10)).header("Content-Encoding", "gzip"));
        let reply = rig.send(Ask::get(target).header("Accept", accept)).await;
        reply.assert_outcome(502, "exception", target);
        let plain = Answer::json(200, resource(10)).header("Content-Encoding", "identity");
        rig.standin.always("GET", target, plain);
        let reply = rig.send(Ask::get(target).header("Accept", accept)).await;
        assert_eq!((reply.status, reply.header("content-encoding")), (200, None), "{target}");
    }
}

#[tokio::test]
async fn an_answer_without_a_body_names_no_foreign_type() {
    let rig = Rig::start().await;
    rig.standin.always("HEAD", TARGET, Answer::html(200, ""));
    assert_eq!(rig.send(Ask::new("HEAD", TARGET)).await.status, 502, "as GET would be");
    rig.standin.always("DELETE", TARGET, Answer::html(200, ""));
    let reply = rig.send(Ask::new("DELETE", TARGET)).await;
    assert_eq!((reply.status, reply.header("content-type"), reply.body.len()), (200, None, 0));
}

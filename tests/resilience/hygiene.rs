//! Headers: what a client smuggles in stays here, what the server lets slip stays here, and nobody but the
//! operator chooses the address that links name.

use fireguard_test_support::standin::Answer;

use crate::http::Ask;
use crate::rig::{Change, Rig};

const TARGET: &str = "/fhir/Patient/1";
const BODY: &str = r#"{"resourceType":"Patient","id":"1"}"#;

#[tokio::test]
async fn only_what_is_on_the_list_reaches_the_server() {
    let rig = Rig::start().await;
    rig.standin.always("*", TARGET, Answer::json(200, BODY));
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let smuggled = [
        ("X-Cascade", "delete"),
        ("X-Rewrite-History", "1"),
        ("X-Retry-On-Version-Conflict", "retry; max-retries=9"),
        ("X-Security-Context", "x"),
        ("X-Request-Partition-IDs", "1"),
        ("X-Request-Source", "x"),
        ("Cache-Control", "max-results=1"),
        ("X-Upsert-Extistence-Check", "disabled"),
        ("Authorization", "Bearer x"),
        ("Proxy-Authorization", "Basic x"),
        ("Cookie", "a=b"),
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "gopher"),
        ("X-Forwarded-Prefix", "/evil"),
        ("X-Forwarded-Port", "1"),
        ("Forwarded", "for=203.0.113.7;host=evil.example"),
        ("X-Real-IP", "203.0.113.7"),
        ("X-Original-URL", "/fhir/$expunge"),
        ("X-Rewrite-URL", "/fhir/$expunge"),
        ("X-Secret", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("TE", "trailers"),
        ("Trailer", "X-Late"),
        ("Accept-Encoding", "gzip"),
        ("Range", "bytes=0-1"),
        ("Origin", "http://evil.example"),
        ("Referer", "http://evil.example"),
        ("User-Agent", "x"),
        ("X_Forwarded_For", "203.0.113.7"),
    ];
    // The names that Fireguard sets must not be struck out by the client either.
    let nominating = "close, X-Secret, X-Forwarded-For, X-Forwarded-Host, X-Request-Id, Accept";
    for method in ["GET", "PUT"] {
        let mut ask = Ask::new(method, TARGET).header("traceparent", trace).header("Connection", nominating);
        if method == "PUT" {
            ask =
                Ask::json(method, TARGET, BODY).header("traceparent", trace).header("Connection", nominating);
        }
        for (name, value) in smuggled {
            ask = ask.header(name, value);
        }
        assert_eq!(rig.send(ask).await.status, 200);
        let arrived = rig.standin.requests_to(method, TARGET);
        let arrived = arrived.last().unwrap();
        let mut names: Vec<String> =
            arrived.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        names.sort();
        let mut expected = vec![
            "accept",
            "host",
            "traceparent",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-prefix",
            "x-forwarded-proto",
            "x-request-id",
        ];
        if method == "PUT" {
            expected.extend(["content-type", "content-length"]);
            expected.sort_unstable();
        }
        assert_eq!(names, expected, "{method}");
        for (name, value) in [
            ("host", rig.standin.address().to_string()),
            ("x-forwarded-for", "127.0.0.1".to_owned()),
            ("x-forwarded-host", rig.gateway.listen().to_owned()),
            ("x-forwarded-proto", "http".to_owned()),
            ("x-forwarded-prefix", "/fhir".to_owned()),
            ("traceparent", trace.to_owned()),
        ] {
            assert_eq!(arrived.header(name), Some(value.as_str()), "{name}");
        }
    }
}

#[tokio::test]
async fn no_other_method_by_header() {
    let rig = Rig::start().await;
    rig.standin.always("*", "/fhir/*", Answer::json(200, BODY));
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x-http-method-override"] {
        for ask in [Ask::get(TARGET), Ask::form("/fhir/Patient/_search", "name=x")] {
            rig.send(ask.header(name, "DELETE")).await.assert_outcome(400, "not-supported", name);
        }
    }
    let parameter = rig.get("/fhir/Patient?_method=DELETE").await;
    parameter.assert_outcome(400, "not-supported", "_method");
    assert!(rig.arrived().is_empty());
    assert_eq!(rig.send(Ask::new("CONNECT", "evil.example:443")).await.status / 100, 4);
    assert_eq!(rig.send(Ask::new("TRACE", TARGET)).await.status, 405);
    assert!(rig.arrived().is_empty());
}

/// A client may offer another protocol; it is answered in this one, and the server never hears of it.
#[tokio::test]
async fn no_other_protocol() {
    let rig = Rig::start().await;
    rig.standin.always("GET", TARGET, Answer::json(200, BODY));
    for protocol in ["websocket", "h2c", "TLS/1.0"] {
        let ask = Ask::get(TARGET)
            .header("Connection", "Upgrade, HTTP2-Settings, close")
            .header("Upgrade", protocol)
            .header("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        let reply = rig.send(ask).await;
        assert_eq!((reply.status, reply.header("upgrade")), (200, None), "{protocol}");
        let arrived = rig.arrived();
        let names = ["upgrade", "connection", "http2-settings", "sec-websocket-key"];
        assert!(names.iter().all(|name| arrived.last().unwrap().header(name).is_none()), "{arrived:?}");
    }
    rig.standin.always(
        "GET",
        TARGET,
        Answer::raw("HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    );
    let reply = rig.get(TARGET).await;
    assert_eq!(reply.status, 502, "the server switches without having been asked: {reply:?}");
}

#[tokio::test]
async fn what_the_server_lets_slip_stays_here() {
    let slips = [
        ("Connection", "X-Internal, X-Progress"),
        ("X-Internal", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authenticate", "Basic"),
        ("Proxy-Connection", "keep-alive"),
        ("Trailer", "X-Late"),
        ("Upgrade", "h2c"),
        ("Server", "Jetty"),
        ("X-Powered-By", "HAPI FHIR"),
        ("Set-Cookie", "session=1"),
        ("Access-Control-Allow-Origin", "*"),
        ("X-Stack", "at ca.uhn.fhir"),
        ("Location", "http://elsewhere.example/fhir/Patient/1"),
        ("Link", "<http://elsewhere.example/fhir>; rel=\"next\""),
        ("Refresh", "0;url=http://evil.example"),
    ];
    let rig = Rig::start().await;
    let mut answer = Answer::json(200, BODY).header("ETag", "W/\"7\"");
    for (name, value) in slips {
        answer = answer.header(name, value);
    }
    rig.standin.always("GET", TARGET, answer);
    let reply = rig.get(TARGET).await;
    assert_eq!(reply.status, 200);
    for (name, _) in slips.iter().filter(|(name, _)| *name != "Connection") {
        assert_eq!(reply.header(&name.to_ascii_lowercase()), None, "{name}");
    }
    assert_eq!(reply.header("connection"), Some("close"), "ours, not the server's");
    assert_eq!(reply.header("etag"), Some("W/\"7\""));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
}

#[tokio::test]
async fn an_odd_host_is_refused() {
    let rig = Rig::start().await;
    rig.standin.always("*", "/fhir/*", Answer::json(200, BODY));
    for host in [
        "evil.example/path",
        "evil.example/",
        "evil.example/path?x=",
        "evil.example?",
        "evil.example#",
        "user@evil.example",
        "user:pw@evil.example",
        "evil.example:99999",
        "evil.example:0",
        "evil.example:port",
        "evil example",
        "evil.example\"><script>",
        "evil.example\\x",
        "evil%2eexample",
        "[::1",
        "::1",
        "a,b",
        "",
    ] {
        let reply = rig.send(Ask::get(TARGET).header("Host", host)).await;
        assert_eq!(reply.status, 400, "{host}: {reply:?}");
        assert!(!reply.text().contains("evil"), "{host}: {reply:?}");
    }
    let twice = Ask::get(TARGET).header("Host", "a.example").header("Host", "b.example");
    assert_eq!(rig.send(twice).await.status, 400);
    assert!(rig.arrived().is_empty(), "{:?}", rig.arrived());
}

#[tokio::test]
async fn links_name_the_configured_address_whatever_the_host() {
    let rig = Rig::with(Change {
        server: "public_url = \"https://fhir.example.org\"".to_owned(),
        ..Change::default()
    })
    .await;
    let location = format!("{}/Patient/1/_history/1", rig.standin.base_url());
    let body = format!(
        r#"{{"resourceType":"Bundle","type":"searchset","link":[{{"relation":"self","url":"{}/Patient"}}]}}"#,
        rig.standin.base_url()
    );
    rig.standin.always("GET", "/fhir/Patient", Answer::json(200, body).header("Content-Location", &location));
    for ask in [
        Ask::get("/fhir/Patient"),
        Ask::get("/fhir/Patient").header("Host", "evil.example"),
        Ask::get("/fhir/Patient").header("X-Forwarded-Host", "evil.example"),
        Ask::get("http://evil.example/fhir/Patient").header("Host", "evil.example"),
    ] {
        let reply = rig.send(ask).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(
            reply.header("content-location"),
            Some("https://fhir.example.org/fhir/Patient/1/_history/1")
        );
        assert_eq!(reply.json()["link"][0]["url"], "https://fhir.example.org/fhir/Patient");
    }
    for request in rig.arrived() {
        assert_eq!(request.header("x-forwarded-host"), Some("fhir.example.org"));
        assert_eq!(request.header("host"), Some(rig.standin.address().to_string().as_str()));
    }
}

/// Two ways to tell where a body ends are one way to hide a second request.
#[tokio::test]
async fn ambiguous_framing_is_refused() {
    let rig = Rig::start().await;
    rig.standin.always("*", "/fhir/*", Answer::json(200, BODY));
    let post = || Ask::new("POST", "/fhir/Patient").header("Content-Type", "application/fhir+json");
    for (case, ask) in [
        ("two lengths", post().header("Content-Length", "2").header("Content-Length", "3")),
        ("a list of lengths", post().header("Content-Length", "2, 3")),
        ("signed length", post().header("Content-Length", "+2")),
        ("unknown coding", post().header("Transfer-Encoding", "gzip")),
        ("chunked is not last", post().header("Transfer-Encoding", "chunked, identity")),
        ("space before the colon", post().header("Content-Length ", "2")),
        ("folded line", post().header("X-A", "b\r\n c")),
    ] {
        let reply = rig.send(ask).await;
        assert_eq!(reply.status, 400, "{case}: {reply:?}");
    }
    assert!(rig.arrived().iter().all(|request| !request.complete), "{:?}", rig.arrived());
    let both = post().header("Content-Length", "2").body("{}").chunked();
    let reply = rig.send(both).await;
    // RFC 9112 §6.3 allows to take the chunks; what follows on the connection must not be read as a request.
    assert!(reply.status == 400 || reply.header("connection") == Some("close"), "{reply:?}");
}

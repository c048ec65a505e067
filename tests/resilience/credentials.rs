//! What Fireguard says of itself to the FHIR server: Basic, or a token that it gets and renews.

use std::time::Duration;

use fireguard_test_support::standin::{Answer, Received, StandIn};
use serde_json::json;
use tempfile::TempDir;

use crate::http::Ask;
use crate::rig::{Change, WELL, before};

const TOKENS: &str = "/tokens";

fn token(name: &str, expires_in: u64) -> Answer {
    let answer = json!({ "access_token": name, "token_type": "Bearer", "expires_in": expires_in });
    Answer::json(200, answer.to_string()).header("Content-Type", "application/json")
}

/// A stand-in that is the token server as well, and a Fireguard before it.
struct Known {
    standin: StandIn,
    gateway: fireguard_test_support::gateway::Gateway,
    _folder: TempDir,
}

impl Known {
    /// `credentials`: the table, in which `URL` and `FOLDER` are replaced.
    async fn start(credentials: &str, answers: impl IntoIterator<Item = Answer>) -> Self {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("secret"), "s3cr:et\n").unwrap();
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem();
        std::fs::write(folder.path().join("key.pem"), key).unwrap();
        let standin = StandIn::start().await.unwrap();
        standin.next("POST", TOKENS, answers);
        let url = format!("http://{}{TOKENS}", standin.address());
        let credentials = credentials.replace("URL", &url);
        let credentials = credentials.replace("FOLDER", &folder.path().display().to_string());
        let upstream = format!("credentials = {{ {credentials} }}");
        let change = Change { server: "workers = 1".to_owned(), upstream, ..Change::default() };
        let gateway = before(&standin.base_url(), &change).await;
        Self { standin, gateway, _folder: folder }
    }

    async fn ask(&self, ask: Ask) -> (u16, String) {
        let reply = ask.send(self.gateway.listen()).await;
        (reply.status, reply.text())
    }

    /// Who the server was told that we are, request by request.
    fn told(&self, method: &str, path: &str) -> Vec<String> {
        let who = |request: &Received| request.header("authorization").unwrap_or("nobody").to_owned();
        self.standin.requests_to(method, path).iter().map(who).collect()
    }
}

const BY_SECRET: &str = "client_credentials = { token_url = \"URL\", client_id = \"fire guard\", client_secret = \"file:FOLDER/secret\", \
     scope = \"system/*.rs\" }";

#[tokio::test]
async fn a_user_and_its_password_are_told_with_every_request() {
    let known = Known::start("basic = { user = \"proxy\", password = \"file:FOLDER/secret\" }", []).await;
    known.standin.always("GET", "/fhir/Patient/well", Answer::json(200, WELL));
    let ask = Ask::get("/fhir/Patient/well").header("Authorization", "Bearer caller");
    assert_eq!(known.ask(ask).await.0, 200);
    let basic = "Basic cHJveHk6czNjcjpldA==".to_owned();
    assert_eq!(known.told("GET", "/fhir/Patient/well"), std::slice::from_ref(&basic));
    assert!(known.standin.received(|r| r.iter().any(|r| r.path() == "/fhir/metadata")).await);
    assert_eq!(known.told("GET", "/fhir/metadata")[0], basic);
    // A wrong one is not the caller's fault, and is not tried again and again.
    known.standin.always("GET", "/fhir/Patient/well", Answer::outcome(401, "login"));
    let (status, text) = known.ask(Ask::get("/fhir/Patient/well")).await;
    assert_eq!(status, 502, "{text}");
    assert_eq!(known.told("GET", "/fhir/Patient/well").len(), 2);
    let log = known.gateway.logged("\"status\":502").await;
    assert!(!log.contains("czNjcjpldA"), "the password is in the log");
}

#[tokio::test]
async fn a_token_is_got_once_and_used_again() {
    let known = Known::start(BY_SECRET, [token("one", 3600)]).await;
    known.standin.always("GET", "/fhir/Patient/well", Answer::json(200, WELL));
    for _ in 0..3 {
        assert_eq!(known.ask(Ask::get("/fhir/Patient/well")).await.0, 200);
    }
    assert_eq!(known.told("GET", "/fhir/Patient/well"), ["Bearer one"; 3]);
    let asked = known.standin.requests_to("POST", TOKENS);
    assert_eq!(asked.len(), 1);
    // `fire%20guard:s3cr%3Aet`
    assert_eq!(asked[0].header("authorization"), Some("Basic ZmlyZSUyMGd1YXJkOnMzY3IlM0FldA=="));
    let body = String::from_utf8(asked[0].body.clone()).unwrap();
    assert_eq!(body, "grant_type=client_credentials&scope=system%2F*.rs");
}

#[tokio::test]
async fn a_token_that_ends_is_renewed_before_it_does() {
    let known = Known::start(BY_SECRET, [token("one", 4), token("two", 3600)]).await;
    known.standin.always("GET", "/fhir/Patient/well", Answer::json(200, WELL));
    assert_eq!(known.ask(Ask::get("/fhir/Patient/well")).await.0, 200);
    let renewed = |r: &[Received]| r.iter().filter(|r| r.path() == TOKENS && r.answered).count() == 2;
    assert!(known.standin.received(renewed).await);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(known.ask(Ask::get("/fhir/Patient/well")).await.0, 200);
    assert_eq!(known.told("GET", "/fhir/Patient/well"), ["Bearer one", "Bearer two"]);
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_nothing_is_written_twice() {
    let known = Known::start(BY_SECRET, [token("one", 3600), token("two", 3600), token("three", 3600)]).await;
    known.standin.next("POST", "/fhir/Patient", [Answer::outcome(401, "login"), Answer::json(201, WELL)]);
    let (status, text) = known.ask(Ask::json("POST", "/fhir/Patient", WELL)).await;
    assert_eq!(status, 201, "{text}");
    assert_eq!(known.told("POST", "/fhir/Patient"), ["Bearer one", "Bearer two"]);
    let sent = known.standin.requests_to("POST", "/fhir/Patient");
    assert!(sent.iter().all(|request| request.complete && request.body == WELL.as_bytes()));
    // A server that refuses every token is asked twice.
    known.standin.always("POST", "/fhir/Patient", Answer::outcome(401, "login"));
    let (status, text) = known.ask(Ask::json("POST", "/fhir/Patient", WELL)).await;
    assert_eq!(status, 502, "{text}");
    assert_eq!(known.told("POST", "/fhir/Patient").len(), 4);
    assert!(!text.contains("401") && known.standin.requests_to("POST", TOKENS).len() == 3);
}

#[tokio::test]
async fn without_a_token_the_server_is_asked_nothing() {
    let refused = || Answer::json(401, r#"{"error":"invalid_client"}"#);
    let known = Known::start(BY_SECRET, (0..20).map(|_| refused())).await;
    known.standin.always("GET", "/fhir/Patient/well", Answer::json(200, WELL));
    let (status, text) = known.ask(Ask::get("/fhir/Patient/well")).await;
    assert_eq!(status, 502, "{text}");
    assert!(known.told("GET", "/fhir/Patient/well").is_empty());
    // It asks less and less often.
    assert!((2..=6).contains(&known.standin.requests_to("POST", TOKENS).len()));
    let log = known.gateway.logged("the token server answers 401").await;
    assert!(!log.contains("s3cr"));
}

#[tokio::test]
async fn a_key_shows_who_we_are() {
    let credentials = "client_credentials = { token_url = \"URL\", client_id = \"fireguard\", \
                       private_key_jwt = { key = \"file:FOLDER/key.pem\", kid = \"k1\" } }";
    let known = Known::start(credentials, [token("one", 3600)]).await;
    known.standin.always("GET", "/fhir/Patient/well", Answer::json(200, WELL));
    assert_eq!(known.ask(Ask::get("/fhir/Patient/well")).await.0, 200);
    let asked = &known.standin.requests_to("POST", TOKENS)[0];
    assert!(asked.header("authorization").is_none());
    let body = String::from_utf8(asked.body.clone()).unwrap();
    let field = |name: &str| body.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    assert_eq!(field("client_id"), Some("fireguard"));
    let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    assert_eq!(field("client_assertion_type"), Some(kind));
    let parts: Vec<_> = field("client_assertion").unwrap().split('.').collect();
    let read = |part: &str| -> serde_json::Value {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    let (header, claims) = (read(parts[0]), read(parts[1]));
    assert_eq!((&header["alg"], &header["kid"]), (&"ES384".into(), &"k1".into()));
    assert_eq!((&claims["iss"], &claims["sub"]), (&"fireguard".into(), &"fireguard".into()));
    assert_eq!(claims["aud"], format!("http://{}{TOKENS}", known.standin.address()));
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
}

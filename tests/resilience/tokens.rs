//! Tokens, before an issuer that signs whatever a test wants: who comes in, what the others are told, and what becomes
//! of the token.

use fireguard_test_support::issuer::{Issuer, Key, sign};
use fireguard_test_support::standin::Answer;
use serde_json::{Value, json};

use crate::http::{Ask, Reply};
use crate::rig::{Change, Rig, WELL};

const TARGET: &str = "/in/Patient/well";

/// `/in` asks for tokens of the issuer, `/on` sends them on to the server.
async fn rig(issuer: &Issuer, settings: &str) -> Rig {
    let route = |name: &str, more: &str| {
        format!(
            "[routes.{name}]\npath = \"/{name}\"\nupstream = \"hapi\"\nauthentication = [\"id\"]\n{more}\n\
             hapi = {{ check_versions = false, check_transactions = false }}\n"
        )
    };
    let on = route("on", "forward_authorization = true");
    let tables = format!("{}{settings}\n{}{on}", issuer.configuration("id"), route("in", ""));
    let rig = Rig::with(Change { tables, ..Change::default() }).await;
    rig.standin.always("GET", "/fhir/Patient/well", Answer::json(200, WELL).header("ETag", "W/\"1\""));
    rig
}

fn with(token: &str) -> Ask {
    Ask::get(TARGET).header("Authorization", &format!("Bearer {token}"))
}

fn anything(issuer: &Issuer) -> String {
    issuer.token(json!({ "scope": "user/*.cruds" }))
}

fn challenge(reply: &Reply) -> &str {
    reply.header("www-authenticate").unwrap_or_default()
}

fn code(reply: &Reply) -> Value {
    let outcome: Value = serde_json::from_slice(&reply.body).unwrap();
    outcome["issue"][0]["code"].clone()
}

#[tokio::test]
async fn who_shows_no_token_is_told_where_to_get_one() {
    let issuer = Issuer::start().await.unwrap();
    let rig = rig(&issuer, "").await;
    for ask in [
        Ask::get(TARGET),
        Ask::get("/in/Patient?name=x"),
        Ask::new("DELETE", TARGET),
        Ask::json("POST", "/in", "{}"),
        Ask::get(TARGET).header("Authorization", "Basic eDp5"),
        Ask::get("/in/nothing-of-fhir/1"),
    ] {
        let reply = rig.send(ask).await;
        if reply.status != 401 {
            // What is no request of FHIR is so for everybody.
            assert!(matches!(reply.status, 400 | 404), "{reply:?}");
            continue;
        }
        assert_eq!(code(&reply), "login");
        assert!(challenge(&reply).starts_with("Bearer realm=\"http://"), "{}", challenge(&reply));
        assert!(!challenge(&reply).contains("error"), "{}", challenge(&reply));
    }
    assert_eq!(rig.arrived().len(), 0);
    assert_eq!(rig.send(Ask::get("/in/metadata")).await.status, 200, "for everybody");
    let reply = rig.send(with(&anything(&issuer))).await;
    assert_eq!((reply.status, reply.text().as_str()), (200, WELL));
}

#[tokio::test]
async fn rubbish_is_refused_and_nobody_is_told_why() {
    let issuer = Issuer::start().await.unwrap();
    let rig = rig(&issuer, "").await;
    let stranger = Key::es256("first");
    let good = issuer.claims(json!({ "scope": "user/*.cruds" }));
    let by = |header: Value, key: &Key| sign(&header, &good, |message| key.sign(message));
    let none = sign(&json!({ "alg": "none" }), &good, |_| Vec::new());
    let confused = sign(&json!({ "alg": "HS256", "kid": "first" }), &good, |m| stranger.confused(m));
    let mut said = Vec::new();
    for (what, token) in [
        ("words", "let-me-in".to_owned()),
        ("alg none", none),
        ("a key confused with a secret", confused),
        ("another's key", by(json!({ "alg": "ES256", "kid": "first" }), &stranger)),
        ("an unknown key", by(json!({ "alg": "ES256", "kid": "../keys" }), &stranger)),
        ("critical", by(json!({ "alg": "ES256", "kid": "first", "crit": ["x"] }), &stranger)),
        ("wrong audience", issuer.token(json!({ "aud": "https://other.example" }))),
        ("wrong issuer", issuer.token(json!({ "iss": "https://other.example" }))),
        ("expired", issuer.token(json!({ "exp": 1_700_000_000 }))),
        ("not yet", issuer.token(json!({ "nbf": 9_999_999_999_u64 }))),
        ("an ID token", issuer.token(json!({ "aud": "app", "typ": "ID" }))),
        ("much", "x".repeat(20_000)),
    ] {
        let reply = rig.send(with(&token)).await;
        assert_eq!((reply.status, code(&reply)), (401, json!("login")), "{what}: {reply:?}");
        assert!(challenge(&reply).ends_with("error=\"invalid_token\""), "{what}: {}", challenge(&reply));
        let outcome: Value = serde_json::from_slice(&reply.body).unwrap();
        let words = outcome["issue"][0]["diagnostics"].as_str().unwrap();
        said.push(words.split(" (request").next().unwrap().to_owned());
    }
    said.dedup();
    assert_eq!(said.len(), 1, "one sentence for all: {said:?}");
    for (what, ask) in [
        ("two headers", with(&anything(&issuer)).header("Authorization", "Bearer x")),
        ("two tokens", Ask::get(TARGET).header("Authorization", "Bearer a b")),
        ("in the URL", Ask::get(&format!("{TARGET}?access_token={}", anything(&issuer)))),
        ("in both", with(&anything(&issuer))),
    ] {
        let ask = if what == "in both" {
            Ask::get("/in/Patient?access_token=x").header("Authorization", "Bearer a")
        } else {
            ask
        };
        let reply = rig.send(ask).await;
        assert_eq!(reply.status, 400, "{what}: {reply:?}");
    }
    assert_eq!(rig.arrived().len(), 0);
    let metrics = rig.metrics().await;
    for outcome in ["algorithm", "signature", "key", "critical", "audience", "issuer", "expired", "early"] {
        assert!(metrics.contains(&format!("outcome=\"{outcome}\"")), "{outcome}: {metrics}");
    }
}

#[tokio::test]
async fn a_token_stays_here_unless_the_route_says_otherwise() {
    let issuer = Issuer::start().await.unwrap();
    let rig = rig(&issuer, "").await;
    let token = issuer.token(json!({ "scope": "user/*.cruds", "sub": "somebody-with-a-name" }));
    assert_eq!(rig.send(with(&token)).await.status, 200);
    let on = Ask::get("/on/Patient/well").header("Authorization", &format!("Bearer {token}"));
    assert_eq!(rig.send(on).await.status, 200);
    let seen: Vec<_> = rig.arrived().iter().map(|r| r.header("authorization").map(str::to_owned)).collect();
    assert_eq!(seen, [None, Some(format!("Bearer {token}"))]);
    rig.send(with("somebodys-rubbish")).await;
    let log = rig.gateway.logged("the token is refused: malformed").await;
    for secret in [&token[..], token.rsplit('.').next().unwrap(), "somebody-with-a-name", "somebodys-rubbish"]
    {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn an_issuer_that_is_away_is_503() {
    let issuer = Issuer::start().await.unwrap();
    issuer.answers("/realm/*", Answer::reset());
    let rig = rig(&issuer, "").await;
    let reply = rig.send(with(&anything(&issuer))).await;
    assert_eq!((reply.status, code(&reply)), (503, json!("transient")), "{reply:?}");
    assert!(reply.header("retry-after").is_some() && reply.header("www-authenticate").is_none());
    assert_eq!(rig.send(Ask::get(TARGET)).await.status, 401, "this needs no issuer");
}

#[tokio::test]
async fn keys_change_while_it_serves() {
    let issuer = Issuer::start().await.unwrap();
    let rig = rig(&issuer, "").await;
    let old = issuer.token(json!({ "scope": "user/*.cruds", "jti": "1" }));
    assert_eq!(rig.send(with(&old)).await.status, 200);
    issuer.rotate(Key::rs256("second"), false);
    assert_eq!(rig.send(with(&anything(&issuer))).await.status, 200);
    let withdrawn =
        sign(&json!({ "alg": "ES256", "kid": "first" }), &issuer.claims(json!({})), |_| vec![0; 64]);
    assert_eq!(rig.send(with(&withdrawn)).await.status, 401);
    assert_eq!(issuer.asked_for_keys(), 2);
}

#[tokio::test]
async fn an_opaque_token_is_asked_about() {
    let issuer = Issuer::start().await.unwrap();
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "our secret").unwrap();
    let path = secret.path().display();
    let rig = rig(
        &issuer,
        &format!("introspection = {{ client_id = \"fire:guard\", client_secret = \"file:{path}\" }}"),
    )
    .await;
    assert_eq!(rig.send(with("opaque")).await.status, 401);
    let mut known = issuer.claims(json!({ "scope": "user/*.cruds" }));
    known["active"] = true.into();
    issuer.knows(&known);
    assert_eq!(rig.send(with("opaque-too")).await.status, 200);
    assert_eq!(rig.send(with("opaque-too")).await.status, 200);
    let asked = issuer.introspected();
    assert_eq!(asked.len(), 2, "once for each token");
    // `fire%3Aguard:our%20secret`, by RFC 6749 §2.3.1.
    assert_eq!(asked[0].header("authorization"), Some("Basic ZmlyZSUzQWd1YXJkOm91ciUyMHNlY3JldA=="));
    assert_eq!(asked[1].body, b"token=opaque-too&token_type_hint=access_token");
}

#[tokio::test]
async fn a_flood_of_tokens_is_stopped_and_good_ones_that_are_known_pass() {
    let issuer = Issuer::start().await.unwrap();
    let rig = rig(&issuer, "").await;
    let known = anything(&issuer);
    assert_eq!(rig.send(with(&known)).await.status, 200);
    let mut last = 0;
    for n in 0..400 {
        last = rig.send(with(&format!("rubbish-{n}"))).await.status;
        if last == 429 {
            break;
        }
    }
    assert_eq!(last, 429);
    assert_eq!(rig.send(with(&known)).await.status, 200);
}

#[tokio::test]
async fn callers_are_limited_each_for_itself() {
    let issuer = Issuer::start().await.unwrap();
    let tables = format!(
        "{}[routes.in]\npath = \"/in\"\nupstream = \"hapi\"\nauthentication = [\"id\"]\n\
         rate = {{ per_second = 0.01, burst = 1 }}\n",
        issuer.configuration("id")
    );
    let rig = Rig::with(Change { tables, ..Change::default() }).await;
    rig.standin.always("GET", "/fhir/Patient/well", Answer::json(200, WELL));
    let token = |sub: &str, n: u32| issuer.token(json!({ "scope": "user/*.cruds", "sub": sub, "jti": n }));
    for (sub, n, status) in
        [("ann", 1, 200), ("ann", 2, 429), ("bob", 1, 200), ("bob", 2, 429), ("ann", 3, 429)]
    {
        assert_eq!(rig.send(with(&token(sub, n))).await.status, status, "{sub} {n}");
    }
}

#[tokio::test]
async fn it_is_said_how_to_get_a_token() {
    let issuer = Issuer::start().await.unwrap();
    let rig = rig(&issuer, "").await;
    let reply = rig.get("/in/.well-known/smart-configuration").await;
    let smart: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/json")));
    assert_eq!(smart["token_endpoint"], format!("{}/token", issuer.url()));
    assert_eq!(smart["code_challenge_methods_supported"], json!(["S256"]));
    let head = rig.send(Ask::new("HEAD", "/in/.well-known/smart-configuration")).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for (method, target, status) in [
        ("POST", "/in/.well-known/smart-configuration", 405),
        ("GET", "/fhir/.well-known/smart-configuration", 404),
        ("GET", "/in/.well-known/openid-configuration", 404),
    ] {
        assert_eq!(rig.send(Ask::new(method, target)).await.status, status, "{method} {target}");
    }
    let reply = rig.get("/in/metadata").await;
    let metadata: Value = serde_json::from_slice(&reply.body).unwrap();
    let uris = &metadata["rest"][0]["security"]["extension"][0]["extension"];
    assert_eq!(uris[0], json!({ "url": "token", "valueUri": format!("{}/token", issuer.url()) }));
    let open: Value = serde_json::from_slice(&rig.get("/fhir/metadata").await.body).unwrap();
    assert!(open["rest"][0]["security"].is_null());
}

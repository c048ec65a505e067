//! How often an issuer is asked, and what happens while it cannot be.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fireguard_access::authentication::{IssuerSettings, Rejection, Why};
use fireguard_test_support::issuer::{Key, now};
use futures_util::future::join_all;
use serde_json::json;

use crate::issuer::{Site, introspecting, settings};

#[tokio::test]
async fn ten_thousand_unknown_keys_are_one_question() {
    let site = Arc::new(Site::new());
    assert!(site.check(&site.token(&json!({}))).await.is_ok());
    assert_eq!(site.web.fetched(), 1);
    let stranger = Key::ed25519("none");
    let token = |n: usize| {
        let header = json!({ "alg": "EdDSA", "kid": format!("key-{n}") });
        fireguard_test_support::issuer::sign(&header, &crate::issuer::claims(&json!({})), |m| {
            stranger.sign(m)
        })
    };
    let tokens: Vec<_> = (0..10_000).map(token).collect();
    for refused in join_all(tokens.iter().map(|token| site.check(token))).await {
        assert_eq!(refused.unwrap_err(), Rejection::Invalid(Why::Key));
    }
    assert_eq!(site.web.fetched(), 2);
}

#[tokio::test]
async fn a_crowd_at_the_start_is_one_question() {
    let site = Site::new();
    let tokens: Vec<_> = (0..50).map(|n| site.token(&json!({ "sub": n.to_string() }))).collect();
    assert!(join_all(tokens.iter().map(|token| site.check(token))).await.into_iter().all(|one| one.is_ok()));
    assert_eq!(site.web.fetched(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_at_once() {
    let site = Site::new();
    assert!(site.check(&site.token(&json!({}))).await.is_ok());
    let new = Key::rs256("second");
    *site.web.keys.lock().unwrap() = vec![new.public()];
    assert!(site.check(&site.signed(&new, &json!({}))).await.is_ok());
    assert_eq!(
        site.check(&site.token(&json!({ "sub": "x" }))).await.unwrap_err(),
        Rejection::Invalid(Why::Key)
    );
    assert_eq!(site.web.fetched(), 2);
}

#[tokio::test]
async fn a_question_goes_on_when_its_caller_has_left() {
    let site = Site::new();
    let token = site.token(&json!({}));
    let left = tokio::time::timeout(Duration::from_millis(1), site.check(&token)).await;
    assert!(left.is_err());
    assert!(site.check(&token).await.is_ok());
    assert_eq!(site.web.fetched(), 1);
}

#[tokio::test]
async fn an_issuer_that_is_away_is_no_reason_to_refuse() {
    let site = Site::with(IssuerSettings { keys_stale: Duration::from_millis(100), ..settings() });
    *site.web.away.lock().unwrap() = true;
    let token = site.token(&json!({}));
    assert!(matches!(site.check(&token).await, Err(Rejection::Unavailable { .. })));
    // At once, and without a question for each.
    let since = Instant::now();
    assert!(matches!(site.check(&token).await, Err(Rejection::Unavailable { .. })));
    assert!(since.elapsed() < Duration::from_millis(5));

    let site = Site::with(IssuerSettings { keys_stale: Duration::from_millis(100), ..settings() });
    assert!(site.check(&site.token(&json!({}))).await.is_ok());
    *site.web.away.lock().unwrap() = true;
    assert!(site.check(&site.token(&json!({ "sub": "bob" }))).await.is_ok(), "by the keys that are known");
    tokio::time::sleep(Duration::from_millis(120)).await;
    let old = site.check(&site.token(&json!({ "sub": "eve" }))).await;
    assert!(matches!(old, Err(Rejection::Unavailable { .. })), "not for ever: {old:?}");
}

#[tokio::test]
async fn opaque_tokens_are_asked_about_once() {
    let site = Site::with(introspecting(false));
    let good = json!({ "active": true, "aud": crate::issuer::AUDIENCE, "client_id": "app", "sub": "ann",
        "exp": now() + 300, "scope": "patient/*.rs" });
    *site.web.introspection.lock().unwrap() = good.clone();
    let principal = site.check("opaque-token").await.unwrap();
    assert_eq!((&*principal.subject, principal.client.as_deref()), ("ann", Some("app")));
    assert!(site.tokens.known("opaque-token", &site.base).is_some());
    for (changes, why) in [
        (json!({ "active": false }), Why::Inactive),
        (json!({ "active": "true" }), Why::Inactive),
        (json!({ "aud": "somebody" }), Why::Audience),
        (json!({ "exp": now() - 100 }), Why::Expired),
        (json!({ "iss": "https://other.example" }), Why::Issuer),
    ] {
        let mut answer = good.clone();
        answer.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        *site.web.introspection.lock().unwrap() = answer;
        let (token, before) = (changes.to_string(), site.web.introspected.load(Ordering::SeqCst));
        for _ in 0..10 {
            assert_eq!(site.check(&token).await.unwrap_err(), Rejection::Invalid(why), "{changes}");
        }
        assert_eq!(site.web.introspected.load(Ordering::SeqCst) - before, 1, "{changes}");
    }
    *site.web.introspection.lock().unwrap() = json!([]);
    assert!(matches!(site.check("another").await, Err(Rejection::Unavailable { .. })));
}

#[tokio::test]
async fn a_jwt_may_be_asked_about_as_well() {
    let site = Site::with(introspecting(true));
    let mut answer = crate::issuer::claims(&json!({}));
    answer["active"] = true.into();
    *site.web.introspection.lock().unwrap() = answer;
    assert!(site.check(&site.token(&json!({}))).await.is_ok());
    *site.web.introspection.lock().unwrap() = json!({ "active": false });
    let revoked = site.check(&site.token(&json!({ "sub": "bob" }))).await;
    assert_eq!(revoked.unwrap_err(), Rejection::Invalid(Why::Inactive));
    // One that nobody signed is not worth a question.
    let before = site.web.introspected.load(Ordering::SeqCst);
    let forged = site.signed(&Key::es256("first"), &json!({}));
    assert_eq!(site.check(&forged).await.unwrap_err(), Rejection::Invalid(Why::Signature));
    assert_eq!(site.web.introspected.load(Ordering::SeqCst), before);
}

#[tokio::test]
async fn what_is_known_costs_next_to_nothing() {
    let site = Site::new();
    let roles: Vec<_> = (0..30).map(|n| format!("role-of-some-length-{n}")).collect();
    let token = site.token(&json!({ "realm_access": { "roles": roles } }));
    site.check(&token).await.unwrap();
    let since = Instant::now();
    for _ in 0..10_000 {
        assert!(site.tokens.known(&token, &site.base).is_some());
    }
    let each = since.elapsed() / 10_000;
    println!("a known token of {} bytes: {each:?}", token.len());
    // Far from what it takes, also on a machine that does much else, and without optimisation.
    assert!(each < Duration::from_micros(100), "{each:?}");
}

//! Tokens that nobody may come in with.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fireguard_access::authentication::{Algorithm, IssuerSettings, Rejection, Why};
use fireguard_test_support::issuer::{Key, now, sign};
use serde_json::{Value, json};

use crate::issuer::{Site, claims, settings};

#[tokio::test]
async fn claims_that_are_not_for_us() {
    let site = Site::new();
    for (changes, why) in [
        (json!({ "iss": "https://id.example/realms/other" }), Why::Issuer),
        (json!({ "iss": "https://id.example/realms/clinic/" }), Why::Issuer),
        (json!({ "iss": ["https://id.example/realms/clinic"] }), Why::Issuer),
        (json!({ "iss": null }), Why::Issuer),
        (json!({ "aud": "https://fhir.example/fhir/" }), Why::Audience),
        (json!({ "aud": "app" }), Why::Audience),
        (json!({ "aud": [] }), Why::Audience),
        (json!({ "aud": null }), Why::Audience),
        (json!({ "aud": { "0": "https://fhir.example/fhir" } }), Why::Audience),
        (json!({ "exp": now() - 31 }), Why::Expired),
        (json!({ "exp": 0 }), Why::Expired),
        (json!({ "exp": -1 }), Why::Expired),
        (json!({ "exp": "9999999999" }), Why::Expired),
        (json!({ "exp": null }), Why::Expired),
        (json!({ "nbf": now() + 60 }), Why::Early),
        (json!({ "nbf": "soon" }), Why::Early),
        (json!({ "iat": now() + 3600 }), Why::Early),
        (json!({ "sub": null, "azp": null }), Why::Subject),
        (json!({ "sub": "" , "azp": null }), Why::Subject),
        (json!({ "typ": "ID" }), Why::Kind),
        (json!({ "typ": "Refresh" }), Why::Kind),
        (json!({ "token_use": "id" }), Why::Kind),
    ] {
        let refused = site.check(&site.token(&changes)).await;
        assert_eq!(refused.unwrap_err(), Rejection::Invalid(why), "{changes}");
    }
    for good in [
        json!({}),
        json!({ "aud": ["account", "https://fhir.example/fhir"] }),
        json!({ "exp": now() - 20 }),
        json!({ "exp": now() as f64 + 100.5 }),
        json!({ "nbf": now() + 20 }),
        json!({ "typ": "Bearer" }),
    ] {
        assert!(site.check(&site.token(&good)).await.is_ok(), "{good}");
    }
}

#[tokio::test]
async fn signatures_that_are_none() {
    let site = Site::new();
    let stranger = Key::es256("first");
    let rsa = Key::rs256("rsa");
    site.web.keys.lock().unwrap().push(rsa.public());
    let good = claims(&json!({}));
    let by = |header: Value, key: &Key| sign(&header, &good, |message| key.sign(message));
    let confused = |header: Value, key: &Key| sign(&header, &good, |message| key.confused(message));
    let key = &site.key;
    let parts: Vec<_> = site.token(&json!({})).split('.').map(str::to_owned).collect();
    let other = URL_SAFE_NO_PAD.encode(claims(&json!({ "sub": "eve" })).to_string());
    for (what, token, why) in [
        (
            "another's key of that name",
            by(json!({ "alg": "ES256", "kid": "first" }), &stranger),
            Why::Signature,
        ),
        ("none", sign(&json!({ "alg": "none", "kid": "first" }), &good, |_| Vec::new()), Why::Algorithm),
        ("None", sign(&json!({ "alg": "None" }), &good, |_| Vec::new()), Why::Algorithm),
        (
            "no signature",
            sign(&json!({ "alg": "ES256", "kid": "first" }), &good, |_| Vec::new()),
            Why::Signature,
        ),
        ("zeros", sign(&json!({ "alg": "ES256", "kid": "first" }), &good, |_| vec![0; 64]), Why::Signature),
        (
            "the public key as a secret",
            confused(json!({ "alg": "HS256", "kid": "rsa" }), &rsa),
            Why::Algorithm,
        ),
        ("the same of a curve", confused(json!({ "alg": "HS256", "kid": "first" }), key), Why::Algorithm),
        ("an algorithm of another key", by(json!({ "alg": "RS256", "kid": "first" }), &rsa), Why::Algorithm),
        ("another algorithm of the key", by(json!({ "alg": "PS256", "kid": "rsa" }), &rsa), Why::Algorithm),
        (
            "a key in the header",
            by(json!({ "alg": "ES256", "kid": "first", "jwk": stranger.public() }), &stranger),
            Why::Signature,
        ),
        (
            "an address in the header",
            by(json!({ "alg": "ES256", "kid": "x", "jku": "https://evil.example/keys" }), &stranger),
            Why::Key,
        ),
        ("a path for a name", by(json!({ "alg": "ES256", "kid": "../../dev/null" }), &stranger), Why::Key),
        ("critical", by(json!({ "alg": "ES256", "kid": "first", "crit": ["exp"] }), key), Why::Critical),
        ("a log-out", by(json!({ "alg": "ES256", "kid": "first", "typ": "logout+jwt" }), key), Why::Kind),
        ("other claims", format!("{}.{other}.{}", parts[0], parts[2]), Why::Signature),
        ("padding", format!("{}=.{}.{}", parts[0], parts[1], parts[2]), Why::Malformed),
        ("four parts", format!("{}.x", parts.join(".")), Why::Malformed),
        ("words", "let me in".to_owned(), Why::Malformed),
        ("nothing", String::new(), Why::Malformed),
        ("much", "x".repeat(100_000), Why::TooLong),
    ] {
        assert_eq!(site.check(&token).await.unwrap_err(), Rejection::Invalid(why), "{what}");
    }
    for good in [by(json!({ "alg": "RS256", "kid": "rsa" }), &rsa), by(json!({ "alg": "RS256" }), &rsa)] {
        assert!(site.check(&good).await.is_ok());
    }
}

#[tokio::test]
async fn keys_that_are_none() {
    let site = Site::new();
    let rsa = Key::rs256("rsa");
    let secret = json!({ "kty": "oct", "kid": "secret", "k": "c2VjcmV0", "alg": "HS256" });
    let mut encrypts = rsa.public();
    encrypts["use"] = "enc".into();
    *site.web.keys.lock().unwrap() = vec![secret, encrypts, json!({ "kty": "quantum" }), site.key.public()];
    let hmac = sign(&json!({ "alg": "HS256", "kid": "secret" }), &claims(&json!({})), |_| vec![1; 32]);
    assert_eq!(site.check(&hmac).await.unwrap_err(), Rejection::Invalid(Why::Algorithm));
    let by_encryption = site.signed(&rsa, &json!({}));
    assert_eq!(site.check(&by_encryption).await.unwrap_err(), Rejection::Invalid(Why::Key));
    assert!(site.check(&site.token(&json!({}))).await.is_ok());
}

#[tokio::test]
async fn lists_of_algorithms_and_clients() {
    let only = |algorithm| IssuerSettings { algorithms: [algorithm].into(), ..settings() };
    let site = Site::with(only(Algorithm::Rs256));
    assert_eq!(site.check(&site.token(&json!({}))).await.unwrap_err(), Rejection::Invalid(Why::Algorithm));
    let clients = Some(["app".to_owned()].into());
    let site = Site::with(IssuerSettings { clients, ..settings() });
    for (changes, good) in [
        (json!({}), true),
        (json!({ "azp": null, "client_id": "app" }), true),
        (json!({ "azp": "other", "client_id": "app" }), false),
        (json!({ "azp": null }), false),
        (json!({ "azp": ["app"] }), false),
    ] {
        assert_eq!(site.check(&site.token(&changes)).await.is_ok(), good, "{changes}");
    }
}

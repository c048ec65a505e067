//! An identity provider that signs whatever a test wants: the stand-in for a real one.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use fireguard_test_support::issuer::Issuer;
//! use serde_json::json;
//! let issuer = Issuer::start().await?;
//! // … a Fireguard with `issuer.configuration("id")` and `authentication = ["id"]` …
//! let token = issuer.token(json!({ "patient": "1", "scope": "patient/*.rs" }));
//! # Ok(())
//! # }
//! ```

mod key;

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

pub use self::key::Key;
use crate::standin::{Answer, Received, StandIn};

/// What tokens are meant for, unless they say otherwise.
pub const AUDIENCE: &str = "https://fhir.example/fhir";

/// A running issuer, with keys of its own. Dropping it ends it.
#[derive(Debug)]
pub struct Issuer {
    standin: StandIn,
    keys: Mutex<Vec<Key>>,
}

impl Issuer {
    /// Listens on a free port, with one key for ES256. It answers discovery, keys and, with what [`Issuer::knows`]
    /// says, introspection.
    ///
    /// # Errors
    /// No port can be opened.
    pub async fn start() -> io::Result<Self> {
        let issuer = Self { standin: StandIn::start().await?, keys: Mutex::new(vec![Key::es256("first")]) };
        let url = issuer.url();
        let document = json!({
            "issuer": url,
            "jwks_uri": format!("{url}/keys"),
            "introspection_endpoint": format!("{url}/introspect"),
            "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"),
            "revocation_endpoint": format!("{url}/revoke"),
            "code_challenge_methods_supported": ["S256"],
            "grant_types_supported": ["authorization_code", "client_credentials"],
        });
        issuer.standin.always("GET", DISCOVERY, plain(&document));
        issuer.knows(&json!({ "active": false }));
        issuer.publish();
        Ok(issuer)
    }

    /// What its tokens say in `iss`.
    pub fn url(&self) -> String {
        format!("http://{}/realm", self.standin.address())
    }

    /// Its table in a configuration. Keys may be added by further lines.
    pub fn configuration(&self, name: &str) -> String {
        format!("[issuers.{name}]\nurl = \"{}\"\naudience = [\"{AUDIENCE}\"]\n", self.url())
    }

    /// A token with these claims, besides those that every good one has: `null` takes one of those away.
    pub fn token(&self, claims: Value) -> String {
        let keys = self.keys();
        let Some(key) = keys.last() else { return String::new() };
        let header = json!({ "alg": key.algorithm(), "kid": key.id(), "typ": "at+jwt" });
        sign(&header, &self.claims(claims), |message| key.sign(message))
    }

    /// The claims of [`Issuer::token`].
    pub fn claims(&self, claims: Value) -> Value {
        let now = now();
        let mut all = Map::from_iter([
            ("iss".to_owned(), self.url().into()),
            ("aud".to_owned(), AUDIENCE.into()),
            ("sub".to_owned(), "someone".into()),
            ("azp".to_owned(), "app".into()),
            ("iat".to_owned(), now.into()),
            ("exp".to_owned(), (now + 300).into()),
        ]);
        if let Value::Object(claims) = claims {
            all.extend(claims);
        }
        all.retain(|_, value| !value.is_null());
        Value::Object(all)
    }

    /// Signs with another key from now on. `keeps`: it still publishes the former ones.
    pub fn rotate(&self, key: Key, keeps: bool) {
        let mut keys = self.keys();
        if !keeps {
            keys.clear();
        }
        keys.push(key);
        drop(keys);
        self.publish();
    }

    /// From now on introspection answers so about every token.
    pub fn knows(&self, answer: &Value) {
        self.standin.always("POST", INTROSPECTION, plain(answer));
    }

    /// From now on it answers so to everything (`*`) or below a path (`/realm/keys`).
    pub fn answers(&self, path: &str, answer: Answer) {
        self.standin.always("*", path, answer);
    }

    /// Answers discovery and keys again as it should.
    pub fn recovers(&self) {
        self.publish();
    }

    /// How often its keys were asked for.
    pub fn asked_for_keys(&self) -> usize {
        self.standin.requests_to("GET", KEYS).len()
    }

    /// What it was asked about tokens.
    pub fn introspected(&self) -> Vec<Received> {
        self.standin.requests_to("POST", INTROSPECTION)
    }

    fn publish(&self) {
        let keys: Vec<_> = self.keys().iter().map(Key::public).collect();
        self.standin.always("GET", KEYS, plain(&json!({ "keys": keys })));
    }

    fn keys(&self) -> std::sync::MutexGuard<'_, Vec<Key>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const DISCOVERY: &str = "/realm/.well-known/openid-configuration";
const KEYS: &str = "/realm/keys";
const INTROSPECTION: &str = "/realm/introspect";

/// A token in the form of RFC 7515 §7.1, whatever header, claims and signature are.
pub fn sign(header: &Value, claims: &Value, signer: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = signer(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn plain(value: &Value) -> Answer {
    Answer::status(200).header("Content-Type", "application/json").body(value.to_string())
}

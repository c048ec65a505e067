//! An issuer in memory, and the tokens of one route.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fireguard_access::authentication::{
    Algorithm, Answer, ClaimPaths, Fetch, IntrospectionSettings, IssuerSettings, Provider, Question,
    Rejection, Task, Tokens, Unreachable,
};
use fireguard_access::principal::Principal;
use fireguard_fhir::base::Base;
use fireguard_test_support::issuer::{Key, now, sign};
use serde_json::{Value, json};

pub(crate) const URL: &str = "https://id.example/realms/clinic";
pub(crate) const AUDIENCE: &str = "https://fhir.example/fhir";

/// What the issuer answers, and how often it was asked.
#[derive(Debug, Default)]
pub(crate) struct Web {
    pub(crate) keys: Mutex<Vec<Value>>,
    pub(crate) introspection: Mutex<Value>,
    pub(crate) away: Mutex<bool>,
    pub(crate) fetched: AtomicUsize,
    pub(crate) introspected: AtomicUsize,
}

impl Web {
    /// How often keys were asked for.
    pub(crate) fn fetched(&self) -> usize {
        self.fetched.load(Ordering::SeqCst)
    }
}

#[derive(Debug)]
struct Wire(Arc<Web>);

impl Fetch for Wire {
    fn fetch(&self, question: Question) -> Task<Result<Answer, Unreachable>> {
        let web = Arc::clone(&self.0);
        Box::pin(async move {
            // Long enough for others to come meanwhile.
            tokio::time::sleep(Duration::from_millis(5)).await;
            if *web.away.lock().unwrap() {
                return Err(Unreachable("nobody is there".to_owned()));
            }
            let body = match question {
                Question::Get(url) if url.ends_with("/keys") => {
                    web.fetched.fetch_add(1, Ordering::SeqCst);
                    json!({ "keys": *web.keys.lock().unwrap() })
                }
                Question::Get(_) => json!({
                    "issuer": URL,
                    "jwks_uri": "https://id.example/keys",
                    "introspection_endpoint": "https://id.example/introspect",
                }),
                Question::Introspect(_) => {
                    web.introspected.fetch_add(1, Ordering::SeqCst);
                    web.introspection.lock().unwrap().clone()
                }
            };
            Ok(Answer { status: 200, body: body.to_string().into_bytes() })
        })
    }

    fn spawn(&self, task: Task<()>) {
        tokio::spawn(task);
    }
}

/// A route that takes the tokens of the issuer.
pub(crate) struct Site {
    pub(crate) web: Arc<Web>,
    pub(crate) key: Key,
    pub(crate) tokens: Tokens,
    pub(crate) base: Base,
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::with(settings())
    }

    pub(crate) fn with(settings: IssuerSettings) -> Self {
        let key = Key::es256("first");
        let web = Arc::new(Web::default());
        web.keys.lock().unwrap().push(key.public());
        let provider = Provider::new(Arc::new(settings), Arc::new(Wire(Arc::clone(&web))));
        let server = Base::parse("http://hapi:8080/fhir").unwrap();
        let tokens = Tokens::new(vec![provider], vec![server]);
        Self { web, key, tokens, base: Base::parse("https://fhir.example/fhir").unwrap() }
    }

    pub(crate) async fn check(&self, token: &str) -> Result<Arc<Principal>, Rejection> {
        self.tokens.check(token, &self.base).await
    }

    /// A good token but for these claims.
    pub(crate) fn token(&self, changes: &Value) -> String {
        self.signed(&self.key, changes)
    }

    pub(crate) fn signed(&self, key: &Key, changes: &Value) -> String {
        let header = json!({ "alg": key.algorithm(), "kid": key.id(), "typ": "at+jwt" });
        sign(&header, &claims(changes), |message| key.sign(message))
    }
}

pub(crate) fn claims(changes: &Value) -> Value {
    let mut claims = json!({
        "iss": URL, "aud": AUDIENCE, "sub": "ann", "azp": "app", "iat": now(), "exp": now() + 300,
    });
    let all = claims.as_object_mut().unwrap();
    all.extend(changes.as_object().cloned().unwrap_or_default());
    all.retain(|_, value| !value.is_null());
    claims
}

pub(crate) fn settings() -> IssuerSettings {
    IssuerSettings {
        name: "id".into(),
        url: URL.into(),
        audience: BTreeSet::from([AUDIENCE.to_owned()]),
        clients: None,
        algorithms: Algorithm::ALL.into(),
        clock_skew: Duration::from_secs(30),
        keys: None,
        keys_stale: Duration::from_secs(3600),
        introspection: None,
        smart: true,
        claims: ClaimPaths::default(),
    }
}

pub(crate) fn introspecting(all: bool) -> IssuerSettings {
    let introspection = IntrospectionSettings {
        url: None,
        client_id: "fireguard".to_owned(),
        client_secret: "secret".to_owned().into(),
        all,
    };
    IssuerSettings { introspection: Some(introspection), ..settings() }
}

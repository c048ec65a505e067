//! Asking an issuer about a token (RFC 7662).

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::cache::{Cache, Digest};
use super::claims::Claims;
use super::fetch::{Fetch, Introspect, Question};
use super::rejection::{Rejection, Why};
use super::settings::{IntrospectionSettings, IssuerSettings};

/// Questions on their way at once: callers cannot make more of them than an issuer stands.
const AT_ONCE: usize = 32;
/// How long an answer that a token is not good is believed: one that is sent again and again is asked about once.
const REFUSED: Duration = Duration::from_secs(5);
/// When to come back while the issuer does not answer.
const COME_BACK: Duration = Duration::from_secs(5);

/// Asks one issuer.
#[derive(Debug)]
pub(super) struct Introspection {
    settings: IntrospectionSettings,
    places: Semaphore,
    refused: Cache<Why>,
}

impl Introspection {
    /// As it is configured.
    pub(super) fn new(settings: IntrospectionSettings) -> Self {
        Self { settings, places: Semaphore::new(AT_ONCE), refused: Cache::default() }
    }

    /// Whether JWTs are asked about as well.
    pub(super) fn wants_all(&self) -> bool {
        self.settings.all
    }

    /// Where, if that is configured.
    pub(super) fn url(&self) -> Option<&str> {
        self.settings.url.as_deref()
    }

    /// What the issuer says. What it says of good tokens is kept by those who ask this.
    ///
    /// # Errors
    /// It is not good, or that cannot be found out now.
    pub(super) async fn ask(
        &self,
        fetch: &dyn Fetch,
        url: String,
        token: &str,
        issuer: &IssuerSettings,
    ) -> Result<Claims, Rejection> {
        let digest = Digest::of([token.as_bytes()]);
        if let Some(why) = self.refused.get(&digest) {
            return Err(why.into());
        }
        let unavailable = |reason: &str| {
            tracing::warn!(issuer = %issuer.name, reason, "it cannot be asked about a token");
            Rejection::Unavailable { retry_after: COME_BACK }
        };
        let Ok(_place) = self.places.try_acquire() else {
            return Err(unavailable("there are too many questions at once"));
        };
        let question = Question::Introspect(Introspect {
            url,
            client_id: self.settings.client_id.clone(),
            client_secret: self.settings.client_secret.clone(),
            token: Zeroizing::new(token.to_owned()),
        });
        let answer = fetch.fetch(question).await.map_err(|reason| unavailable(&reason.to_string()))?;
        if answer.status != 200 {
            // 401 above all: it does not know us.
            return Err(unavailable(&format!("it answered {}", answer.status)));
        }
        let claims: Map<String, Value> =
            serde_json::from_slice(&answer.body).map_err(|_| unavailable("its answer is not JSON"))?;
        judged(claims, issuer).map_err(|why| {
            self.refused.put(digest, why, REFUSED);
            why.into()
        })
    }
}

fn judged(claims: Map<String, Value>, issuer: &IssuerSettings) -> Result<Claims, Why> {
    let mut claims = Claims::new(claims);
    if !claims.is_active() {
        return Err(Why::Inactive);
    }
    claims.vouched_by(&issuer.url);
    claims.check(issuer, SystemTime::now())?;
    Ok(claims)
}

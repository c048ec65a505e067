//! Who we are to a FHIR server: what every request to it says, and how a token is kept fresh.
//!
//! One task for each server gets tokens, beside the cores: a new one before the old one ends, and when the server has
//! refused it. Requests take what is there, and wait only where there is none.

use std::sync::{Arc, Weak};
use std::time::Duration;

use fireguard_traffic::upstream;
use http::HeaderValue;
use jsonwebtoken::{Header, encode};
use reqwest::{Client, redirect};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use uuid::Uuid;

use crate::config::{Proof, ServerCredentials, TokenSource};

/// How long a token server may take.
const ASKING: Duration = Duration::from_secs(10);
/// How long a request waits for a token.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of a token that does not say how long it is good (RFC 6749 §5.1).
const UNSAID: Duration = Duration::from_secs(300);
/// A new one is got so long before the old one ends, or after half its time if that is later.
const BEFORE_ITS_END: Duration = Duration::from_secs(60);
/// Between two questions at the least, and at the most while there is no answer.
const BREATH: Duration = Duration::from_millis(500);
/// See [`BREATH`].
const LONGEST_BREATH: Duration = Duration::from_secs(30);
/// How long a signature that it is us is good.
const ASSERTION: u64 = 60;
/// The largest answer of a token server that is read.
const ANSWER: usize = 64 << 10;

/// What requests to one server say of us.
pub struct Credentials {
    configured: ServerCredentials,
    held: watch::Sender<Held>,
}

/// What we have.
#[derive(Debug, Clone, Default)]
struct Held {
    token: Option<Token>,
    /// Why there is none.
    reason: Option<Arc<str>>,
}

#[derive(Debug, Clone)]
struct Token {
    value: HeaderValue,
    renew: Instant,
    until: Instant,
}

/// There is no token.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no token for the FHIR server: {0}")]
pub struct NoToken(Arc<str>);

/// What a token server answers (RFC 6749 §5.1).
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    token_type: String,
    expires_in: Option<u64>,
}

impl Credentials {
    /// As they are configured.
    pub fn new(configured: ServerCredentials) -> Arc<Self> {
        Arc::new(Self { configured, held: watch::Sender::default() })
    }

    /// Whether these are the ones.
    pub fn are(&self, configured: &ServerCredentials) -> bool {
        self.configured == *configured
    }

    /// What to say now; waits where there is nothing yet.
    ///
    /// # Errors
    /// There is no token, and why.
    pub async fn ready(&self) -> Result<HeaderValue, NoToken> {
        match upstream::Credentials::authorization(self) {
            Some(value) => Ok(value),
            None => self.wait(None).await,
        }
    }

    /// What to say instead of this, which the server has refused.
    ///
    /// # Errors
    /// There is nothing else to say.
    pub async fn instead(&self, refused: &HeaderValue) -> Result<HeaderValue, NoToken> {
        if matches!(self.configured, ServerCredentials::Fixed(_)) {
            return Err(NoToken("there is one user and password".into()));
        }
        self.held.send_if_modified(|held| {
            let this = held.token.as_ref().is_some_and(|token| token.value == *refused);
            if this {
                held.token = None;
            }
            this
        });
        self.wait(Some(refused)).await
    }

    async fn wait(&self, other_than: Option<&HeaderValue>) -> Result<HeaderValue, NoToken> {
        let mut held = self.held.subscribe();
        let good = |held: &Held| held.good().is_some_and(|value| Some(value) != other_than);
        let found = timeout(PATIENCE, held.wait_for(good)).await;
        match found {
            Ok(Ok(held)) => held.good().cloned().ok_or_else(|| NoToken("it has ended".into())),
            _ => {
                let reason = self.held.borrow().reason.clone();
                Err(NoToken(reason.unwrap_or_else(|| "the token server has not answered yet".into())))
            }
        }
    }

    /// Keeps a token fresh until nobody needs it any more. Once for each process, on a runtime that serves no requests.
    pub fn tend(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        let this = Arc::downgrade(self);
        async move {
            match client() {
                Ok(client) => keep(&this, &client).await,
                Err(error) => tracing::error!(%error, "no token can be asked for"),
            }
        }
    }

    /// What to say, for a command that asks a server a few questions and looks after nothing.
    ///
    /// # Errors
    /// There is no token, and why.
    pub async fn once(&self) -> Result<HeaderValue, NoToken> {
        if let Ok(client) = client() {
            self.renew(&client).await;
        }
        let reason = || self.held.borrow().reason.clone().unwrap_or_else(|| "it cannot be asked for".into());
        upstream::Credentials::authorization(self).ok_or_else(|| NoToken(reason()))
    }

    /// Asks for a token, once; whether there is one.
    async fn renew(&self, client: &Client) -> bool {
        let ServerCredentials::Token(source) = &self.configured else { return true };
        let got = source.get(client).await;
        let outcome = if got.is_ok() { "got" } else { "failed" };
        metrics::counter!("fireguard_upstream_tokens_total", "outcome" => outcome).increment(1);
        let good = got.is_ok();
        self.held.send_modify(|held| match got {
            Ok(token) => *held = Held { token: Some(token), ..Held::default() },
            Err(reason) => {
                if held.reason.as_deref() != Some(&*reason) {
                    tracing::warn!(token_url = source.url, reason, "no token for the FHIR server");
                }
                held.reason = Some(reason.into());
            }
        });
        good
    }
}

impl upstream::Credentials for Credentials {
    fn authorization(&self) -> Option<HeaderValue> {
        match &self.configured {
            ServerCredentials::Fixed(value) => Some(value.clone()),
            ServerCredentials::Token(_) => self.held.borrow().good().cloned(),
        }
    }
}

impl Held {
    fn good(&self) -> Option<&HeaderValue> {
        self.token.as_ref().filter(|token| token.until > Instant::now()).map(|token| &token.value)
    }
}

/// Asks token servers.
fn client() -> reqwest::Result<Client> {
    Client::builder().timeout(ASKING).redirect(redirect::Policy::none()).build()
}

async fn keep(credentials: &Weak<Credentials>, client: &Client) {
    let mut breath = BREATH;
    loop {
        let Some(this) = credentials.upgrade() else { return };
        if matches!(this.configured, ServerCredentials::Fixed(_)) {
            return;
        }
        breath = match this.renew(client).await {
            true => BREATH,
            false => (breath * 2).min(LONGEST_BREATH),
        };
        let mut held = this.held.subscribe();
        let renew = held.borrow().token.as_ref().map(|token| token.renew);
        // Not held while nothing is done: the last to let go of it may have gone.
        drop(this);
        sleep(breath).await;
        if let Some(renew) = renew {
            // Until it is time, or the server has refused it, or nobody is there any more.
            let _ = timeout_at(renew, held.wait_for(|held| held.token.is_none())).await;
        }
    }
}

impl TokenSource {
    async fn get(&self, client: &Client) -> Result<Token, String> {
        let asked = Instant::now();
        let mut form = vec![("grant_type", "client_credentials".to_owned())];
        form.extend(self.scope.clone().map(|scope| ("scope", scope)));
        let mut request = client.post(&self.url).header("accept", "application/json");
        match &self.proof {
            // Encoded before they are put together (RFC 6749 §2.3.1).
            Proof::Secret(secret) => {
                request = request.basic_auth(encoded(&self.client_id), Some(encoded(secret)));
            }
            Proof::Key { key, algorithm, kid, .. } => {
                let header = Header { kid: kid.clone(), ..Header::new(*algorithm) };
                let now = jsonwebtoken::get_current_timestamp();
                let claims = json!({
                    "iss": self.client_id,
                    "sub": self.client_id,
                    "aud": self.url,
                    "iat": now,
                    "exp": now + ASSERTION,
                    "jti": Uuid::now_v7().to_string(),
                });
                let assertion =
                    encode(&header, &claims, key).map_err(|_| "the key does not sign".to_owned())?;
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned();
                form.push(("client_id", self.client_id.clone()));
                form.push(("client_assertion_type", kind));
                form.push(("client_assertion", assertion));
            }
        }
        let answer = request.form(&form).send().await.map_err(|error| described(&error))?;
        let status = answer.status();
        if !status.is_success() {
            return Err(format!("the token server answers {status}"));
        }
        let mut body = Vec::new();
        let mut answer = answer;
        while let Some(chunk) = answer.chunk().await.map_err(|error| described(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER {
                return Err("the token server's answer is too long".to_owned());
            }
        }
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|_| "the token server's answer holds no token".to_owned())?;
        token(&answer, asked)
    }
}

/// The token, and when it ends; counted from when it was asked for.
fn token(answer: &Answer, asked: Instant) -> Result<Token, String> {
    if !answer.token_type.eq_ignore_ascii_case("bearer") {
        return Err("the token is of a kind that is not known".to_owned());
    }
    let value = HeaderValue::from_str(&format!("Bearer {}", answer.access_token));
    let mut value = value.map_err(|_| "the token is no token".to_owned())?;
    value.set_sensitive(true);
    // A year is as good as ever, and cannot overflow.
    let lifetime = answer.expires_in.map_or(UNSAID, |seconds| Duration::from_secs(seconds.min(31_536_000)));
    let renew = lifetime.saturating_sub(BEFORE_ITS_END).max(lifetime / 2);
    Ok(Token { value, renew: asked + renew, until: asked + lifetime })
}

/// As a form encodes it; a space as `%20`, which is read by all.
fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(one).collect()
}

/// Without the URL, which the log has beside it.
fn described(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("the token server did not answer within {} s", ASKING.as_secs());
    }
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause.and_then(std::error::Error::source) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| "the token server cannot be reached".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_before_its_end() {
        let now = Instant::now();
        for (expires_in, renewed, ended) in [
            (Some(3600), 3540, 3600),
            (Some(90), 45, 90),
            (Some(10), 5, 10),
            (Some(0), 0, 0),
            (None, 240, 300),
        ] {
            let answer = Answer { access_token: "t".into(), token_type: "bearer".into(), expires_in };
            let token = token(&answer, now).unwrap();
            let after = |at: Instant| at.duration_since(now).as_secs();
            assert_eq!((after(token.renew), after(token.until)), (renewed, ended), "{expires_in:?}");
            assert!(token.value.is_sensitive());
        }
        let answer = |token: &str, kind: &str| {
            let (access_token, token_type) = (token.to_owned(), kind.to_owned());
            super::token(&Answer { access_token, token_type, expires_in: Some(u64::MAX) }, now)
        };
        assert!(
            answer("t", "mac").is_err() && answer("a\nb", "Bearer").is_err() && answer("t", "BEARER").is_ok()
        );
    }

    #[test]
    fn names_and_secrets_are_encoded() {
        assert_eq!(encoded("a:b c+d%"), "a%3Ab%20c%2Bd%25");
    }
}

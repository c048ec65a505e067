//! `POST /login`: users of the file get a token by their password.

use std::sync::Arc;
use std::time::Duration;

use fireguard_access::authentication::sessions::Issued;
use fireguard_access::authentication::users::{LONGEST_NAME, LONGEST_PASSWORD};
use fireguard_fhir::outcome::IssueCode;
use fireguard_fhir::parameters::Parameters;
use fireguard_traffic::body::full;
use fireguard_traffic::rate::Key;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;
use zeroize::Zeroize;

use crate::exchange::Entered;
use crate::failure::{Failure, Source};
use crate::logins::Logins;
use crate::stage::{Answer, Next, Stage};
use crate::state::Shared;

/// Where it is, beside every route.
const PATH: &str = "/login";
/// Name and password, however they are encoded.
const BODY: usize = 8 << 10;
/// How long they may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// The stage. Whatever is wrong with name or password is 401 in the same words and after the same time; too many tries
/// are 429.
pub struct Login {
    logins: Option<Arc<Logins>>,
    ipv6_prefix: u8,
}

/// What a client sends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    username: String,
    password: String,
}

impl Drop for Credentials {
    fn drop(&mut self) {
        self.password.zeroize();
    }
}

impl Login {
    /// For the users of the configuration, if it has any.
    pub fn new(shared: &Shared) -> Self {
        Self { logins: shared.logins.clone(), ipv6_prefix: shared.limits.rate_ipv6_prefix.0 }
    }
}

impl Stage<Box<Entered>> for Login {
    type Out = Box<Entered>;

    fn pass(&self, entered: Box<Entered>) -> Result<Box<Entered>, Box<Entered>> {
        let here = self.logins.is_some() && entered.parts.uri.path() == PATH;
        if here { Err(entered) } else { Ok(entered) }
    }

    async fn handle<N: Next<Box<Entered>>>(self: Arc<Self>, entered: Box<Entered>, mut next: N) -> Answer {
        let Some(logins) = &self.logins else { return next.call(entered).await };
        if entered.parts.method != Method::POST {
            let message = "one logs in by POST";
            let mut failure =
                Failure::client(StatusCode::METHOD_NOT_ALLOWED, IssueCode::NotSupported, message);
            failure.allow = &["POST"];
            return Err(failure);
        }
        let form = entered.parts.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(is_form);
        let client = Key::address(entered.origin.client, self.ipv6_prefix);
        let body = timeout(PATIENCE, Limited::new(entered.body, BODY).collect()).await;
        let Ok(Ok(body)) = body.map(|body| body.map(|body| body.to_bytes())) else {
            return Err(Failure::client(StatusCode::BAD_REQUEST, IssueCode::Invalid, HOW).closing());
        };
        let Some(credentials) = form.and_then(|form| credentials(form?, &body)) else {
            return Err(Failure::client(StatusCode::BAD_REQUEST, IssueCode::Invalid, HOW));
        };
        logins.may_try(&credentials.username, &client).map_err(too_many)?;
        let Credentials { username, password } = &credentials;
        match logins.log_in(username.clone(), password.clone().into_bytes()).await {
            Ok(Some(issued)) => Ok(answer(&issued)),
            Ok(None) => Err(wrong()),
            Err(busy) => Err(busy),
        }
    }
}

const HOW: &str = "send JSON with username and password, or a form";

/// Whether it is a form, or JSON; none: neither.
fn is_form(content_type: &str) -> Option<bool> {
    match content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "application/x-www-form-urlencoded" => Some(true),
        "application/json" => Some(false),
        _ => None,
    }
}

fn credentials(form: bool, body: &[u8]) -> Option<Credentials> {
    let credentials = if form {
        let mut fields = Parameters::parse(body).ok()?;
        let mut one = |name| <[String; 1]>::try_from(fields.take(name)).ok();
        let ([username], [password]) = (one("username")?, one("password")?);
        Credentials { username, password }
    } else {
        serde_json::from_slice(body).ok()?
    };
    let fits = credentials.username.len() <= LONGEST_NAME && credentials.password.len() <= LONGEST_PASSWORD;
    fits.then_some(credentials)
}

/// As an authorization server answers (RFC 6749 §5.1).
fn answer(issued: &Issued) -> Response<fireguard_traffic::body::Body> {
    let token = json!({
        "access_token": issued.token,
        "token_type": "Bearer",
        "expires_in": issued.lifetime.as_secs(),
    });
    let mut response = Response::new(full(token.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn wrong() -> Failure {
    Failure::client(StatusCode::UNAUTHORIZED, IssueCode::Login, "there is no user of this name and password")
}

fn too_many(wait: Duration) -> Failure {
    let message = "too many tries to log in";
    Failure::new(Source::Policy, StatusCode::TOO_MANY_REQUESTS, IssueCode::Throttled, message)
        .retry_after(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_and_a_password_are_taken() {
        let long = format!(r#"{{"username":"{}","password":"p"}}"#, "a".repeat(65));
        for (content_type, body, expected) in [
            ("application/json", r#"{"username":"ann","password":"p&q"}"#, Some(("ann", "p&q"))),
            ("Application/JSON; charset=utf-8", r#"{"username":"ann","password":""}"#, Some(("ann", ""))),
            ("application/x-www-form-urlencoded", "username=ann&password=p%26q+r", Some(("ann", "p&q r"))),
            ("application/x-www-form-urlencoded", "username=ann&username=bob&password=p", None),
            ("application/x-www-form-urlencoded", "username=ann", None),
            ("application/json", r#"{"username":"ann"}"#, None),
            ("application/json", r#"{"username":"ann","password":"p","more":1}"#, None),
            ("application/json", r#"{"username":1,"password":"p"}"#, None),
            ("application/json", "username=ann&password=p", None),
            ("application/fhir+json", r#"{"username":"ann","password":"p"}"#, None),
            ("text/plain", r#"{"username":"ann","password":"p"}"#, None),
            ("application/json", &long, None),
        ] {
            let found = is_form(content_type).and_then(|form| credentials(form, body.as_bytes()));
            let found = found.as_ref().map(|c| (c.username.as_str(), c.password.as_str()));
            assert_eq!(found, expected, "{content_type} {body}");
        }
    }
}

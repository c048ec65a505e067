//! Who may come in on a route, and how they show who they are: one file for each way.

mod bearer;
mod fetch;
mod local;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fireguard_access::authentication::certificate::Certificate;
use fireguard_access::authentication::{Fetch, IssuerSettings, Provider, Rejection, Tokens, Why};
use fireguard_access::principal::Principal;
use fireguard_fhir::base::Base;
use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::rate::Refusals;
use http::StatusCode;
use http::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use tokio::runtime::Handle;

pub use bearer::{Unusable, bearer};
pub use fetch::Fetcher;
pub use local::Local;

use crate::config::{self, Way};
use crate::failure::{Failure, Source};

/// Who may come in on a route.
#[derive(Debug)]
pub enum Authentication {
    /// Anyone.
    Open,
    /// Who shows who it is.
    Ways(Box<Ways>),
}

/// The ways to show who one is.
#[derive(Debug)]
pub struct Ways {
    /// By a token of an issuer.
    tokens: Tokens,
    /// By what this site itself knows.
    local: Local,
}

/// The issuers at work. A reload keeps them, with the keys they have.
#[derive(Debug, Default)]
pub struct Issuers {
    fetch: Arc<Fetcher>,
    known: Mutex<BTreeMap<Arc<str>, Arc<Provider>>>,
    refusals: Arc<Refusals>,
}

impl Issuers {
    /// Who may come in on a route to a server of these bases.
    pub fn authentication(
        &self,
        configured: &config::Authentication,
        local: &Local,
        server: &[Base],
    ) -> Authentication {
        let config::Authentication::Ways(ways) = configured else { return Authentication::Open };
        let issuers = ways.iter().filter_map(Way::issuer).map(|issuer| self.provider(issuer));
        let tokens = Tokens::new(issuers.collect(), server.to_vec());
        Authentication::Ways(Box::new(Ways { tokens, local: local.among(ways) }))
    }

    /// Has them asked on this runtime, at once for their keys.
    pub fn tend(&self, runtime: &Handle) {
        self.fetch.works_on(runtime);
        for provider in self.lock().values() {
            let provider = Arc::clone(provider);
            runtime.spawn(async move { provider.prepare().await });
        }
    }

    /// How often clients came with tokens that were refused.
    pub fn refusals(&self) -> &Arc<Refusals> {
        &self.refusals
    }

    /// The one that works with these settings.
    fn provider(&self, issuer: &Arc<IssuerSettings>) -> Arc<Provider> {
        let mut known = self.lock();
        let same = known.get(&issuer.name).filter(|known| known.settings() == issuer).cloned();
        same.unwrap_or_else(|| {
            let fetch = Arc::clone(&self.fetch) as Arc<dyn Fetch>;
            let new = Provider::new(Arc::clone(issuer), fetch);
            known.insert(Arc::clone(&issuer.name), Arc::clone(&new));
            new
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Provider>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Authentication {
    /// Whether anyone may come in.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open)
    }

    /// The issuers whose tokens are taken.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<Provider>> {
        let ways = match self {
            Self::Open => None,
            Self::Ways(ways) => Some(&**ways),
        };
        ways.into_iter().flat_map(|ways| ways.tokens.providers())
    }
}

impl Ways {
    /// The caller, if it is known already: then nothing has to be waited for. None: [`Ways::check`] it.
    ///
    /// # Errors
    /// It does not say who it is, or in a way that nobody could take.
    pub fn known(
        &self,
        headers: &HeaderMap,
        certificate: Option<&Certificate>,
        base: &Base,
    ) -> Result<Option<Arc<Principal>>, Failure> {
        match bearer(headers) {
            Ok(Some(token)) => match self.local.user(token) {
                Some(user) => user.map(Some).map_err(|_| rejected(base, Rejection::Invalid(Why::Inactive))),
                None => match self.tokens.known(token, base) {
                    Some(principal) => bound(principal, certificate, base).map(Some),
                    None => Ok(None),
                },
            },
            Ok(None) => self.local.client(certificate).map(Some).ok_or_else(|| nobody(base)),
            Err(unusable) => Err(invalid_request(base, unusable)),
        }
    }

    /// Finds out who the caller is.
    ///
    /// # Errors
    /// It is nobody who may come in, or that cannot be found out now.
    pub async fn check(
        &self,
        headers: &HeaderMap,
        certificate: Option<&Certificate>,
        base: &Base,
    ) -> Result<Arc<Principal>, Failure> {
        if let Some(principal) = self.known(headers, certificate, base)? {
            return Ok(principal);
        }
        let token = bearer(headers).ok().flatten().ok_or_else(|| nobody(base))?;
        let checked = self.tokens.check(token, base).await;
        bound(checked.map_err(|rejection| rejected(base, rejection))?, certificate, base)
    }
}

/// The caller, if it shows the certificate that its token is bound to.
fn bound(
    principal: Arc<Principal>,
    certificate: Option<&Certificate>,
    base: &Base,
) -> Result<Arc<Principal>, Failure> {
    match local::may_come(&principal, certificate) {
        true => Ok(principal),
        false => Err(rejected(base, Rejection::Invalid(Why::Confirmation))),
    }
}

/// 401 for who sends no token: what is wanted, and nothing of what went wrong (RFC 6750 §3).
fn nobody(base: &Base) -> Failure {
    let message = "this route asks who you are: send a token";
    challenge(StatusCode::UNAUTHORIZED, IssueCode::Login, message, base, None).detail("no token")
}

/// 400 for a request that tells its token twice, or not as it should.
fn invalid_request(base: &Base, unusable: Unusable) -> Failure {
    let message = unusable.to_string();
    challenge(StatusCode::BAD_REQUEST, IssueCode::Invalid, message, base, Some("invalid_request"))
}

fn rejected(base: &Base, rejection: Rejection) -> Failure {
    match rejection {
        // Why it is not good helps who made it up more than who got it.
        Rejection::Invalid(why) => {
            let message = "the token is not valid here";
            let failure =
                challenge(StatusCode::UNAUTHORIZED, IssueCode::Login, message, base, Some("invalid_token"));
            failure.detail(format!("the token is refused: {}", why.as_str()))
        }
        Rejection::Unavailable { retry_after } => unavailable(retry_after),
    }
}

/// 400 for a token where everybody can read it: in the URL (RFC 6750 §2.3 leaves that to us).
pub fn in_url(base: &Base) -> Failure {
    let message = "a token is sent in the Authorization header, not in the URL";
    challenge(StatusCode::BAD_REQUEST, IssueCode::Invalid, message, base, Some("invalid_request"))
}

/// 503, and not 401: the token may be good, and a client that throws it away would only ask for another one.
pub fn unavailable(retry_after: Duration) -> Failure {
    let message = "who you are cannot be found out at the moment";
    let status = StatusCode::SERVICE_UNAVAILABLE;
    Failure::new(Source::Proxy, status, IssueCode::Transient, message)
        .detail("the issuer cannot be asked")
        .retry_after(retry_after)
}

/// The realm is the base that clients know already.
fn challenge(
    status: StatusCode,
    code: IssueCode,
    message: impl Into<std::borrow::Cow<'static, str>>,
    base: &Base,
    error: Option<&'static str>,
) -> Failure {
    let mut failure = Failure::client(status, code, message);
    let error = error.map(|error| format!(", error=\"{error}\"")).unwrap_or_default();
    let challenge = HeaderValue::from_str(&format!("Bearer realm=\"{base}\"{error}"));
    failure.headers_mut().insert(WWW_AUTHENTICATE, challenge.unwrap_or(HeaderValue::from_static("Bearer")));
    failure
}

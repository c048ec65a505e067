//! The tokens of one route: who vouches for them, and the callers they make.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fireguard_fhir::base::Base;
use metrics::Counter;

use super::cache::{Cache, Digest};
use super::claims::Claims;
use super::jwt::Jwt;
use super::provider::Provider;
use super::rejection::{Rejection, Why};
use crate::principal::Principal;

/// How long a token that was good is believed without another look.
const BELIEVED: Duration = Duration::from_secs(60);
/// The same where its issuer may revoke it meanwhile.
const REVOCABLE: Duration = Duration::from_secs(30);

/// Checks the tokens of one route.
#[derive(Debug)]
pub struct Tokens {
    providers: Vec<(Arc<Provider>, Counter)>,
    /// The bases by which the FHIR server knows itself.
    server: Vec<Base>,
    known: Cache<Arc<Principal>>,
}

impl Tokens {
    /// Of these issuers, on a route to a server of these bases.
    pub fn new(providers: Vec<Arc<Provider>>, server: Vec<Base>) -> Self {
        // Counted for each request: looked up once.
        let counted = providers.into_iter().map(|provider| {
            let accepted = counter(&provider.settings().name, "accepted");
            (provider, accepted)
        });
        Self { providers: counted.collect(), server, known: Cache::default() }
    }

    /// Who vouches for tokens here.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.providers.iter().map(|(provider, _)| provider)
    }

    /// The caller whose token was checked a short while ago, toward clients of this base.
    pub fn known(&self, token: &str, base: &Base) -> Option<Arc<Principal>> {
        let principal = self.known.get(&Self::digest(token, base))?;
        if let Some((_, accepted)) =
            self.providers.iter().find(|(provider, _)| provider.settings().url == principal.issuer)
        {
            accepted.increment(1);
        }
        Some(principal)
    }

    /// The caller that a token makes, toward clients of this base.
    ///
    /// # Errors
    /// It is not good, or that cannot be found out now.
    pub async fn check(&self, token: &str, base: &Base) -> Result<Arc<Principal>, Rejection> {
        let mut asked = None;
        let checked = self.find(token, &mut asked).await;
        let name = asked.map_or("none", |provider| &provider.settings().name);
        let (claims, provider, opaque) = checked.inspect_err(|rejection| refused(name, *rejection))?;
        let bases: Vec<&Base> = std::iter::once(base).chain(&self.server).collect();
        let settings = provider.settings();
        if claims.names_a_foreign_user(settings, &bases) {
            tracing::warn!(issuer = %settings.name, "a token names a user of another server: it is left out");
        }
        let principal = claims.principal(settings, &bases).map_err(Rejection::from);
        let principal = Arc::new(principal.inspect_err(|rejection| refused(name, *rejection))?);
        counter(&settings.name, "accepted").increment(1);
        let believed = if provider.may_revoke(opaque) { REVOCABLE } else { BELIEVED };
        let left = principal.expires.map(|end| end.duration_since(SystemTime::now()).unwrap_or_default());
        self.known.put(
            Self::digest(token, base),
            Arc::clone(&principal),
            left.map_or(believed, |left| left.min(believed)),
        );
        Ok(principal)
    }

    async fn find<'a>(
        &'a self,
        token: &str,
        asked: &mut Option<&'a Arc<Provider>>,
    ) -> Result<(Claims, &'a Arc<Provider>, bool), Rejection> {
        if let Some(jwt) = Jwt::parse(token)? {
            let named = |provider: &&Arc<Provider>| jwt.issuer() == Some(&*provider.settings().url);
            let provider = self.providers().find(named).ok_or(Why::Issuer)?;
            *asked = Some(provider);
            return Ok((provider.check(token, jwt).await?, provider, false));
        }
        let mut refused = Rejection::Invalid(Why::Malformed);
        for provider in self.providers().filter(|provider| provider.introspects()) {
            *asked = Some(provider);
            match provider.introspect(token).await {
                Ok(claims) => return Ok((claims, provider, true)),
                // One that cannot be asked might have known it.
                Err(rejection) if !matches!(refused, Rejection::Unavailable { .. }) => refused = rejection,
                Err(_) => {}
            }
        }
        Err(refused)
    }

    fn digest(token: &str, base: &Base) -> Digest {
        Digest::of([base.as_str().as_bytes(), token.as_bytes()])
    }
}

fn refused(issuer: &str, rejection: Rejection) {
    let outcome = match rejection {
        Rejection::Invalid(why) => why.as_str(),
        Rejection::Unavailable { .. } => "unavailable",
    };
    counter(issuer, outcome).increment(1);
}

fn counter(issuer: &str, outcome: &'static str) -> Counter {
    metrics::counter!("fireguard_tokens_total", "issuer" => issuer.to_owned(), "outcome" => outcome)
}

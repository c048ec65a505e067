//! An issuer at work: its keys, kept and renewed, and whether a token is good.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use metrics::counter;

use super::claims::Claims;
use super::discovery::{Discovery, NotFound, discover, get};
use super::fetch::Fetch;
use super::introspection::Introspection;
use super::jwt::Jwt;
use super::keys::{KeySet, UnknownKey};
use super::refresh::{Reason, Refresh, Turn};
use super::rejection::{Rejection, Why};
use super::settings::IssuerSettings;

/// Keys older than this are renewed while they are used: one that the issuer has withdrawn is not believed for long.
const FRESH: Duration = Duration::from_secs(600);
/// When to come back while the issuer cannot be reached.
const COME_BACK: Duration = Duration::from_secs(5);

/// An issuer at work. All cores and routes share it.
#[derive(Debug)]
pub struct Provider {
    settings: Arc<IssuerSettings>,
    fetch: Arc<dyn Fetch>,
    known: ArcSwapOption<Known>,
    refresh: Mutex<Refresh>,
    introspection: Option<Introspection>,
}

/// What is known of an issuer.
#[derive(Debug)]
struct Known {
    keys: KeySet,
    document: Option<Arc<Discovery>>,
    since: Instant,
}

impl Provider {
    /// One of which nothing is known yet.
    pub fn new(settings: Arc<IssuerSettings>, fetch: Arc<dyn Fetch>) -> Arc<Self> {
        let introspection = settings.introspection.clone().map(Introspection::new);
        let (known, refresh) = (ArcSwapOption::empty(), Mutex::default());
        Arc::new(Self { settings, fetch, known, refresh, introspection })
    }

    /// What is believed of its tokens.
    pub fn settings(&self) -> &Arc<IssuerSettings> {
        &self.settings
    }

    /// What it publishes of itself, if it is to be asked for that at all.
    ///
    /// # Errors
    /// It cannot be asked now.
    pub async fn discovery(self: &Arc<Self>) -> Result<Option<Arc<Discovery>>, Rejection> {
        Ok(self.known().await?.document.clone())
    }

    /// Asks for its keys if they are not known, so that the first caller need not wait.
    pub async fn prepare(self: &Arc<Self>) {
        // Whether it works out stands in the log.
        let _ = self.known().await;
    }

    /// Whether a JWT that names this issuer is good.
    ///
    /// # Errors
    /// It is not, or that cannot be found out now.
    pub(super) async fn check(self: &Arc<Self>, token: &str, jwt: Jwt<'_>) -> Result<Claims, Rejection> {
        self.verify(&jwt).await?;
        let claims = Claims::new(jwt.claims);
        claims.check(&self.settings, SystemTime::now())?;
        match self.introspection.as_ref().filter(|introspection| introspection.wants_all()) {
            Some(_) => {
                self.introspect(token).await?;
                Ok(claims)
            }
            None => Ok(claims),
        }
    }

    /// Whether the issuer can be asked about tokens that are no JWTs.
    pub(super) fn introspects(&self) -> bool {
        self.introspection.is_some()
    }

    /// Whether what it says of a token may change before the token ends.
    pub(super) fn may_revoke(&self, opaque: bool) -> bool {
        opaque || self.introspection.as_ref().is_some_and(Introspection::wants_all)
    }

    /// What the issuer says of a token.
    ///
    /// # Errors
    /// It is not good, or that cannot be found out now.
    pub(super) async fn introspect(self: &Arc<Self>, token: &str) -> Result<Claims, Rejection> {
        let Some(introspection) = &self.introspection else { return Err(Why::Malformed.into()) };
        let url = match introspection.url() {
            Some(url) => url.to_owned(),
            None => {
                let known = self.known().await?;
                let document = known.document.as_ref();
                let url = document.and_then(|document| document.introspection_endpoint.clone());
                url.ok_or_else(|| {
                    tracing::error!(issuer = %self.settings.name, "it does not say where it is asked about tokens");
                    unavailable()
                })?
            }
        };
        introspection.ask(&*self.fetch, url, token, &self.settings).await
    }

    async fn verify(self: &Arc<Self>, jwt: &Jwt<'_>) -> Result<(), Rejection> {
        let allowed = |algorithm| self.settings.algorithms.contains(&algorithm);
        let known = self.known().await?;
        match known.keys.verify(jwt, allowed) {
            Ok(verified) => return Ok(verified?),
            Err(UnknownKey) => self.ask(Reason::UnknownKey).await,
        }
        let newer = self.known.load_full().unwrap_or(known);
        newer.keys.verify(jwt, allowed).unwrap_or(Err(Why::Key)).map_err(Rejection::from)
    }

    /// What is known, if it is not too old to be believed.
    async fn known(self: &Arc<Self>) -> Result<Arc<Known>, Rejection> {
        let usable = |known: &Arc<Known>| known.since.elapsed() < self.settings.keys_stale;
        if let Some(known) = self.known.load_full().filter(usable) {
            if known.since.elapsed() >= FRESH {
                self.ask_beside();
            }
            return Ok(known);
        }
        self.ask(Reason::Missing).await;
        self.known.load_full().filter(usable).ok_or_else(unavailable)
    }

    /// Has the issuer asked, by one for all, and waits for the answer. It may be too early for that.
    async fn ask(self: &Arc<Self>, reason: Reason) {
        if let Some(mut asking) = self.turn(reason) {
            // It ends when the one that asks is done.
            while asking.changed().await.is_ok() {}
        }
    }

    /// The same without waiting.
    fn ask_beside(self: &Arc<Self>) {
        drop(self.turn(Reason::Old));
    }

    fn turn(self: &Arc<Self>, reason: Reason) -> Option<tokio::sync::watch::Receiver<()>> {
        let mut refresh = self.refresh.lock().unwrap_or_else(PoisonError::into_inner);
        match refresh.turn(reason, Instant::now()) {
            Turn::Wait(asking) => Some(asking),
            Turn::TooEarly => None,
            Turn::Ask(sender, asking) => {
                let this = Arc::clone(self);
                // Aside: it goes on if the caller that wanted it has left, or every caller could use up the turn.
                self.fetch.spawn(Box::pin(async move {
                    this.renew().await;
                    drop(sender);
                }));
                Some(asking)
            }
        }
    }

    async fn renew(&self) {
        let issuer = &self.settings.name;
        let asked = self.load().await;
        let outcome = if asked.is_ok() { "ok" } else { "failed" };
        counter!("fireguard_issuer_keys_total", "issuer" => Arc::clone(issuer), "outcome" => outcome)
            .increment(1);
        match asked {
            Ok(known) => {
                tracing::info!(%issuer, "its keys are known");
                self.known.store(Some(Arc::new(known)));
            }
            Err(reason) => tracing::warn!(%issuer, %reason, "it cannot be asked for its keys"),
        }
    }

    async fn load(&self) -> Result<Known, NotFound> {
        let fetch = &*self.fetch;
        let document = match &self.settings.keys {
            Some(_) => None,
            None => Some(discover(fetch, &self.settings.url).await?),
        };
        let url = self.settings.keys.clone().or_else(|| Some(document.as_ref()?.jwks_uri()?.to_owned()));
        let Some(url) = url else {
            let reason = "it does not say where its keys are".to_owned();
            return Err(NotFound::Unusable { url: self.settings.url.to_string(), reason });
        };
        let (url, body) = get(fetch, url).await?;
        let unusable = |reason: super::keys::NoKeys| NotFound::Unusable { url, reason: reason.to_string() };
        let keys = KeySet::parse(&body).map_err(unusable)?;
        Ok(Known { keys, document: document.map(Arc::new), since: Instant::now() })
    }
}

fn unavailable() -> Rejection {
    Rejection::Unavailable { retry_after: COME_BACK }
}

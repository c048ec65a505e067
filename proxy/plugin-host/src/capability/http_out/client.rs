//! The client that plugins send with: nothing it does leads where the grant does not.

use std::error::Error as _;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, Client, Method, Response, Url, redirect};
use tokio::sync::Semaphore;

use super::address::Reach;
use super::headers;
use super::origin::Origin;

/// Redirects that are followed.
const REDIRECTS: usize = 5;
const CONNECT: Duration = Duration::from_secs(2);
/// Requests of one plugin at once; the others wait.
const AT_ONCE: usize = 32;
const USER_AGENT: &str = "fireguard-plugin";

/// What may be sent where.
pub(super) struct Rules {
    pub(super) hosts: Vec<Origin>,
    pub(super) reach: Reach,
    /// Certificates of authorities that are trusted besides the system's, in PEM.
    pub(super) authorities: Vec<Certificate>,
    /// From the beginning of a request to the end of its answer.
    pub(super) timeout: Duration,
    /// Bytes of a body, in each direction.
    pub(super) most: usize,
}

/// A request, unchecked.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Vec<u8>>,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// Why there is no answer. Nothing of URL, headers or bodies stands in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("the URL is none of http or https")]
    Url,
    #[error("{0} is not among the hosts that are granted")]
    Host(String),
    #[error("the host is at an address that is not granted: private, or this machine's")]
    Address,
    #[error("the method is none of HTTP, or CONNECT or TRACE")]
    Method,
    #[error("header {0} cannot be sent: {1}")]
    Header(usize, &'static str),
    #[error("the body has over {0} bytes")]
    TooLong(usize),
    #[error("the host did not answer in time")]
    Timeout,
    #[error("the host cannot be reached: {0}")]
    Unreachable(&'static str),
}

/// Sends for one plugin. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sender(Arc<Inner>);

struct Inner {
    rules: Rules,
    client: Client,
    places: Semaphore,
}

/// Looks a name up.
type Lookup =
    Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> + Send + Sync>;

impl Sender {
    /// By these rules.
    ///
    /// # Errors
    /// What TLS says of the authorities.
    pub(super) fn new(rules: Rules) -> Result<Self, String> {
        Self::with_lookup(rules, Arc::new(|name| Box::pin(system_lookup(name))))
    }

    fn with_lookup(rules: Rules, lookup: Lookup) -> Result<Self, String> {
        let resolver = Guarded { lookup, reach: rules.reach.clone() };
        let (hosts, reach) = (rules.hosts.clone(), rules.reach.clone());
        let follow = redirect::Policy::custom(move |attempt| {
            let granted = permitted(attempt.url(), &hosts, &reach).is_ok();
            // Otherwise the redirect itself is the answer.
            if granted && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
        });
        let client = Client::builder()
            .dns_resolver(Arc::new(resolver))
            .redirect(follow)
            // Those of the environment would decide where a request goes.
            .no_proxy()
            .referer(false)
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT)
            .timeout(rules.timeout)
            .tls_certs_merge(rules.authorities.iter().cloned())
            .build()
            .map_err(|error| chain(&error))?;
        Ok(Self(Arc::new(Inner { rules, client, places: Semaphore::new(AT_ONCE) })))
    }

    /// Sends, and reads the whole answer.
    pub(super) async fn send(&self, request: Request) -> Result<Answer, Fault> {
        let Inner { rules, client, places } = &*self.0;
        let url = Url::parse(&request.url).map_err(|_| Fault::Url)?;
        permitted(&url, &rules.hosts, &rules.reach)?;
        let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| Fault::Method)?;
        if matches!(method, Method::CONNECT | Method::TRACE) {
            return Err(Fault::Method);
        }
        let fields = request.headers.iter().map(|(name, value)| (&**name, &**value));
        let headers = headers::of_request(fields).map_err(|(place, why)| Fault::Header(place, why))?;
        let mut sending = client.request(method, url).headers(headers);
        if let Some(body) = request.body {
            if body.len() > rules.most {
                return Err(Fault::TooLong(rules.most));
            }
            sending = sending.body(body);
        }
        let _place = places.acquire().await.map_err(|_| Fault::Unreachable("the client is closed"))?;
        let answer = sending.send().await.map_err(|error| fault(&error))?;
        let (status, headers) = (answer.status().as_u16(), headers::of_answer(answer.headers()));
        Ok(Answer { status, headers, body: body(answer, rules.most).await? })
    }
}

/// The answer's body, as long as it may be.
async fn body(mut answer: Response, most: usize) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| fault(&error))? {
        if piece.len() > most - body.len() {
            return Err(Fault::TooLong(most));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// Whether the grant leads there. Names are looked at once more when they are looked up.
fn permitted(url: &Url, hosts: &[Origin], reach: &Reach) -> Result<(), Fault> {
    let origin = Origin::of(url).ok_or(Fault::Url)?;
    if !hosts.contains(&origin) {
        return Err(Fault::Host(origin.to_string()));
    }
    if origin.address().is_some_and(|address| !reach.includes(address)) {
        return Err(Fault::Address);
    }
    Ok(())
}

/// Resolves to addresses that may be reached only. The connection is made to these very ones: what a name server
/// says the next time does not matter.
struct Guarded {
    lookup: Lookup,
    reach: Reach,
}

#[derive(Debug, thiserror::Error)]
#[error("not an address that is granted")]
struct NotGranted;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (found, reach) = ((self.lookup)(name.as_str().to_owned()), self.reach.clone());
        Box::pin(async move {
            let mut found = found.await?;
            found.retain(|address| reach.includes(address.ip()));
            if found.is_empty() {
                return Err(NotGranted.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

async fn system_lookup(name: String) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((name, 0)).await?.collect())
}

fn fault(error: &reqwest::Error) -> Fault {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if inner.is::<NotGranted>() {
            return Fault::Address;
        }
        cause = inner.source();
    }
    if error.is_timeout() {
        Fault::Timeout
    } else if error.is_connect() {
        Fault::Unreachable("no connection could be made")
    } else {
        Fault::Unreachable("the connection broke")
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", chain(source)))
}

#[cfg(test)]
mod tests;

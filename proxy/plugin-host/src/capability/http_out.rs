//! Capability: HTTP requests to the hosts that the configuration names.

mod address;
mod client;
mod headers;
mod origin;

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::Certificate;
use wasmtime::component::{HasData, Linker};

use self::address::Reach;
use self::client::{Answer, Fault, Request, Rules};
use self::origin::Origin;
use super::error;
use super::grant::{Allowance, GrantFault, Held};
use crate::contract::{Error, Field, http_out};
use crate::host::HostState;

pub(crate) use self::client::Sender;

/// Requests in one call of the guest.
const REQUESTS: u32 = 64;

/// `[plugins.<name>.grants.http_out]`.
#[derive(Debug)]
pub struct HttpOutGrant {
    /// Where it may send to: `https://api.example.org`, `http://127.0.0.1:8080`; scheme, host and port are compared.
    pub hosts: Vec<String>,
    /// Networks it may reach besides the internet.
    pub private: Vec<IpNet>,
    /// Certificates of authorities that are trusted besides the system's, in PEM.
    pub authorities: Option<Vec<u8>>,
    /// From the beginning of a request to the end of its answer. Usually [`HttpOutGrant::TIMEOUT`].
    pub timeout: Duration,
    /// Bytes of a body, in each direction. Usually [`HttpOutGrant::BODY_BYTES`].
    pub body_bytes: usize,
}

impl HttpOutGrant {
    /// The default of [`timeout`](Self::timeout): less than a call of a plugin may take.
    pub const TIMEOUT: Duration = Duration::from_secs(3);
    /// The default of [`body_bytes`](Self::body_bytes).
    pub const BODY_BYTES: usize = 8 << 20;

    /// Whether this is written as one of the [`hosts`](Self::hosts).
    pub fn is_host(text: &str) -> bool {
        Origin::granted(text).is_some()
    }
}

/// What is wrong with a grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpOutFault {
    /// There is no host.
    #[error("hosts is empty: name those that it may send to, \"https://api.example.org\"")]
    NoHost,
    /// A host is not written as one.
    #[error("{0:?} is no host: write a scheme, a host and perhaps a port, \"https://api.example.org\"")]
    Host(String),
    /// The authorities cannot be read.
    #[error("the certificates of the authorities cannot be used: {0}")]
    Authorities(String),
}

/// Adds `fireguard:plugin/http-out`.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    http_out::add_to_linker::<HostState, HttpOut>(linker, |host| &mut host.capabilities.http_out)
}

/// Checks the grant and makes the client.
///
/// # Errors
/// [`HttpOutFault`].
pub(crate) fn validate(grant: HttpOutGrant) -> Result<Sender, GrantFault> {
    if grant.hosts.is_empty() {
        return Err(HttpOutFault::NoHost.into());
    }
    let origin = |host: &String| Origin::granted(host).ok_or_else(|| HttpOutFault::Host(host.clone()));
    let unusable = |error: reqwest::Error| HttpOutFault::Authorities(error.to_string());
    let authorities = match &grant.authorities {
        Some(pem) => Certificate::from_pem_bundle(pem).map_err(unusable)?,
        None => Vec::new(),
    };
    if grant.authorities.is_some() && authorities.is_empty() {
        return Err(HttpOutFault::Authorities("there is none in the file".to_owned()).into());
    }
    let rules = Rules {
        hosts: grant.hosts.iter().map(origin).collect::<Result<_, _>>()?,
        reach: Reach::new(grant.private),
        authorities,
        timeout: grant.timeout,
        most: grant.body_bytes,
    };
    Ok(Sender::new(rules).map_err(HttpOutFault::Authorities)?)
}

/// The state of one instance of the plugin `name`.
pub(crate) fn prepare(granted: Option<&Arc<Sender>>, name: &Arc<str>) -> State {
    State { granted: Held::new(name, "http_out", granted), requests: Allowance::new(REQUESTS) }
}

/// Names the state's type for wasmtime.
pub(crate) struct HttpOut;

impl HasData for HttpOut {
    type Data<'a> = &'a mut State;
}

/// Answers the guest.
pub(crate) struct State {
    granted: Held<Sender>,
    requests: Allowance,
}

impl State {
    pub(crate) fn begin_call(&mut self) {
        self.requests.begin_call();
    }
}

impl http_out::Host for State {
    async fn send(&mut self, request: http_out::Request) -> Result<http_out::Response, Error> {
        let sender = self.granted.get()?;
        self.requests.take()?;
        let http_out::Request { method, url, headers, body, extras: _ } = request;
        let headers = headers.into_iter().map(|Field { name, value }| (name, value)).collect();
        let answer = sender.send(Request { method, url, headers, body }).await.map_err(refused)?;
        let Answer { status, headers, body } = answer;
        let headers = headers.into_iter().map(|(name, value)| Field { name, value }).collect();
        Ok(http_out::Response { status, headers, body, extras: Vec::new() })
    }
}

fn refused(fault: Fault) -> Error {
    let code = match fault {
        Fault::Url | Fault::Method | Fault::Header(..) => "invalid",
        Fault::Host(_) | Fault::Address => "denied",
        Fault::TooLong(_) => "too-much",
        Fault::Timeout | Fault::Unreachable(_) => "unavailable",
    };
    error(code, fault.to_string())
}

//! Capability: requests to the FHIR server. What sends them is given with the exchange, and keeps the rules of a route.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use wasmtime::component::{HasData, Linker};

use super::error;
use super::grant::Held;
use crate::contract::{Error, Field, fhir_client};
use crate::host::HostState;

/// Requests side by side in one question.
const REQUESTS: usize = 32;
/// Requests of one exchange, all calls together.
const REQUESTS_PER_EXCHANGE: u32 = 256;
/// Bytes of one body, in each direction.
const BODY_BYTES: usize = 8 << 20;
/// Headers of a request.
const HEADERS: usize = 32;

/// What is answered to each request.
pub type FhirAnswers<'a> = Pin<Box<dyn Future<Output = Vec<Result<FhirAnswer, FhirFault>>> + Send + 'a>>;

/// Sends for one exchange.
pub trait FhirClient: Send + Sync {
    /// Sends them side by side; one answer for each, in the same order, with a body of at most so many bytes.
    fn send<'a>(&'a self, by: &'a By, requests: Vec<FhirRequest>, most: usize) -> FhirAnswers<'a>;
}

/// By whose right a plugin sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// The caller's, on the route of the exchange.
    Caller,
    /// The proxy's own, on the route of this name.
    Route(String),
}

/// A request to the FHIR server, unchecked.
#[derive(Clone, PartialEq, Eq)]
pub struct FhirRequest {
    /// `GET`, …
    pub method: String,
    /// Relative to the base.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body, if there is one.
    pub body: Option<Vec<u8>>,
}

/// An answer of the FHIR server, or of a gate before it.
#[derive(Clone, PartialEq, Eq)]
pub struct FhirAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Names, in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, which may be empty.
    pub body: Vec<u8>,
}

/// Why a request has no answer. Nothing of it stands here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FhirFault {
    /// It is none.
    #[error("{0}")]
    Invalid(String),
    /// There is nobody by whose right it could be sent.
    #[error("{0}")]
    Denied(String),
    /// The answer is too long.
    #[error("the answer has over {0} bytes")]
    TooLong(usize),
    /// The answer broke off.
    #[error("{0}")]
    Unavailable(String),
}

/// `[plugins.<name>.grants.fhir_client]`.
#[derive(Debug)]
pub struct FhirClientGrant {
    /// By whose right it sends.
    pub by: By,
}

/// What an exchange lends to the instances that work for it.
#[derive(Clone)]
pub(crate) struct Lent {
    client: Arc<dyn FhirClient>,
    left: Arc<AtomicU32>,
}

impl Lent {
    pub(crate) fn new(client: Arc<dyn FhirClient>) -> Self {
        Self { client, left: Arc::new(AtomicU32::new(REQUESTS_PER_EXCHANGE)) }
    }

    /// Uses up so many requests.
    fn take(&self, requests: usize) -> Result<(), Error> {
        let requests = u32::try_from(requests).unwrap_or(u32::MAX);
        let taken =
            self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(requests));
        let message = || format!("one exchange asks {REQUESTS_PER_EXCHANGE} times at most");
        taken.map(|_| ()).map_err(|_| error("too-much", message()))
    }
}

/// Adds `fireguard:plugin/fhir-client`.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    fhir_client::add_to_linker::<HostState, Client>(linker, |host| &mut host.capabilities.fhir_client)
}

/// The state of one instance of the plugin `name`.
pub(crate) fn prepare(granted: Option<&Arc<FhirClientGrant>>, name: &Arc<str>) -> State {
    State { granted: Held::new(name, "fhir_client", granted), lent: None }
}

/// Names the state's type for wasmtime.
pub(crate) struct Client;

impl HasData for Client {
    type Data<'a> = &'a mut State;
}

/// Answers the guest.
pub(crate) struct State {
    granted: Held<FhirClientGrant>,
    /// None while the plugin is configured: there is no exchange then.
    lent: Option<Lent>,
}

impl State {
    /// The instance works for this exchange now.
    pub(crate) fn lend(&mut self, lent: Option<Lent>) {
        self.lent = lent;
    }

    async fn answers(
        &self,
        requests: Vec<fhir_client::Request>,
    ) -> Result<Vec<Result<fhir_client::Response, Error>>, Error> {
        let granted = self.granted.get()?;
        let lent =
            self.lent.as_ref().ok_or_else(|| error("unavailable", "there is no exchange to ask for"))?;
        if requests.len() > REQUESTS {
            return Err(error("too-much", format!("{REQUESTS} requests are sent side by side at most")));
        }
        for (place, request) in requests.iter().enumerate() {
            if request.body.as_ref().is_some_and(|body| body.len() > BODY_BYTES) {
                return Err(error(
                    "too-much",
                    format!("the body of request {place} has over {BODY_BYTES} bytes"),
                ));
            }
            if request.headers.len() > HEADERS {
                return Err(error("too-much", format!("request {place} has over {HEADERS} headers")));
            }
        }
        lent.take(requests.len())?;
        let requests = requests.into_iter().map(read).collect();
        let answers = lent.client.send(&granted.by, requests, BODY_BYTES).await;
        Ok(answers.into_iter().map(|answer| answer.map(written).map_err(refused)).collect())
    }
}

impl fhir_client::Host for State {
    async fn send(
        &mut self,
        requests: Vec<fhir_client::Request>,
    ) -> Vec<Result<fhir_client::Response, Error>> {
        let many = requests.len();
        self.answers(requests).await.unwrap_or_else(|error| vec![Err(error); many])
    }
}

fn read(request: fhir_client::Request) -> FhirRequest {
    let fhir_client::Request { method, url, headers, body, extras: _ } = request;
    let headers = headers.into_iter().map(|Field { name, value }| (name, value)).collect();
    FhirRequest { method, url, headers, body }
}

fn written(answer: FhirAnswer) -> fhir_client::Response {
    let FhirAnswer { status, headers, body } = answer;
    let headers = headers.into_iter().map(|(name, value)| Field { name, value }).collect();
    fhir_client::Response { status, headers, body, extras: Vec::new() }
}

fn refused(fault: FhirFault) -> Error {
    let code = match fault {
        FhirFault::Invalid(_) => "invalid",
        FhirFault::Denied(_) => "denied",
        FhirFault::TooLong(_) => "too-much",
        FhirFault::Unavailable(_) => "unavailable",
    };
    error(code, fault.to_string())
}

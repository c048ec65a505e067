//! Makes the body for the server.
//!
//! Forms are read, merged with the URL's parameters and written anew. JSON streams through while a scanner
//! checks it: what HAPI and others would read differently (duplicate members) or choke on (depth) never
//! arrives whole, and a body that breaks off stores nothing. Entries of a batch or transaction are parsed and
//! judged like requests of their own.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use fireguard_fhir::base::Base;
use fireguard_fhir::bundle::requests::Requests;
use fireguard_fhir::interaction::{BodyKind, Interaction, Refusal};
use fireguard_fhir::json::scan::Checker;
use fireguard_fhir::json::{Error, ErrorKind};
use fireguard_fhir::outcome::IssueCode;
use fireguard_fhir::references::ConditionalReferences;
use fireguard_traffic::body::{BodyError, Outgoing};
use http::{HeaderMap, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep, timeout};

use super::gate::Rules;
use crate::config::defaults;
use crate::exchange::{Asked, Exchange, Ready, Upload, Watch};
use crate::failure::Failure;
use crate::stage::{Answer, Next, Stage};
use crate::state::{Route, Shared};

/// The stage. Answers 400 for a body that is not JSON, 408 for one that takes too long, 413 for one over the limit, 415 for an encoded one.
pub struct MakeBody {
    limit: u64,
    /// How long a body may take to arrive.
    total: Duration,
    /// How long a form may.
    form: Duration,
    rules: Rules,
}

impl MakeBody {
    /// With the limits of the configuration.
    pub fn new(shared: &Shared) -> Self {
        let limits = &shared.limits;
        let total = limits.request_body_total.0;
        let form = total.min(limits.body_idle.0);
        Self { limit: limits.request_body.0, total, form, rules: Rules::new(shared) }
    }
}

impl Stage<Asked> for MakeBody {
    type Out = Ready;

    async fn handle<N: Next<Ready>>(self: Arc<Self>, asked: Asked, mut next: N) -> Answer {
        let Exchange { id, client, route, base, mut request, headers, body, facts } = asked;
        let watch = Watch::default();
        let outgoing = match &request.body {
            BodyKind::None if !body.is_end_stream() => {
                let message = "this interaction has no body";
                return Err(Failure::client(StatusCode::BAD_REQUEST, IssueCode::Invalid, message));
            }
            BodyKind::None => Outgoing::Whole(Bytes::new()),
            kind => {
                refuse_encoded(&headers)?;
                let inspect = match kind {
                    BodyKind::FhirJson if matches!(request.interaction, Interaction::Bundle { .. }) => {
                        let entries = Entries {
                            requests: Requests::default(),
                            route: Arc::clone(&route),
                            base: base.clone(),
                            rules: self.rules,
                        };
                        Inspect::Entries(Box::new(entries))
                    }
                    BodyKind::FhirJson | BodyKind::JsonPatch => Inspect::Json(Checker::default()),
                    _ => Inspect::Nothing,
                };
                if matches!(kind, BodyKind::Form) {
                    let form = Limited::new(body, defaults::FORM_BODY as usize).collect();
                    let form = timeout(self.form, form).await.map_err(|_| too_slow())?;
                    request = request.with_form(&form.map_err(not_read)?.to_bytes())?;
                    // Gate 1 has seen the parameters of the URL only.
                    self.rules.judge(&route, &request)?;
                    Outgoing::Whole(request.form().unwrap_or_default().into())
                } else if body.size_hint().lower() > self.limit {
                    return Err(too_long());
                } else {
                    watch.streams();
                    let watch = watch.clone();
                    let json = matches!(kind, BodyKind::FhirJson | BodyKind::JsonPatch);
                    let searches = (json && route.surface.lists_parameters()).then(|| {
                        let references = ConditionalReferences::default();
                        Box::new(Searches { references, route: Arc::clone(&route), rules: self.rules })
                    });
                    let deadline = Box::pin(sleep(self.total));
                    let checked =
                        Checked { body, inspect, searches, left: self.limit, deadline, watch, done: false };
                    Outgoing::Stream(checked.boxed_unsync())
                }
            }
        };
        let body = Upload { body: outgoing, watch };
        next.call(Exchange { id, client, route, base, request, headers, body, facts }).await
    }
}

/// A request body that is checked on its way.
struct Checked {
    body: Incoming,
    inspect: Inspect,
    searches: Option<Box<Searches>>,
    left: u64,
    /// Who sends a little now and then is never silent for long, and never through.
    deadline: Pin<Box<Sleep>>,
    watch: Watch,
    done: bool,
}

/// What is looked at while a body passes.
enum Inspect {
    /// Somebody's file.
    Nothing,
    /// Whether it is sound JSON.
    Json(Checker),
    /// That, and what each entry of a Bundle asks for.
    Entries(Box<Entries>),
}

/// The entries of a batch or transaction: each is judged like a request of its own.
struct Entries {
    requests: Requests,
    route: Arc<Route>,
    base: Base,
    rules: Rules,
}

/// The searches that references ask the server for, on a route with a list of parameters.
struct Searches {
    references: ConditionalReferences,
    route: Arc<Route>,
    rules: Rules,
}

impl Inspect {
    fn finish(&self) -> Result<(), Failure> {
        match self {
            Self::Nothing => Ok(()),
            Self::Json(checker) => checker.finish().map_err(not_json),
            Self::Entries(entries) => {
                entries.requests.finish().map_err(not_json)?;
                entries.requests.kind()?;
                Ok(())
            }
        }
    }
}

impl Entries {
    fn feed(&mut self, data: &[u8]) -> Result<(), Failure> {
        for entry in self.requests.feed(data).map_err(not_json)? {
            let url = entry.url();
            let request = entry.parse(self.base.strip(url).unwrap_or(url)).and_then(|request| {
                self.rules.judge(&self.route, &request)?;
                Ok(request)
            });
            if let Err(refusal) = request {
                let message = format!("an entry of the Bundle is refused: {}", refusal.message);
                return Err(Refusal { message, ..refusal }.into());
            }
        }
        Ok(())
    }
}

impl Searches {
    fn feed(&mut self, data: &[u8]) -> Result<(), Failure> {
        for reference in self.references.feed(data).map_err(not_json)? {
            let search = reference.parse().and_then(|search| self.rules.judge(&self.route, &search));
            if let Err(refusal) = search {
                let message = format!("a conditional reference is refused: {}", refusal.message);
                return Err(Refusal { message, ..refusal }.into());
            }
        }
        Ok(())
    }
}

/// The body was broken off here; the reason went another way.
#[derive(Debug, thiserror::Error)]
#[error("the request body was refused")]
struct Refused;

impl Checked {
    fn check(&mut self, data: &[u8]) -> Result<(), Failure> {
        self.left = self.left.checked_sub(data.len() as u64).ok_or_else(too_long)?;
        match &mut self.inspect {
            Inspect::Nothing => {}
            Inspect::Json(checker) => checker.feed(data).map_err(not_json)?,
            Inspect::Entries(entries) => entries.feed(data)?,
        }
        self.searches.as_mut().map_or(Ok(()), |searches| searches.feed(data))
    }

    fn refuse(&mut self, failure: Failure) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.watch.broke_off(failure);
        self.done = true;
        Poll::Ready(Some(Err(Refused.into())))
    }
}

impl Body for Checked {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if this.done {
            return Poll::Ready(None);
        }
        if this.deadline.as_mut().poll(cx).is_ready() {
            return this.refuse(too_slow());
        }
        loop {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers go no further.
                    let Ok(data) = frame.into_data() else { continue };
                    return match this.check(&data) {
                        Ok(()) => {
                            this.watch.passed(data.len());
                            Poll::Ready(Some(Ok(Frame::data(data))))
                        }
                        Err(failure) => this.refuse(failure),
                    };
                }
                Some(Err(error)) => {
                    let message = "the request body broke off";
                    let failure = Failure::client(StatusCode::BAD_REQUEST, IssueCode::Incomplete, message);
                    return this.refuse(failure.detail(error.to_string()));
                }
                None => {
                    this.done = true;
                    return match this.inspect.finish() {
                        Ok(()) => {
                            this.watch.ended();
                            Poll::Ready(None)
                        }
                        Err(failure) => this.refuse(failure),
                    };
                }
            }
        }
    }

    // The end of the body is a finding: it must be asked for, not foretold.
    fn is_end_stream(&self) -> bool {
        self.done
    }

    fn size_hint(&self) -> SizeHint {
        // A length told ahead would let the server take the last byte for the end, before it was checked.
        SizeHint::default()
    }
}

fn refuse_encoded(headers: &HeaderMap) -> Result<(), Failure> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(coding) if coding.as_bytes() != b"identity" => Err(Failure::client(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            IssueCode::NotSupported,
            "request bodies are not taken with a Content-Encoding: send the body as it is",
        )),
        _ => Ok(()),
    }
}

/// The client stopped in the middle.
pub(super) fn too_slow() -> Failure {
    let message = "the request body did not arrive in time";
    Failure::client(StatusCode::REQUEST_TIMEOUT, IssueCode::Timeout, message)
}

fn not_read(error: BodyError) -> Failure {
    if error.is::<LengthLimitError>() {
        too_long()
    } else {
        Failure::client(StatusCode::BAD_REQUEST, IssueCode::Incomplete, "the request body broke off")
    }
}

fn too_long() -> Failure {
    Failure::client(StatusCode::PAYLOAD_TOO_LARGE, IssueCode::TooLong, "the request body is over the limit")
}

fn not_json(error: Error) -> Failure {
    let code = match error.kind {
        ErrorKind::DuplicateKey => IssueCode::Invalid,
        _ => IssueCode::Structure,
    };
    Failure::client(StatusCode::BAD_REQUEST, code, error.to_string())
}

//! To the server and back: the request is written anew from the typed interaction.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

use fireguard_fhir::base::Base;
use fireguard_fhir::interaction::{BodyKind, Interaction};
use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::body::{Body, Outgoing};
use fireguard_traffic::decode::{Bounds, Coding, decoded};
use fireguard_traffic::hygiene;
use fireguard_traffic::retry::matrix::Fault;
use fireguard_traffic::upstream::{Balanced, SendError, Upstream};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::rescue::REQUEST_ID;
use crate::config::defaults;
use crate::credentials::NoToken;
use crate::exchange::{Ready, Upload, Watch};
use crate::failure::{Failure, Source};
use crate::stage::{Answer, Going};
use crate::state::{Route, Shared};

/// The innermost service. Answers 502 when the server cannot be reached or breaks off, 504 when it is silent.
pub struct Forward<U> {
    shared: Arc<Shared>,
    /// By the server's name.
    upstreams: Arc<HashMap<String, U>>,
}

/// The connections of one core to every server. Those that were there before are kept.
pub fn connections(shared: &Shared, before: Option<&HashMap<String, Balanced>>) -> HashMap<String, Balanced> {
    let one = |route: &Arc<Route>| {
        let (name, replicas) = (&route.upstream_name, &route.group.replicas);
        let known = before.and_then(|connections| connections.get(name));
        let own = known.filter(|known| known.leads_to(replicas)).cloned();
        (name.clone(), own.unwrap_or_else(|| Balanced::new(replicas, known)))
    };
    shared.routes.iter().map(one).collect()
}

impl<U: Upstream> Forward<U> {
    /// Over these connections.
    pub fn new(shared: &Arc<Shared>, upstreams: HashMap<String, U>) -> Self {
        Self { shared: Arc::clone(shared), upstreams: Arc::new(upstreams) }
    }

    async fn send(&self, ready: Ready) -> Answer {
        let upstream = self.upstreams.get(&ready.route.upstream_name).ok_or_else(|| internal("no pool"))?;
        let safe = ready.request.interaction.is_safe();
        let mut request = request(&ready)?;
        // `Host` is still to come.
        let host = "host: \r\n".len() + ready.route.group.longest_host();
        refuse_too_long(&request, host, self.shared.limits.upstream_head.0)?;
        let Upload { mut body, watch } = ready.body;
        let credentials = ready.route.group.credentials.as_deref();
        if let Some(credentials) = credentials {
            // Without them the server would be asked by nobody in particular.
            credentials.ready().await.map_err(|error| no_token(&error))?;
        }
        let mut renewed = false;
        loop {
            let mut again = body.again();
            let sending = upstream.send(&mut request, body);
            ready.facts.attempt();
            let failure = match self.wait(sending, &ready.request.interaction, &watch).await {
                Ok(Ok(response)) => {
                    ready.facts.upstream_answered(response.status());
                    if let Some(credentials) = credentials
                        && response.status() == StatusCode::UNAUTHORIZED
                    {
                        // It has not been carried out: it may be sent once more with another token, also a write.
                        let spare = again.take().filter(|body| !renewed && is_kept(body));
                        let refused = request.headers().get(header::AUTHORIZATION).cloned();
                        let (Some(spare), Some(refused)) = (spare, refused) else {
                            return Err(we_are_refused());
                        };
                        drop(response);
                        credentials.instead(&refused).await.map_err(|error| no_token(&error))?;
                        (renewed, body) = (true, spare);
                        continue;
                    }
                    let response = response.map(BodyExt::boxed_unsync);
                    return Ok(if ready.route.gzip { plain(response) } else { response });
                }
                Ok(Err(error)) => match (error, again.filter(|_| safe)) {
                    // The server closed an idle connection while the request was on its way.
                    (SendError::Broken { reused: true, .. }, Some(again)) => {
                        body = again;
                        continue;
                    }
                    (error, _) => broken(&error, safe, &watch),
                },
                Err(failure) => failure,
            };
            return Err(watch.fault().unwrap_or(failure));
        }
    }

    /// Waits for the answer's head. The clock runs from the last byte of the request that was sent.
    async fn wait<T>(
        &self,
        sending: impl Future<Output = T>,
        interaction: &Interaction,
        watch: &Watch,
    ) -> Result<T, Failure> {
        let limits = &self.shared.limits;
        let patience = match interaction {
            Interaction::Bundle { .. } => limits.bundle_answer_head.0,
            _ => limits.answer_head.0,
        };
        let mut sending = pin!(sending);
        let mut progress = watch.progress();
        loop {
            if let Ok(answer) = timeout(patience, sending.as_mut()).await {
                return Ok(answer);
            }
            match watch.progress() {
                now if now != progress => progress = now,
                Some(_) => {
                    return Err(super::body::too_slow());
                }
                None => {
                    let message = "the FHIR server did not answer in time";
                    let status = StatusCode::GATEWAY_TIMEOUT;
                    return Err(Failure::new(Source::Upstream, status, IssueCode::Timeout, message)
                        .fault(Fault::Unknown));
                }
            }
        }
    }
}

/// The request without its body.
fn request(ready: &Ready) -> Result<Request<()>, Failure> {
    let mut target = ready.request.target();
    if let Some(id) = &ready.caller.file {
        target.path_and_query = format!("/Binary/{id}");
    }
    let mut request = Request::new(());
    *request.method_mut() = target.method.parse().map_err(|_| internal("no such method"))?;
    *request.uri_mut() = uri(&ready.route.upstream, &target.path_and_query)?;
    *request.headers_mut() = headers(ready);
    Ok(request)
}

impl<U> Clone for Forward<U> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), upstreams: Arc::clone(&self.upstreams) }
    }
}

impl<U: Upstream> tower::Service<Ready> for Forward<U> {
    type Response = Response<Body>;
    type Error = Failure;
    type Future = Going;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Failure>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, ready: Ready) -> Self::Future {
        let this = self.clone();
        Box::pin(async move { this.send(ready).await })
    }
}

fn uri(base: &Base, path_and_query: &str) -> Result<Uri, Failure> {
    format!("{}{path_and_query}", base.path()).parse().map_err(|_| {
        Failure::client(StatusCode::URI_TOO_LONG, IssueCode::TooLong, "the URL is too long: search by POST")
    })
}

/// What frames a body, and the rest of the request line.
const FRAMING: usize = 64;

/// A head that the server would answer with a page of HTML (Tomcat takes 8 KB).
fn refuse_too_long(request: &Request<()>, host: usize, limit: u64) -> Result<(), Failure> {
    let (url, headers) =
        (hygiene::url_bytes(request.uri()), hygiene::headers_bytes(request.headers()) + host);
    if (url + headers + FRAMING) as u64 <= limit {
        return Ok(());
    }
    let (status, message) = if url > headers {
        (StatusCode::URI_TOO_LONG, "the URL is too long for the FHIR server: search by POST")
    } else {
        (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too long for the FHIR server")
    };
    Err(Failure::client(status, IssueCode::TooLong, message))
}

/// So many headers have room where one has that does not grow.
const USUAL: usize = 24;

/// What the files of jobs are; asked for something else, HAPI answers with a Binary around it.
const NDJSON: &str = "application/fhir+ndjson";

/// What the server is told: nothing that the client could have smuggled.
fn headers(ready: &Ready) -> HeaderMap {
    // Room for all, at once.
    let mut headers = HeaderMap::with_capacity(USUAL);
    hygiene::request_headers(&ready.headers, &mut headers);
    if ready.route.forward_authorization
        && let Some(token) = ready.headers.get(header::AUTHORIZATION)
    {
        headers.insert(header::AUTHORIZATION, token.clone());
    }
    ready.facts.trace.pass_on(&mut headers);
    let request = &ready.request;
    for (name, value) in &ready.face.forwarded {
        headers.insert(name, value.clone());
    }
    headers.insert(REQUEST_ID, ready.id.header());
    let accept = if ready.caller.file.is_some() { NDJSON } else { request.accept() };
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    if ready.route.gzip {
        // HAPI knows no other form of it.
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(HeaderName::from_static("x-forwarded-for"), &ready.client.to_string());
    match &request.body {
        BodyKind::None => {}
        BodyKind::FhirJson => set(header::CONTENT_TYPE, "application/fhir+json;charset=utf-8"),
        BodyKind::FhirXml => set(header::CONTENT_TYPE, "application/fhir+xml;charset=utf-8"),
        BodyKind::JsonPatch => set(header::CONTENT_TYPE, "application/json-patch+json"),
        BodyKind::Form => set(header::CONTENT_TYPE, "application/x-www-form-urlencoded"),
        BodyKind::Raw(media_type) => set(header::CONTENT_TYPE, media_type),
    }
    // Those of a Bundle's entries are kept for a while like others.
    let searches =
        request.interaction.is_search() || matches!(request.interaction, Interaction::Bundle { .. });
    if ready.route.hapi.fresh_searches && searches {
        set(header::CACHE_CONTROL, "no-cache");
    }
    if let Some(prefer) = request.prefer.header() {
        set(HeaderName::from_static("prefer"), &prefer);
    }
    for (name, value) in request.preconditions.headers() {
        set(HeaderName::from_static(name), &value);
    }
    headers
}

/// The answer without the coding that was asked for; any other is left to the stage `vet`.
fn plain(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    if Coding::of(&parts.headers) != Ok(Some(Coding::Gzip)) {
        return Response::from_parts(parts, body);
    }
    parts.headers.remove(header::CONTENT_ENCODING);
    parts.headers.remove(header::CONTENT_LENGTH);
    let bounds = Bounds { encoded: u64::MAX, ratio: defaults::DECODE_RATIO };
    Response::from_parts(parts, decoded(body, Coding::Gzip, bounds))
}

/// Whether all of it can be sent once more.
fn is_kept(body: &Outgoing) -> bool {
    match body {
        Outgoing::Whole(_) => true,
        Outgoing::Stream(_) => false,
        Outgoing::Kept(replay) => replay.is_kept(),
    }
}

/// Not the caller's fault, and nothing that another token of the caller's could change.
fn we_are_refused() -> Failure {
    Failure::upstream("the FHIR server does not let this proxy in", "401 to our own credentials")
}

fn no_token(error: &NoToken) -> Failure {
    Failure::upstream("this proxy cannot say who it is to the FHIR server", error.to_string())
}

fn broken(error: &SendError, safe: bool, watch: &Watch) -> Failure {
    // A server cannot act on half a body: its end was not sent.
    let fault = if watch.progress().is_some() { Fault::Unsent } else { Fault::of_error(error) };
    let message = match error {
        SendError::Broken { .. } if !safe && fault != Fault::Unsent => {
            "the connection to the FHIR server broke before its answer; the request may have been carried out"
        }
        SendError::Broken { .. } => "the connection to the FHIR server broke before its answer",
        SendError::Connect(_) | SendError::ConnectTimeout => "the FHIR server cannot be reached",
    };
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    Failure::new(Source::Upstream, StatusCode::BAD_GATEWAY, IssueCode::Transient, message)
        .detail(format!("{error}{source}"))
        .fault(fault)
}

/// What the types before this stage rule out, said without a panic.
fn internal(what: &'static str) -> Failure {
    Failure::new(Source::Proxy, StatusCode::INTERNAL_SERVER_ERROR, IssueCode::Exception, "internal error")
        .detail(what)
}

//! The request phase: plugins look at a request before its body is read, and may change it, answer or refuse it.

use std::sync::Arc;

use bytes::Bytes;
use fireguard_fhir::interaction::BodyKind;
use fireguard_fhir::json;
use fireguard_plugin_host::{self as host, Action, Field};
use fireguard_traffic::body::{empty, full};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::chain::{codes, exchange};
use super::head;
use super::judge::{self, Judge, Refused};
use super::link::{Fault, Link};
use super::meters;
use super::rebuilt::Rebuilt;
use crate::exchange::{Exchange, Ready, Upload};
use crate::failure::Failure;
use crate::stage::{Answer, Next, Stage};
use crate::stages::access;
use crate::state::Shared;

/// The stage. What a plugin changes is parsed and judged like a request of the caller.
pub struct RequestPhase {
    judge: Judge,
}

/// The headers of an answer that a plugin may set.
const HEADERS: [&str; 8] = [
    "allow",
    "content-location",
    "etag",
    "last-modified",
    "location",
    "preference-applied",
    "retry-after",
    "warning",
];

/// What is told when a plugin fails here.
const NOTHING: &str = "the request could not be processed; nothing was sent to the FHIR server";

impl RequestPhase {
    /// With the limits of the configuration.
    pub fn new(shared: &Shared) -> Self {
        Self { judge: Judge::new(shared) }
    }

    /// Asks one plugin. An answer ends the exchange.
    async fn ask(&self, number: usize, ready: &mut Ready) -> Result<Option<Response<Bytes>>, Failure> {
        let route = Arc::clone(&ready.route);
        let attached = route.plugins.get(number).filter(|attached| ready.runs(attached));
        let Some(attached) = attached else { return Ok(None) };
        let interaction = &ready.request.interaction;
        let resource_type = interaction.resource_type().map(|ty| ty.as_str());
        let wanted = |code: &&str| attached.plugin.wants_request(code, resource_type);
        if !codes(interaction).iter().any(wanted) {
            return Ok(None);
        }
        let mut link = Link::new(attached, ready);
        let (exchange, head) = (exchange(ready, interaction.code()), head::of(&ready.request));
        let obeyed = match link.request(&exchange, &head).await {
            Ok(action) => {
                meters::decided(attached.plugin.name(), name(&action));
                match action {
                    Action::Refuse(refusal) => return Err(Refused::by(&attached.plugin, refusal).failure()),
                    Action::Answer(answer) => checked(answer).map(Some),
                    Action::Change(changed) if changed != head => {
                        self.change(ready, &changed, attached.retarget).map(|()| None)
                    }
                    Action::Change(_) | Action::Forward => Ok(None),
                }
            }
            Err(error) => Err(error.into()),
        };
        match obeyed {
            Ok(answer) => Ok(answer),
            Err(fault) if link.passes(&exchange, &fault) => Ok(None),
            Err(fault) => Err(judge::failed(&attached.plugin, &fault, NOTHING)),
        }
    }

    fn change(&self, ready: &mut Ready, head: &host::Head, retarget: bool) -> Result<(), Fault> {
        let mut request = head::changed(&ready.request, head, &ready.route, self.judge.rules, retarget)?;
        ready.face.to_server.request(&mut request);
        let form = request.body == BodyKind::Form;
        let mut request = Arc::new(request);
        let Exchange { caller, route, .. } = &mut **ready;
        access::admit(caller, &mut request, route)
            .map_err(|_| Fault::Answer("the plugin's request asks for what its caller may not"))?;
        // What the client asked for is what its answer speaks of.
        let _ = ready.facts.asked.set(Arc::clone(&ready.request));
        if form {
            ready.body = Upload::whole(request.form().unwrap_or_default().into());
        }
        ready.request = request;
        Ok(())
    }
}

impl Stage<Ready> for RequestPhase {
    type Out = Ready;

    fn pass(&self, ready: Ready) -> Result<Ready, Ready> {
        let phase = host::Phase::Request;
        let concerned = ready.route.plugins.iter().any(|attached| attached.plugin.phases().contains(phase));
        if concerned { Err(ready) } else { Ok(ready) }
    }

    async fn handle<N: Next<Ready>>(self: Arc<Self>, mut ready: Ready, mut next: N) -> Answer {
        for number in 0..ready.route.plugins.len() {
            if let Some(answer) = self.ask(number, &mut ready).await? {
                let answer = answer.map(|body| if body.is_empty() { empty() } else { full(body) });
                // Plugins nearer to the client see it like an answer of the server.
                return match Rebuilt::of(&mut ready, number, self.judge) {
                    Some(rebuilt) if answer.status().is_success() => rebuilt.of_plugin().answer(answer).await,
                    _ if ready.request.head_only => Ok(answer.map(|_| empty())),
                    _ => Ok(answer),
                };
            }
        }
        next.call(ready).await
    }
}

/// A plugin's answer, if it is one that a FHIR server could give.
fn checked(answer: host::Answer) -> Result<Response<Bytes>, Fault> {
    let host::Answer { status, headers, body, extras: _ } = answer;
    let status = StatusCode::from_u16(status).ok().filter(|status| (200..600).contains(&status.as_u16()));
    let status = status.ok_or(Fault::Answer("the plugin answers with a status that is none"))?;
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for Field { name, value } in headers {
        let known = HEADERS.into_iter().find(|known| *known == name).map(HeaderName::from_static);
        let header = known.zip(HeaderValue::from_str(&value).ok());
        let (name, value) =
            header.ok_or(Fault::Answer("the plugin answers with a header that no FHIR server sends"))?;
        response.headers_mut().append(name, value);
    }
    if !response.body().is_empty() {
        let body = response.body();
        let resource = json::check(body).is_ok() && json::resource_type_of(body).is_some();
        if !resource || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
            return Err(Fault::Answer("the plugin answers with something that is no resource"));
        }
        typed(response.headers_mut());
    }
    Ok(response)
}

fn typed(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/fhir+json;charset=utf-8"));
}

fn name(action: &Action) -> &'static str {
    match action {
        Action::Forward => "forward",
        Action::Change(_) => "change",
        Action::Answer(_) => "answer",
        Action::Refuse(_) => "refuse",
    }
}

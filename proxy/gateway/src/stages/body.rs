//! Makes the body for the server.
//!
//! Forms are read, merged with the URL's parameters and written anew. JSON streams through while a scanner
//! checks it: what HAPI and others would read differently (duplicate members) or choke on (depth) never
//! arrives whole, and a body that breaks off stores nothing. Absolute URLs below our base become the relative ones
//! that HAPI stores, in bodies, search values and conditions. Entries of a batch or transaction are parsed and
//! judged like requests of their own, those of a batch each for itself; conditional
//! references, too, where a route lists search parameters or knows its callers.

mod checked;
mod conditions;
mod entries;
mod inspect;
mod plain;
pub(super) mod refused;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fireguard_fhir::document::Syntax;
use fireguard_fhir::interaction::{BodyKind, Interaction};
use fireguard_fhir::outcome::IssueCode;
use fireguard_fhir::references::ConditionalReferences;
use fireguard_traffic::body::{BodyError, Outgoing};
use fireguard_traffic::decode::DecodeError;
use http::StatusCode;
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::{sleep, timeout};

use self::checked::Checked;
use self::inspect::Inspect;
use self::plain::Plain;
use self::refused::RefusedEntries;
use super::access;
use super::gate::Rules;
use crate::config::defaults;
use crate::exchange::{Asked, Exchange, Inbound, Ready, Upload, Watch};
use crate::failure::Failure;
use crate::stage::{Answer, Next, Stage};
use crate::state::{Route, Shared};

/// The stage. Answers 400 for a body that is not JSON, 408 for one that takes too long, 413 for one over the limit,
/// 415 for one in a coding that is not known.
pub struct MakeBody {
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
        Self { total, form, rules: Rules::new(shared) }
    }
}

impl Stage<Asked> for MakeBody {
    type Out = Ready;

    fn pass(&self, mut asked: Asked) -> Result<Ready, Asked> {
        let bundle = matches!(asked.request.interaction, Interaction::Bundle { .. });
        if bundle || asked.request.body != BodyKind::None || !asked.body.is_end_stream() {
            return Err(asked);
        }
        asked.face.to_server.request(Arc::make_mut(&mut asked.request));
        let Exchange { id, client, caller, route, face, request, headers, facts, body: _ } = *asked;
        let body = Upload::whole(Bytes::new());
        Ok(Box::new(Exchange { id, client, caller, route, face, request, headers, body, facts }))
    }

    async fn handle<N: Next<Ready>>(self: Arc<Self>, asked: Asked, mut next: N) -> Answer {
        let Exchange { id, client, mut caller, route, face, mut request, headers, body, facts } = *asked;
        let watch = Watch::default();
        let relative = Arc::clone(&face.to_server);
        relative.request(Arc::make_mut(&mut request));
        // What becomes of a batch later is told elsewhere, and nothing is put into XML.
        let refused =
            RefusedEntries::new(!request.prefer.respond_async && request.format.syntax() == Syntax::Json);
        let outgoing = match &request.body {
            BodyKind::None => {
                if !body.is_end_stream() {
                    timeout(self.form, no_body(body)).await.map_err(|_| too_slow())??;
                }
                Outgoing::Whole(Bytes::new())
            }
            kind => {
                let announced = body.size_hint().lower();
                let body = Plain::of(&headers, body, route.request_body)?;
                if matches!(kind, BodyKind::Form) {
                    let form = body.whole(defaults::FORM_BODY.min(route.request_body) as usize);
                    let form = timeout(self.form, form).await.map_err(|_| too_slow())??;
                    request = Arc::new(Arc::unwrap_or_clone(request).with_form(&form, route.xml)?);
                    facts.answer_in(request.format);
                    if let Some(notes) = facts.audit.get() {
                        notes.understood(&request);
                    }
                    // Gate 1 has seen the parameters of the URL only.
                    self.rules.judge(&route, &request)?;
                    relative.request(Arc::make_mut(&mut request));
                    access::admit(&mut caller, &mut request, &route)?;
                    Outgoing::Whole(request.form().unwrap_or_default().into())
                } else if announced > route.request_body {
                    return Err(too_long());
                } else {
                    watch.streams();
                    let watch = watch.clone();
                    let judge = caller.judge.clone();
                    let inspect =
                        Inspect::new(&request, &route, &face.base, self.rules, judge, &facts, &refused);
                    let deadline = Box::pin(sleep(self.total));
                    let checked =
                        Checked { body, inspect, left: route.request_body, deadline, watch, done: false };
                    Outgoing::Stream(checked.boxed_unsync())
                }
            }
        };
        let body = Upload { body: outgoing, watch };
        if !matches!(request.interaction, Interaction::Bundle { .. }) {
            let ready = Box::new(Exchange { id, client, caller, route, face, request, headers, body, facts });
            return next.call(ready).await;
        }
        let (format, of) = (request.format, id.clone());
        let ready = Box::new(Exchange { id, client, caller, route, face, request, headers, body, facts });
        refused.within(next.call(ready).await, format, of.as_str()).await
    }
}

/// Judges the conditional references of a resource that is all there, on a route with a list of parameters.
///
/// # Errors
/// One asks for what the route does not let through.
pub(super) fn judge_references(resource: &[u8], rules: Rules, route: &Route) -> Result<(), Failure> {
    if !route.surface.lists_parameters() {
        return Ok(());
    }
    for found in ConditionalReferences::default().feed(resource).map_err(inspect::not_json)? {
        inspect::reference(&found, rules, route, None)?;
    }
    Ok(())
}

/// Reads a body that should not be there: one without bytes is none, however it was sent.
async fn no_body(body: Inbound) -> Result<(), Failure> {
    let unwanted = || {
        let message = "this interaction has no body";
        Failure::client(StatusCode::BAD_REQUEST, IssueCode::Invalid, message)
    };
    if body.size_hint().lower() > 0 {
        return Err(unwanted());
    }
    match Limited::new(body, 0).collect().await {
        Ok(_) => Ok(()),
        Err(error) if error.is::<LengthLimitError>() => Err(unwanted()),
        Err(error) => Err(not_read(error)),
    }
}

/// The client stopped in the middle.
pub(super) fn too_slow() -> Failure {
    let message = "the request body did not arrive in time";
    Failure::client(StatusCode::REQUEST_TIMEOUT, IssueCode::Timeout, message)
}

/// The client's body cannot be read to its end.
fn not_read(error: BodyError) -> Failure {
    match error.downcast_ref::<DecodeError>() {
        Some(DecodeError::TooLong) => too_long(),
        Some(malformed @ DecodeError::Malformed(_)) => {
            Failure::client(StatusCode::BAD_REQUEST, IssueCode::Structure, malformed.to_string())
        }
        Some(DecodeError::Broken(_)) | None => {
            let message = "the request body broke off";
            let failure = Failure::client(StatusCode::BAD_REQUEST, IssueCode::Incomplete, message);
            failure.detail(error.to_string())
        }
    }
}

fn too_long() -> Failure {
    Failure::client(StatusCode::PAYLOAD_TOO_LARGE, IssueCode::TooLong, "the request body is over the limit")
}

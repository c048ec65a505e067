//! Gate 3: every resource in an answer to a confined caller is judged, at any depth.
//!
//! Entries that the caller may not see are cut out of a Bundle as it streams; what is left keeps its bytes. A single
//! resource that may not be seen is answered as one that does not exist. What cannot be understood is withheld.

mod binary;
mod bundle;
pub(in crate::stages) mod responses;
pub(in crate::stages) mod sight;
mod single;

use std::collections::BTreeSet;
use std::sync::Arc;

use fireguard_fhir::document::Syntax;
use fireguard_fhir::interaction::{Id, IfNoneMatch, Interaction, Preconditions, Request};
use fireguard_fhir::outcome::IssueCode;
use fireguard_fhir::parameters::Parameters;
use fireguard_fhir::r4;
use fireguard_traffic::body::{Body, empty};
use http::header::{self, HeaderMap};
use http::{Response, StatusCode};

use self::sight::Sight;
use super::plugins::shape::Shape;
use super::words;
use crate::exchange::Ready;
use crate::failure::Failure;
use crate::stage::{Answer, Next, Stage};
use crate::state::Shared;

/// The stage. What is shown to callers that are not confined streams untouched.
pub struct Answers {
    /// The largest resource that is looked at, in bytes.
    limit: usize,
}

impl Answers {
    /// With the limits of the configuration.
    pub fn new(shared: &Shared) -> Self {
        Self { limit: usize::try_from(shared.limits.resource.0).unwrap_or(usize::MAX) }
    }
}

impl Stage<Ready> for Answers {
    type Out = Ready;

    fn pass(&self, ready: Ready) -> Result<Ready, Ready> {
        // A CapabilityStatement describes the server, not a patient.
        let described = matches!(ready.request.interaction, Interaction::Capabilities);
        if described || ready.caller.confined().is_none() { Ok(ready) } else { Err(ready) }
    }

    async fn handle<N: Next<Ready>>(self: Arc<Self>, mut ready: Ready, mut next: N) -> Answer {
        let Some(sight) = Sight::of(&ready, self.limit) else { return next.call(ready).await };
        let shown = Shown::of(Arc::make_mut(&mut ready.request), sight.counts())?;
        if let Some(of) = shown.binary(&ready) {
            return binary::answer(&of, &sight, ready, next).await;
        }
        let (parts, body) = next.call(ready).await?.into_parts();
        if !parts.status.is_success() {
            return Err(words::refused(parts.status));
        }
        let mut answer = Response::from_parts(parts, body);
        // Without a type there is no body.
        if answer.headers().contains_key(header::CONTENT_TYPE) {
            answer.headers_mut().remove(header::CONTENT_LENGTH);
            answer = match shown.shape {
                Shape::Bundle => bundle::answer(sight, shown.counted, answer).await?,
                // Where entries are let through, it is known what their answers are judged by.
                Shape::Responses if answer.extensions().get::<responses::Judged>().is_some() => answer,
                Shape::Responses => {
                    let message = "the answer is withheld: nobody has judged its entries";
                    return Err(Failure::upstream(message, "no judge"));
                }
                Shape::Written | Shape::Nothing => single::written(&sight, answer).await?,
                Shape::Resource => single::answer(&sight, answer).await?,
            };
        }
        Ok(shown.finish(answer))
    }
}

/// What the caller asked for where the server is asked otherwise, so that the answer can be judged.
struct Shown {
    shape: Shape,
    /// How much a search finds, and nothing of it.
    counted: bool,
    /// Without a body.
    head_only: bool,
    /// The content of a Binary.
    raw: bool,
    /// Only if it is another version.
    if_none_match: Option<IfNoneMatch>,
}

impl Shown {
    /// Puts the request so that every answer to it can be judged.
    ///
    /// # Errors
    /// No answer to it could.
    fn of(request: &mut Request, counted: bool) -> Result<Self, Failure> {
        if request.format.syntax() == Syntax::Xml {
            let message = "what you may see is decided resource by resource, and in JSON: ask for \
                           application/fhir+json";
            return Err(Failure::client(StatusCode::NOT_ACCEPTABLE, IssueCode::NotSupported, message));
        }
        let safe = request.interaction.is_safe();
        let shown = Self {
            shape: Shape::of(&request.interaction),
            counted,
            head_only: request.head_only,
            raw: request.binary_raw,
            if_none_match: request.preconditions.if_none_match.clone().filter(|_| safe),
        };
        (request.head_only, request.binary_raw) = (false, false);
        if safe {
            // That nothing has changed is something to know of a resource, too.
            request.preconditions = Preconditions::default();
        }
        whole_enough(request);
        Ok(shown)
    }

    /// The Binary that is asked for.
    fn binary(&self, ready: &Ready) -> Option<binary::Asked> {
        binary::Asked::of(&ready.request, self.raw)
    }

    /// Whether this version is the one that the caller has already.
    fn is_known(&self, version: Option<&Id>) -> bool {
        matches!(&self.if_none_match, Some(IfNoneMatch::Version(known)) if version == Some(known))
    }

    fn finish(self, answer: Answered) -> Answered {
        if self.is_known(version(answer.headers()).as_ref()) && answer.status() == StatusCode::OK {
            let (mut parts, _) = answer.into_parts();
            parts.status = StatusCode::NOT_MODIFIED;
            parts.headers.remove(header::CONTENT_TYPE);
            return Response::from_parts(parts, empty());
        }
        if self.head_only { answer.map(|_| empty()) } else { answer }
    }
}

/// An answer on its way.
type Answered = Response<Body>;

/// The version that an answer shows.
fn version(headers: &HeaderMap) -> Option<Id> {
    Id::from_etag(headers.get(header::ETAG)?.to_str().ok()?)
}

/// A choice of elements includes those by which a resource is judged: without them it would be withheld.
fn whole_enough(request: &mut Request) {
    let Some(ty) = request.interaction.resource_type() else { return };
    if request.parameters.get("_elements").is_none() {
        return;
    }
    let judged = r4::patient_references(ty).iter().filter_map(|path| path.split('.').next());
    let judged: BTreeSet<&str> = judged.chain(["meta"]).collect();
    let mut parameters = Parameters::default();
    for (name, value) in request.parameters.iter() {
        let mut value = value.to_owned();
        if name == "_elements" {
            judged.iter().for_each(|element| value.extend([",", element]));
        }
        parameters.push(name, value);
    }
    request.parameters = parameters;
}

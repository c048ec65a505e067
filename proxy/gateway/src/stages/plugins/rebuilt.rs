//! Answers on their way through plugins: what reaches the client is what these let through, and an envelope of ours.

use std::sync::Arc;

use bytes::Bytes;
use fireguard_fhir::base::Base;
use fireguard_fhir::interaction::{Interaction, Preconditions, Request, Return};
use fireguard_fhir::json;
use fireguard_fhir::outcome::{IssueCode, OperationOutcome, Severity};
use fireguard_plugin_host::Direction;
use fireguard_traffic::body::{Body, empty, full};
use http::Response;
use http::header::{self, HeaderMap, HeaderValue};

use super::bundle::BundleAnswer;
use super::chain::{self, Chain, Fate, Part};
use super::judge::Judge;
use super::responses::Responses;
use super::shape::Shape;
use super::single::SingleAnswer;
use crate::exchange::Ready;
use crate::failure::Failure;
use crate::replicas::Group;
use crate::stage::Answer;
use crate::stages::words::refused;
use crate::transform::{transformed, whole};

/// What is needed to write an answer anew.
pub(super) struct Rebuilt {
    chain: Chain,
    shape: Shape,
    head_only: bool,
    /// What the client uses.
    base: Base,
    group: Arc<Group>,
    /// The link to itself that a Bundle gets.
    self_url: Option<String>,
    /// What the client wants to see of what it wrote.
    wanted: Option<Return>,
    limit: usize,
    id: String,
    /// The headers are a plugin's own.
    of_plugin: bool,
}

impl Rebuilt {
    /// For the plugins before the `until`th, if one of them wants to see answers to this request, or one has changed
    /// it. The request is put so that they can.
    pub(super) fn of(ready: &mut Ready, until: usize, judge: Judge) -> Option<Self> {
        let plugins = ready.route.plugins.iter().take(until).filter(|attached| ready.runs(attached));
        let interaction = &ready.request.interaction;
        // A CapabilityStatement describes the server, not a patient.
        let described = matches!(interaction, Interaction::Capabilities);
        let concerned = chain::want(plugins, interaction, Direction::ToClient);
        if described || !(concerned || ready.facts.asked.get().is_some()) {
            return None;
        }
        let shape = Shape::of(interaction);
        let chain = Chain::to_client(ready, until, judge);
        let asked = Arc::clone(ready.facts.asked.get().unwrap_or(&ready.request));
        let base = ready.face.base.clone();
        let self_url = own_words(&asked).then(|| format!("{base}{}", asked.target().path_and_query));
        let request = Arc::make_mut(&mut ready.request);
        request.binary_raw = false;
        if request.interaction.is_safe() {
            // What is changed on the way has no validator the server could compare.
            request.preconditions = Preconditions::default();
        }
        let wanted = request.prefer.representation;
        if matches!(shape, Shape::Written | Shape::Responses) {
            request.prefer.representation = Some(Return::Representation);
        }
        Some(Self {
            chain,
            shape,
            head_only: request.head_only,
            base,
            group: Arc::clone(&ready.route.group),
            self_url,
            wanted,
            limit: judge.limit,
            id: ready.id.as_str().to_owned(),
            of_plugin: false,
        })
    }

    /// The answer is a plugin's: its headers are fit to be shown.
    #[must_use]
    pub(super) fn of_plugin(self) -> Self {
        Self { of_plugin: true, ..self }
    }

    /// What the client gets.
    ///
    /// # Errors
    /// The server refused or failed, in words of ours; or a plugin refuses or fails.
    pub(super) async fn answer(mut self, answer: Response<Body>) -> Answer {
        let (parts, body) = answer.into_parts();
        if !parts.status.is_success() {
            return Err(refused(parts.status));
        }
        let mut response = Response::new(());
        *response.status_mut() = parts.status;
        *response.headers_mut() = if self.of_plugin { parts.headers } else { kept(&parts.headers) };
        if self.head_only {
            return Ok(response.map(|()| empty()));
        }
        let body = match self.shape {
            Shape::Bundle => {
                let Self { chain, base, group, self_url, limit, .. } = self;
                transformed(body, BundleAnswer::new(chain, base, group, self_url, limit)).await?
            }
            Shape::Resource => transformed(body, SingleAnswer::new(self.chain, self.limit)).await?,
            Shape::Written => {
                let shown = self.written(body).await?;
                return Ok(self.show(response, shown));
            }
            Shape::Responses => {
                transformed(body, Responses::new(self.chain, self.base, self.limit, self.id)).await?
            }
            Shape::Nothing => {
                response.headers_mut().remove(header::CONTENT_TYPE);
                empty()
            }
        };
        Ok(response.map(|()| body))
    }

    /// What plugins let through of a resource that was written.
    async fn written(&mut self, body: Body) -> Result<Option<Bytes>, Failure> {
        let resource = whole(body, self.limit).await?;
        if resource.is_empty() {
            return Ok(None);
        }
        if json::check(&resource).is_err() {
            return Err(Failure::upstream("the FHIR server's answer is not valid JSON", "what was written"));
        }
        let part = Part { content: resource, code: None };
        Ok(match self.chain.run(std::slice::from_ref(&part)).await?.pop() {
            Some(Fate::Kept) => Some(part.content),
            Some(Fate::Changed(bytes)) => Some(bytes),
            Some(Fate::Dropped | Fate::Refused(_)) | None => None,
        })
    }

    /// An answer to a write. Where it lies and which version it has is said of what plugins let through.
    fn show(self, response: Response<()>, shown: Option<Bytes>) -> Response<Body> {
        let (mut parts, ()) = response.into_parts();
        if let Some(Identity { resource_type, id, version }) = shown.as_deref().and_then(Identity::of) {
            let version = version.as_deref();
            let path = version.map_or(String::new(), |version| format!("/_history/{version}"));
            // Relative: the stage that turns the server's URLs into the client's puts its base before it.
            let base = if self.of_plugin { format!("{}/", self.base) } else { String::new() };
            let location = format!("{base}{resource_type}/{id}{path}");
            if let Ok(location) = HeaderValue::from_str(&location) {
                parts.headers.insert(header::LOCATION, location);
            }
            if let Some(Ok(tag)) = version.map(|version| HeaderValue::from_str(&format!("W/\"{version}\""))) {
                parts.headers.insert(header::ETAG, tag);
            }
        }
        let body = match (self.wanted, shown) {
            (None | Some(Return::Representation), Some(resource)) => resource,
            (Some(Return::OperationOutcome), _) => done(&self.id).into(),
            _ => Bytes::new(),
        };
        if body.is_empty() {
            parts.headers.remove(header::CONTENT_TYPE);
            return Response::from_parts(parts, empty());
        }
        Response::from_parts(parts, full(body))
    }
}

/// What a resource says of itself.
pub(super) struct Identity {
    pub(super) resource_type: String,
    pub(super) id: String,
    pub(super) version: Option<String>,
}

impl Identity {
    /// None: it has no id.
    pub(super) fn of(resource: &[u8]) -> Option<Self> {
        let plain = |text: std::borrow::Cow<'_, str>| fireguard_fhir::interaction::Id::parse(&text);
        let version = json::member(resource, "meta").and_then(|meta| meta.member("versionId"));
        Some(Self {
            resource_type: json::resource_type_of(resource)?.into_owned(),
            id: json::member(resource, "id")?.string().and_then(plain)?.to_string(),
            version: version.and_then(|v| v.string()).and_then(plain).map(|version| version.to_string()),
        })
    }
}

/// An outcome that says that it was done, and nothing of what.
fn done(id: &str) -> Vec<u8> {
    let done = OperationOutcome::error(IssueCode::Informational, "the request was carried out");
    OperationOutcome { severity: Severity::Information, ..done }.with_request_id(id).to_json()
}

/// Whether the request may be shown in the answer: an id the client asked by is not one it could have got from one.
fn own_words(request: &Request) -> bool {
    match &request.interaction {
        Interaction::SearchCompartment { .. } => false,
        other => other.id().is_none(),
    }
}

/// The headers a rebuilt answer keeps. `ETag` and `Last-Modified` speak of the resource that was not shown.
fn kept(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    if let Some(content_type) = headers.get(header::CONTENT_TYPE) {
        kept.insert(header::CONTENT_TYPE, content_type.clone());
    }
    kept
}

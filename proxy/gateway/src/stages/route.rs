//! Finds the route by its prefix and parses the interaction, once.

use std::borrow::Cow;
use std::sync::Arc;

use fireguard_fhir::format::Format;
use fireguard_fhir::interaction::{self, Head, Pages};
use fireguard_fhir::outcome::IssueCode;
use http::{HeaderMap, HeaderName, StatusCode, header};

use crate::caller::Caller;
use crate::exchange::{Asked, Entered, Exchange, Inbound};
use crate::face::Face;
use crate::failure::Failure;
use crate::stage::Check;
use crate::state::{self, Shared};

/// The stage. Answers 404 outside of every route, and what [`interaction::parse`] refuses.
pub struct Route {
    shared: Arc<Shared>,
}

impl Route {
    /// With all routes.
    pub fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared) }
    }

    /// The route toward the base URL the client uses: as configured, or by its own `Host`.
    fn face(&self, entered: &Entered, route: &state::Route) -> Result<Arc<Face>, Failure> {
        let (scheme, host) = match &self.shared.server.public_url {
            Some(public) => (public.scheme().as_str(), public.authority()),
            None => {
                let host = match &entered.origin.host {
                    Some(host) => host.as_str(),
                    None => authority(&entered.parts)?,
                };
                (entered.origin.scheme.as_deref().unwrap_or("http"), host)
            }
        };
        route.faces.toward(scheme, host).map_err(|_| bad_host())
    }
}

impl Check<Box<Entered>> for Route {
    type Out = Asked;

    fn check(&self, entered: Box<Entered>) -> Result<Asked, Failure> {
        let Some((route, rest)) = self.shared.route(entered.parts.uri.path()) else {
            let message = "there is no FHIR server at this path";
            return Err(Failure::client(StatusCode::NOT_FOUND, IssueCode::NotSupported, message));
        };
        let _ = entered.facts.route.set(route.name.clone());
        let face = self.face(&entered, route)?;
        let headers = &entered.parts.headers;
        let (accept, prefer) =
            (list(headers, header::ACCEPT)?, list(headers, HeaderName::from_static("prefer"))?);
        let opening = route.pages.opening();
        let head = Head {
            method: entered.parts.method.as_str(),
            path: rest,
            query: entered.parts.uri.query(),
            content_type: one(headers, header::CONTENT_TYPE)?,
            accept: accept.as_deref(),
            prefer: prefer.as_deref(),
            if_match: one(headers, header::IF_MATCH)?,
            if_none_match: one(headers, header::IF_NONE_MATCH)?,
            if_modified_since: one(headers, header::IF_MODIFIED_SINCE)?,
            if_none_exist: one(headers, HeaderName::from_static("if-none-exist"))?,
            pages: Pages::Sealed(&opening),
            xml: route.xml,
        };
        let request = interaction::parse(&head).inspect_err(|_| {
            entered.facts.answer_in(Format::for_errors(head.query, head.accept, route.xml))
        })?;
        entered.facts.answer_in(request.format);
        let _ = entered.facts.interaction.set(request.interaction.code());
        if let Some(resource_type) = request.interaction.resource_type() {
            let _ = entered.facts.resource_type.set(resource_type.as_str());
        }
        Ok(Box::new(Exchange {
            id: entered.id,
            client: entered.origin.client,
            caller: Caller { certificate: entered.certificate, page_of: opening.page(), ..Caller::default() },
            route: Arc::clone(route),
            face,
            request: Arc::new(request),
            headers: Arc::new(entered.parts.headers),
            body: Inbound::Client(entered.body),
            facts: entered.facts,
        }))
    }
}

fn authority(parts: &http::request::Parts) -> Result<&str, Failure> {
    match parts.uri.authority() {
        Some(authority) => Ok(authority.as_str()),
        None => one(&parts.headers, header::HOST)?.ok_or_else(bad_host),
    }
}

fn bad_host() -> Failure {
    Failure::client(StatusCode::BAD_REQUEST, IssueCode::Invalid, "the Host header is missing or not valid")
}

/// A header that may come once.
fn one(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, Failure> {
    let mut values = headers.get_all(&name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| not_text(&name)),
        _ => {
            let message = format!("the header {name} may come only once");
            Err(Failure::client(StatusCode::BAD_REQUEST, IssueCode::Invalid, message))
        }
    }
}

/// A header that is a list: repeated ones are one list.
fn list(headers: &HeaderMap, name: HeaderName) -> Result<Option<Cow<'_, str>>, Failure> {
    let mut joined: Option<Cow<'_, str>> = None;
    for value in headers.get_all(&name) {
        let value = value.to_str().map_err(|_| not_text(&name))?;
        joined = Some(match joined {
            None => Cow::Borrowed(value),
            Some(before) => Cow::Owned(format!("{before}, {value}")),
        });
    }
    Ok(joined)
}

fn not_text(name: &HeaderName) -> Failure {
    let message = format!("the header {name} holds characters that are not allowed");
    Failure::client(StatusCode::BAD_REQUEST, IssueCode::Invalid, message)
}

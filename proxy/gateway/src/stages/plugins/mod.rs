//! Splits answers into resources for the route's plugins and rebuilds them from what these let through.
//!
//! On a route with plugins nothing of the server's answer reaches the client unless a plugin saw it or it is
//! rebuilt here: other headers are dropped, error texts replaced, Bundle envelopes written anew.

mod bundle;
mod chain;
mod single;

use std::sync::Arc;

use fireguard_fhir::interaction::{Interaction, Preconditions};
use fireguard_fhir::operations;
use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::body::{Body, empty};
use http::header::{self, HeaderMap};
use http::{Response, StatusCode};

use crate::exchange::Ready;
use crate::failure::{Failure, Source};
use crate::stage::{Answer, Next, Stage};
use crate::state::Shared;
use crate::transform::transformed;

/// The stage.
pub struct Plugins {
    resource_limit: usize,
}

impl Plugins {
    /// With the limits of the configuration.
    pub fn new(shared: &Shared) -> Self {
        Self { resource_limit: usize::try_from(shared.limits.resource.0).unwrap_or(usize::MAX) }
    }
}

impl Stage<Ready> for Plugins {
    type Out = Ready;

    fn pass(&self, exchange: Ready) -> Result<Ready, Ready> {
        // A CapabilityStatement describes the server, not a patient.
        let described = matches!(exchange.request.interaction, Interaction::Capabilities);
        if exchange.route.rebuilds() && !described { Err(exchange) } else { Ok(exchange) }
    }

    async fn handle<N: Next<Ready>>(self: Arc<Self>, mut ready: Ready, mut next: N) -> Answer {
        // What is changed on the way has no validator the server could compare, and no raw form.
        let request = Arc::make_mut(&mut ready.request);
        request.preconditions = Preconditions::default();
        request.binary_raw = false;
        let chain = chain::Chain::new(&ready);
        let shape = shape(&ready.request.interaction);
        let head_only = ready.request.head_only;
        let target = ready.request.target().path_and_query;
        // An id the client asked by is not one it could have got from an answer.
        let own_words = match &ready.request.interaction {
            Interaction::SearchCompartment { .. } => false,
            other => other.id().is_none(),
        };
        let base = ready.face.base.clone();
        let group = Arc::clone(&ready.route.group);
        let (parts, body) = next.call(ready).await?.into_parts();
        if !parts.status.is_success() {
            return Err(refused(parts.status));
        }
        let mut response = Response::new(());
        *response.status_mut() = parts.status;
        *response.headers_mut() = rebuilt(&parts.headers);
        let body: Body = if head_only {
            empty()
        } else {
            match shape {
                Shape::Bundle => {
                    let self_url = own_words.then(|| format!("{base}{target}"));
                    let bundle = bundle::BundleAnswer::new(chain, base, group, self_url, self.resource_limit);
                    transformed(body, bundle).await?
                }
                Shape::Resource => {
                    transformed(body, single::SingleAnswer::new(chain, self.resource_limit)).await?
                }
            }
        };
        Ok(response.map(|()| body))
    }
}

/// What a successful answer to an interaction holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A Bundle of resources, each for itself.
    Bundle,
    /// One resource, whatever it is.
    Resource,
}

fn shape(interaction: &Interaction) -> Shape {
    match interaction {
        Interaction::Operation { name, .. } if operations::answers_with_bundle(name.as_str()) => {
            Shape::Bundle
        }
        other if other.is_search() => Shape::Bundle,
        Interaction::HistoryInstance { .. }
        | Interaction::HistoryType { .. }
        | Interaction::HistorySystem => Shape::Bundle,
        Interaction::Page(_) => Shape::Bundle,
        _ => Shape::Resource,
    }
}

/// The headers a rebuilt answer keeps. `ETag` and `Last-Modified` speak of the resource that was not shown.
fn rebuilt(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    if let Some(content_type) = headers.get(header::CONTENT_TYPE) {
        kept.insert(header::CONTENT_TYPE, content_type.clone());
    }
    kept
}

/// The server's refusal, in words of ours: its own quote ids and values.
fn refused(status: StatusCode) -> Failure {
    let (status, code, message) = match status {
        // That a resource was there once is not for everybody to know.
        StatusCode::NOT_FOUND | StatusCode::GONE => {
            (StatusCode::NOT_FOUND, IssueCode::NotFound, "there is no such resource")
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            (status, IssueCode::Throttled, "the FHIR server is busy")
        }
        other if other.is_client_error() => {
            (other, IssueCode::Processing, "the FHIR server refused the request")
        }
        _ => (StatusCode::BAD_GATEWAY, IssueCode::Exception, "the FHIR server failed"),
    };
    Failure::new(Source::Upstream, status, code, message)
}

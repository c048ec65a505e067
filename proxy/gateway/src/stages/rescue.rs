//! The one place where a failure becomes an answer: an OperationOutcome in the client's format.

use fireguard_fhir::document::Syntax;
use fireguard_fhir::format::Format;
use fireguard_fhir::outcome::OperationOutcome;
use fireguard_traffic::body::{Body, full};
use fireguard_traffic::rate::delay_seconds;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, Request, Response, Version};

use crate::exchange::RequestId;
use crate::facts::Facts;
use crate::failure::Failure;
use crate::stage::Answer;

/// The header that carries an exchange's id both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is needed to answer whatever happens.
pub struct Rescue {
    id: RequestId,
    /// What errors are accepted in.
    accept: Option<HeaderValue>,
    version: Version,
}

impl Rescue {
    /// Takes a well-formed `X-Request-Id` of the client, or makes one.
    pub fn of<B>(request: &Request<B>) -> Self {
        let given = request.headers().get(REQUEST_ID).and_then(RequestId::given);
        let id = given.unwrap_or_else(RequestId::random);
        let accept = request.headers().get(http::header::ACCEPT).cloned();
        Self { id, accept, version: request.version() }
    }

    /// The exchange's id.
    pub fn id(&self) -> &RequestId {
        &self.id
    }

    /// The answer, or the outcome that takes its place.
    pub fn answer(self, answer: Answer, facts: &Facts) -> Response<Body> {
        let mut response = answer.unwrap_or_else(|failure| self.render(&failure, facts.format()));
        let headers = response.headers_mut();
        headers.insert(REQUEST_ID, self.id.header());
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        // What one caller was shown is not for the next, nor for this one when the rules have changed.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        response
    }

    /// `format`: what the interaction is answered in, where it is known.
    fn render(&self, failure: &Failure, format: Option<Format>) -> Response<Body> {
        let accept = || self.accept.as_ref().and_then(|accept| accept.to_str().ok());
        let format = format.unwrap_or_else(|| Format::for_errors(None, accept(), false));
        let outcome =
            OperationOutcome::error(failure.code, failure.message.as_ref()).with_request_id(self.id.as_str());
        // A plugin's is JSON.
        let own = failure.outcome.clone().filter(|_| format.syntax() == Syntax::Json);
        let mut response = Response::new(full(own.map_or_else(|| outcome.to(format).into(), |own| *own)));
        *response.status_mut() = failure.status;
        let headers = response.headers_mut();
        headers.extend(failure.headers().map(|(name, value)| (name.clone(), value.clone())));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        if let Some(wait) = failure.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(delay_seconds(wait)));
        }
        // HTTP/2 frames its requests: none hides in another.
        if failure.closes && self.version <= Version::HTTP_11 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if !failure.allow.is_empty()
            && let Ok(allow) = HeaderValue::from_str(&failure.allow.join(", "))
        {
            headers.insert(ALLOW, allow);
        }
        response
    }
}

//! Lets through only answers we understand.

use std::sync::Arc;

use fireguard_fhir::document::Syntax;
use fireguard_fhir::interaction::{Interaction, is_job_status};
use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::body::{Body, empty};
use fireguard_traffic::hygiene;
use http::header::{self, HeaderValue};
use http::response::Parts;
use http::{Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;

use crate::exchange::Ready;
use crate::failure::{Failure, Source};
use crate::stage::{Answer, Next, Stage};

const JSON: &str = "application/json";

/// The stage. Redirects, HTML and other surprises become 502; an error page of the server becomes an outcome of
/// the same status.
pub struct Vet;

impl Stage<Ready> for Vet {
    type Out = Ready;

    async fn handle<N: Next<Ready>>(self: Arc<Self>, ready: Ready, mut next: N) -> Answer {
        let format = ready.request.format;
        let raw = ready.request.binary_raw;
        let head_only = ready.request.head_only;
        let job = match &ready.request.interaction {
            Interaction::Operation { name, .. } => is_job_status(name.as_str()),
            _ => false,
        };
        let (mut parts, body) = next.call(ready).await?.into_parts();
        let status = parts.status;
        // No part was asked for either.
        let odd = status.is_informational() || status == StatusCode::PARTIAL_CONTENT;
        if odd || (status.is_redirection() && status != StatusCode::NOT_MODIFIED) {
            let detail = format!("status {}", status.as_u16());
            return Err(Failure::upstream(
                "the FHIR server answered with something that is not FHIR",
                detail,
            ));
        }
        let media_type = media_type(&parts.headers);
        let asked = match (format.syntax(), media_type.as_deref()) {
            (Syntax::Json, Some("application/fhir+json" | JSON))
            | (Syntax::Xml, Some("application/fhir+xml" | "application/xml")) => true,
            (Syntax::Json | Syntax::Xml, _) => false,
        };
        // None was asked for, and without its name nobody could undo it.
        if parts.headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return Err(not_asked(status, "a Content-Encoding"));
        }
        parts.headers = hygiene::answer_headers(&parts.headers);
        // HAPI leaves the reason phrase out, and hyper would keep it so.
        parts.extensions.clear();
        if raw && status.is_success() {
            // Of headers that came twice the first counts: it is the one that was looked at.
            if let Some(media_type) = parts.headers.get(header::CONTENT_TYPE).cloned() {
                parts.headers.insert(header::CONTENT_TYPE, media_type);
            }
            mark_raw(&mut parts);
        } else if asked {
            // A job's manifest is JSON and no resource (Bulk Data Access, "Response - Complete Status").
            let manifest = job && media_type.as_deref() == Some(JSON);
            let content_type = if manifest { JSON } else { format.content_type() };
            parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        } else if media_type.is_none() {
            // No body has no type, and the other way round.
            return match is_empty(body).await {
                true => Ok(Response::from_parts(parts, empty())),
                false => Err(not_asked(status, "no media type")),
            };
        } else if head_only || !body.is_end_stream() {
            return Err(not_asked(status, media_type.as_deref().unwrap_or_default()));
        } else {
            parts.headers.remove(header::CONTENT_TYPE);
        }
        Ok(Response::from_parts(parts, body))
    }
}

/// Somebody's file: it passes as it is, whatever it is, and must never run as a page of ours.
pub(super) fn mark_raw(parts: &mut Parts) {
    let given = parts.headers.get(header::CONTENT_DISPOSITION).filter(|value| attached(value));
    let disposition = given.cloned().unwrap_or(HeaderValue::from_static("attachment"));
    parts.headers.insert(header::CONTENT_DISPOSITION, disposition);
    parts.headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    parts.extensions.insert(RawContent);
}

/// Whether a browser stores it instead of showing it.
fn attached(disposition: &HeaderValue) -> bool {
    let kind = disposition.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    kind.trim_ascii().eq_ignore_ascii_case(b"attachment")
}

/// Whether a body ends without a byte.
async fn is_empty(mut body: Body) -> bool {
    while let Some(frame) = body.frame().await {
        if !frame.is_ok_and(|frame| frame.data_ref().is_none_or(|data| data.is_empty())) {
            return false;
        }
    }
    true
}

/// Marks an answer that is the content of a Binary and not a resource.
#[derive(Clone, Copy)]
pub struct RawContent;

/// Type and subtype, lower case.
fn media_type(headers: &http::HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

fn not_asked(status: StatusCode, media_type: &str) -> Failure {
    // Only a type's own characters: the value comes from outside.
    let shown: String = media_type.chars().filter(|c| c.is_ascii_graphic()).take(60).collect();
    let detail = format!("status {} with {shown}", status.as_u16());
    if status.is_client_error() {
        let message = "the FHIR server refused the request";
        return Failure::new(Source::Upstream, status, IssueCode::Processing, message).detail(detail);
    }
    Failure::upstream("the FHIR server answered with something that is not FHIR", detail)
}

//! Lets through only answers we understand.

use std::sync::Arc;

use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::hygiene;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body::Body as _;

use crate::exchange::Ready;
use crate::failure::{Failure, Source};
use crate::stage::{Answer, Next, Stage};

/// The stage. Redirects, HTML and other surprises become 502; an error page of the server becomes an outcome of
/// the same status.
pub struct Vet;

impl Stage<Ready> for Vet {
    type Out = Ready;

    async fn handle<N: Next<Ready>>(self: Arc<Self>, ready: Ready, mut next: N) -> Answer {
        let format = ready.request.format;
        let raw = ready.request.binary_raw;
        let (mut parts, body) = next.call(ready).await?.into_parts();
        let status = parts.status;
        if status.is_informational() || (status.is_redirection() && status != StatusCode::NOT_MODIFIED) {
            let detail = format!("status {}", status.as_u16());
            return Err(Failure::upstream(
                "the FHIR server answered with something that is not FHIR",
                detail,
            ));
        }
        let media_type = media_type(&parts.headers);
        let json = matches!(media_type.as_deref(), Some("application/fhir+json" | "application/json"));
        parts.headers = hygiene::answer_headers(&parts.headers);
        // HAPI leaves the reason phrase out, and hyper would keep it so.
        parts.extensions.clear();
        let empty = body.is_end_stream() || media_type.is_none();
        if json {
            parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        } else if raw && status.is_success() {
            // Somebody's file must never run as a page of ours.
            let disposition = HeaderValue::from_static("attachment");
            parts.headers.entry(header::CONTENT_DISPOSITION).or_insert(disposition);
        } else if !empty {
            return Err(not_json(status, media_type.as_deref().unwrap_or_default()));
        }
        Ok(Response::from_parts(parts, body))
    }
}

/// Type and subtype, lower case.
fn media_type(headers: &http::HeaderMap) -> Option<String> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

fn not_json(status: StatusCode, media_type: &str) -> Failure {
    // Only a type's own characters: the value comes from outside.
    let shown: String = media_type.chars().filter(|c| c.is_ascii_graphic()).take(60).collect();
    let detail = format!("status {} with {shown}", status.as_u16());
    if status.is_client_error() {
        let message = "the FHIR server refused the request";
        return Failure::new(Source::Upstream, status, IssueCode::Processing, message).detail(detail);
    }
    Failure::upstream("the FHIR server answered with something that is not FHIR", detail)
}

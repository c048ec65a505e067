//! Answers for plugins: whole, with the headers that mean something to them.

use fireguard_fhir::format::Format;
use fireguard_fhir::outcome::OperationOutcome;
use fireguard_plugin_host::{FhirAnswer, FhirFault};
use fireguard_traffic::body::Body;
use http::Response;
use http::header::{
    CONTENT_LOCATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, LAST_MODIFIED, LOCATION, RETRY_AFTER,
};
use http_body_util::BodyExt;

use crate::facts::{End, Facts};
use crate::failure::Failure;

/// The headers that a plugin gets to see.
const HEADERS: [HeaderName; 6] = [CONTENT_LOCATION, CONTENT_TYPE, ETAG, LAST_MODIFIED, LOCATION, RETRY_AFTER];

/// An answer with its body, if that has at most so many bytes.
///
/// # Errors
/// It has more, or broke off.
pub(super) async fn whole(
    response: Response<Body>,
    most: usize,
    facts: &Facts,
) -> Result<FhirAnswer, FhirFault> {
    let (parts, mut from) = response.into_parts();
    facts.answered(parts.status);
    let mut body = Vec::new();
    while let Some(frame) = from.frame().await {
        let broke_off = |_| {
            facts.ended(End::Aborted);
            FhirFault::Unavailable("the FHIR server's answer broke off".to_owned())
        };
        let Ok(data) = frame.map_err(broke_off)?.into_data() else { continue };
        facts.sent(data.len());
        if data.len() > most - body.len() {
            return Err(FhirFault::TooLong(most));
        }
        body.extend_from_slice(&data);
    }
    facts.ended(End::Complete);
    Ok(FhirAnswer { status: parts.status.as_u16(), headers: shown(&parts.headers), body })
}

/// What a client would be answered.
pub(super) fn failed(failure: &Failure, facts: &Facts) -> FhirAnswer {
    facts.failed(failure);
    let outcome = OperationOutcome::error(failure.code, failure.message.as_ref());
    let format = facts.format().unwrap_or_else(|| Format::for_errors(None, None, false));
    let mut headers = vec![(CONTENT_TYPE.as_str().to_owned(), format.content_type().to_owned())];
    if let Some(wait) = failure.retry_after {
        headers.push((RETRY_AFTER.as_str().to_owned(), wait.as_secs().max(1).to_string()));
    }
    FhirAnswer { status: failure.status.as_u16(), headers, body: outcome.to(format) }
}

fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    let one = |name: &HeaderName| {
        let value = headers.get(name)?.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    };
    HEADERS.iter().filter_map(one).collect()
}

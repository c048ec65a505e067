//! An answer that is one resource.

use bytes::Bytes;
use fireguard_access::resource::Found;
use fireguard_traffic::body::{Body, empty, full};
use http::Response;
use http::header;
use http_body_util::BodyExt;

use super::Answered;
use super::sight::{Sight, hide};
use crate::failure::Failure;
use crate::stages::words;

/// The resource, if it may be seen; else what is said of one that does not exist.
///
/// # Errors
/// It may not be seen.
pub(super) async fn answer(sight: &Sight, answer: Answered) -> Result<Answered, Failure> {
    let (parts, body) = answer.into_parts();
    let resource = whole(body, sight.limit).await?;
    let shown = shown(sight, resource).ok_or_else(words::not_found)?;
    Ok(Response::from_parts(parts, full(shown)))
}

/// What was written, if it may be seen; that it was written is known to who did it.
///
/// # Errors
/// The answer broke off.
pub(super) async fn written(sight: &Sight, answer: Answered) -> Result<Answered, Failure> {
    let (mut parts, body) = answer.into_parts();
    let resource = whole(body, sight.limit).await?;
    Ok(match shown(sight, resource) {
        Some(shown) => Response::from_parts(parts, full(shown)),
        None => {
            parts.headers.remove(header::CONTENT_TYPE);
            Response::from_parts(parts, empty())
        }
    })
}

fn shown(sight: &Sight, resource: Bytes) -> Option<Bytes> {
    let found = Found::of(&resource).ok()?;
    let hidden = sight.shows(&found, true)?;
    Some(hide(&resource, &hidden).ok()?.map_or(resource, Bytes::from))
}

/// All of an answer.
///
/// # Errors
/// It broke off, or is over so many bytes.
pub(super) async fn whole(mut body: Body, limit: usize) -> Result<Bytes, Failure> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let broken = |error| Failure::upstream("the FHIR server's answer broke off", format!("{error}"));
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        whole.extend_from_slice(&data);
        if whole.len() > limit {
            let detail = format!("a resource is larger than {limit} bytes");
            return Err(Failure::upstream("the answer holds a resource over the limit", detail));
        }
    }
    Ok(whole.into())
}

//! An answer that is one resource.

use bytes::Bytes;
use fireguard_access::resource::Found;
use fireguard_traffic::body::{empty, full};
use http::Response;
use http::header;

use super::Answered;
use super::sight::{Sight, hide};
use crate::failure::Failure;
use crate::stages::words;
use crate::transform::whole;

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

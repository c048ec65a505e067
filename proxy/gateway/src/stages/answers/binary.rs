//! A Binary belongs to whom its `securityContext` belongs (R4 binary.html#security). One without any is nobody's.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fireguard_access::decision::Resource;
use fireguard_access::resource::Found;
use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::{Id, Interaction, Request};
use fireguard_fhir::json;
use fireguard_traffic::body::full;
use http::Response;
use http::header::{self, HeaderValue};

use super::sight::Sight;
use crate::exchange::Ready;
use crate::failure::Failure;
use crate::stage::{Answer, Next};
use crate::stages::vet::mark_raw;
use crate::stages::words;
use crate::transform::whole;

/// A Binary that is asked for.
pub(super) struct Asked {
    /// Its content, not the resource.
    raw: bool,
}

impl Asked {
    /// None: something else is.
    pub(super) fn of(request: &Request, raw: bool) -> Option<Self> {
        let reads = matches!(request.interaction, Interaction::Read { .. } | Interaction::VersionRead { .. });
        (reads && request.interaction.resource_type() == Some(ResourceType::Binary)).then_some(Self { raw })
    }
}

/// The Binary, if what it belongs to may be seen.
///
/// # Errors
/// It may not, or there is none.
pub(super) async fn answer<N: Next<Ready>>(
    asked: &Asked,
    sight: &Sight,
    ready: Ready,
    mut next: N,
) -> Answer {
    let look = ready.asking(ready.request.interaction.clone(), false);
    let (mut parts, body) = next.call(ready).await?.into_parts();
    if !parts.status.is_success() {
        return Err(words::refused(parts.status));
    }
    let binary = whole(body, sight.limit).await?;
    let resource = owner(&binary, sight, look, &mut next).await?;
    if !sight.shows_as(&resource) {
        return Err(words::not_found());
    }
    parts.headers.remove(header::CONTENT_LENGTH);
    if !asked.raw {
        return Ok(Response::from_parts(parts, full(binary)));
    }
    let (media_type, content) = content(&binary).ok_or_else(words::not_found)?;
    parts.headers.insert(header::CONTENT_TYPE, media_type);
    mark_raw(&mut parts);
    Ok(Response::from_parts(parts, full(content)))
}

/// The Binary as a judge sees it: in the compartments of what its `securityContext` is in.
async fn owner<N: Next<Ready>>(
    binary: &Bytes,
    sight: &Sight,
    mut look: Ready,
    next: &mut N,
) -> Result<Resource, Failure> {
    let found = Found::of(binary).map_err(|_| words::not_found())?.outer;
    let context = json::member(binary, "securityContext").and_then(|context| context.member("reference"));
    let context = context.and_then(|reference| local(&reference.string()?));
    let nobody = Resource { unnamed: true, ..found.clone() };
    let Some((ty, id)) = context else { return Ok(nobody) };
    if ty == ResourceType::Patient {
        return Ok(Resource { patients: [id].into(), unnamed: false, ..found });
    }
    Arc::make_mut(&mut look.request).interaction = Interaction::Read { ty, id };
    let answer = next.call(look).await?;
    if !answer.status().is_success() {
        return Ok(nobody);
    }
    let context = whole(answer.into_body(), sight.limit).await?;
    let Ok(context) = Found::of(&context) else { return Ok(nobody) };
    let Resource { patients, unnamed, labels, .. } = context.outer;
    // What is kept from view there is kept from view here.
    let labels = labels.into_iter().chain(found.labels.iter().cloned()).collect();
    Ok(Resource { patients, unnamed, labels, ..found })
}

/// `Type/id`
fn local(reference: &str) -> Option<(ResourceType, Id)> {
    let (ty, id) = reference.split_once('/')?;
    Some((ResourceType::parse(ty)?, Id::parse(id)?))
}

/// Media type and content.
fn content(binary: &[u8]) -> Option<(HeaderValue, Vec<u8>)> {
    let text = |name| json::member(binary, name).and_then(|value| value.string());
    let media_type = text("contentType").and_then(|given| HeaderValue::from_str(&given).ok());
    let data = text("data").unwrap_or_default();
    // FHIR lets white space stand in it.
    let data: Vec<u8> = data.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let media_type = media_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
    Some((media_type, STANDARD.decode(data).ok()?))
}

//! What an answer means when an earlier attempt at the same change may have been carried out.

use fireguard_fhir::interaction::{Id, Interaction, Return};
use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::body::{Begun, Body, empty, full};
use fireguard_traffic::retry::matrix::Kind;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;

use crate::config::defaults;
use crate::exchange::Ready;
use crate::failure::{Failure, Source};
use crate::stage::{Answer, Next};

/// The answer for the client: what a first attempt would have been told, or that nobody knows.
pub(super) async fn settle<N: Next<Ready>>(kind: Kind, ready: Ready, next: &mut N, answer: Answer) -> Answer {
    let status = match &answer {
        Ok(response) => response.status(),
        Err(_) => return Err(unknown()),
    };
    match (kind, status) {
        _ if status.is_success() => answer,
        (Kind::Delete, StatusCode::NOT_FOUND | StatusCode::GONE) => {
            let mut deleted = Response::new(empty());
            *deleted.status_mut() = StatusCode::NO_CONTENT;
            Ok(deleted)
        }
        (Kind::UpdateOfVersion, StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED) => {
            // Unread, it would keep its place at the server.
            drop(answer);
            carried_out(ready, next).await.ok_or_else(unknown)
        }
        (_, StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT | StatusCode::TOO_MANY_REQUESTS) => {
            Err(unknown())
        }
        // It would have been refused the first time as well.
        _ if status.is_client_error() => answer,
        _ => Err(unknown()),
    }
}

/// Nobody knows.
fn unknown() -> Failure {
    let message = "the FHIR server did not say what became of it; the request may have been carried out";
    Failure::new(Source::Upstream, StatusCode::BAD_GATEWAY, IssueCode::Transient, message)
}

/// The answer to an update of version n, if version n + 1 is what it brought.
async fn carried_out<N: Next<Ready>>(ready: Ready, next: &mut N) -> Option<Response<Body>> {
    let Interaction::Update { ty, id } = &ready.request.interaction else { return None };
    let version: u64 = ready.request.preconditions.if_match.as_ref()?.as_str().parse().ok()?;
    let version = Id::parse(&version.checked_add(1)?.to_string())?;
    let brought = ready.body.look().ok()?.collect().await.ok()?.to_bytes();
    let interaction = Interaction::VersionRead { ty: *ty, id: id.clone(), version };
    let wanted = ready.request.prefer.representation;
    let look = ready.asking(interaction, false);
    let (parts, body) =
        next.call(look).await.ok().filter(|found| found.status() == StatusCode::OK)?.into_parts();
    let limit = defaults::RESOURCE as usize;
    let stored = Begun::read(body, limit + 1).await.ok()?.bytes;
    if stored.len() > limit {
        return None;
    }
    if !same(&brought, &stored) {
        return None;
    }
    let without = matches!(wanted, Some(Return::Minimal | Return::OperationOutcome));
    let mut answer = Response::from_parts(parts, if without { empty() } else { full(stored) });
    for name in [http::header::CONTENT_LENGTH, http::header::TRANSFER_ENCODING] {
        answer.headers_mut().remove(name);
    }
    if without {
        answer.headers_mut().remove(http::header::CONTENT_TYPE);
    }
    Some(answer)
}

/// Whether two resources are the same but for what the server itself writes.
fn same(brought: &[u8], stored: &[u8]) -> bool {
    let read = |bytes: &[u8]| {
        let mut resource: Value = serde_json::from_slice(bytes).ok()?;
        resource.as_object_mut()?.remove("meta");
        Some(resource)
    };
    matches!((read(brought), read(stored)), (Some(brought), Some(stored)) if brought == stored)
}

//! Conditions on the version of a resource that HAPI does not keep.

use std::sync::Arc;

use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::{Id, IfNoneMatch, Interaction, Preconditions, Refusal, Request};
use fireguard_fhir::outcome::IssueCode;
use http::{StatusCode, header};

use crate::exchange::Ready;
use crate::failure::Failure;
use crate::stage::Next;

/// What must be so before a write.
pub(super) struct Condition {
    ty: ResourceType,
    id: Id,
    expected: Expected,
}

enum Expected {
    Version(Id),
    /// A version that HAPI itself compares, if there is any.
    Present(Id),
    Absent,
}

impl Condition {
    /// What this request demands and HAPI would pass over.
    ///
    /// # Errors
    /// 400: it cannot be kept, because the resource is not named.
    pub(super) fn of(request: &Request) -> Result<Option<Self>, Refusal> {
        let conditions = &request.preconditions;
        let (ty, id) = match &request.interaction {
            Interaction::Update { ty, id } | Interaction::Delete { ty, id } => (*ty, id.clone()),
            Interaction::ConditionalDelete { .. } if conditions.if_match.is_some() => {
                return Err(cannot("If-Match", "a conditional delete"));
            }
            Interaction::ConditionalUpdate { .. } if conditions.if_none_match.is_some() => {
                return Err(cannot("If-None-Match", "a conditional update"));
            }
            _ => return Ok(None),
        };
        let update = matches!(request.interaction, Interaction::Update { .. });
        let expected = match (&conditions.if_match, &conditions.if_none_match) {
            (Some(version), _) if update => Expected::Present(version.clone()),
            (Some(version), _) => Expected::Version(version.clone()),
            (None, Some(IfNoneMatch::Any)) => Expected::Absent,
            (None, _) => return Ok(None),
        };
        Ok(Some(Self { ty, id, expected }))
    }

    /// The resource, for its turn.
    pub(super) fn resource(&self) -> (&'static str, &str) {
        (self.ty.as_str(), self.id.as_str())
    }

    /// Whether there must be no such resource.
    pub(super) fn is_of_absence(&self) -> bool {
        matches!(self.expected, Expected::Absent)
    }

    /// Takes a [look](Self::look) at the version, and compares.
    ///
    /// # Errors
    /// 412: it is another one, or there is none. Or it cannot be read.
    pub(super) async fn hold<N: Next<Ready>>(&self, look: Ready, next: &mut N) -> Result<(), Failure> {
        let facts = Arc::clone(&look.facts);
        let attempts = facts.attempts();
        let answer = next.call(look).await;
        facts.attempts_were(attempts);
        let answer = answer?;
        let found = match answer.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => None,
            StatusCode::OK => {
                let tag = answer.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
                Some(tag.and_then(Id::from_etag))
            }
            other => return Err(unread(other.as_str())),
        };
        match (&self.expected, found) {
            (Expected::Absent, None) | (Expected::Present(_), Some(None)) => Ok(()),
            (Expected::Version(_), Some(None)) => Err(unread("no ETag")),
            (Expected::Version(expected) | Expected::Present(expected), Some(Some(found)))
                if *expected == found =>
            {
                Ok(())
            }
            (Expected::Absent, Some(_)) => Err(failed("there is such a resource, against If-None-Match: *")),
            (Expected::Version(_) | Expected::Present(_), None) => {
                Err(failed("there is no such resource for If-Match to match"))
            }
            (Expected::Version(_) | Expected::Present(_), Some(_)) => {
                Err(failed("the version in If-Match is not the current one"))
            }
        }
    }

    /// The question for the version.
    pub(super) fn look(&self, ready: &Ready) -> Ready {
        ready.asking(Interaction::Read { ty: self.ty, id: self.id.clone() }, true)
    }
}

/// Has HAPI itself refuse the write if there is such a resource by then: no version is the zeroth, and HAPI does not look
/// at the condition where there is none.
pub(in crate::stages) fn only_if_absent(conditions: &mut Preconditions) {
    conditions.if_none_match = None;
    conditions.if_match = Id::parse("0");
}

/// HAPI would pass over this condition.
pub(in crate::stages) fn cannot(name: &str, what: &str) -> Refusal {
    Refusal::new(
        400,
        IssueCode::NotSupported,
        format!("{name} is not kept for {what}: name the resource by its id"),
    )
}

fn failed(message: &'static str) -> Failure {
    Failure::client(StatusCode::PRECONDITION_FAILED, IssueCode::Conflict, message)
}

fn unread(detail: &str) -> Failure {
    Failure::upstream("the current version could not be read before the write", detail)
}

//! What the server refuses, in words of ours: its own quote ids and values.

use fireguard_fhir::outcome::IssueCode;
use http::StatusCode;

use crate::failure::{Failure, Source};

/// The server's refusal of this status.
pub(super) fn refused(status: StatusCode) -> Failure {
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

/// Whoever may not see a resource is told what anybody is told of one that does not exist.
pub(super) fn not_found() -> Failure {
    refused(StatusCode::NOT_FOUND)
}

/// Somebody else has changed it since it was looked at.
pub(super) fn changed() -> Failure {
    let message = "the resource was changed by somebody else at the same time; try again";
    Failure::client(StatusCode::CONFLICT, IssueCode::Conflict, message)
}

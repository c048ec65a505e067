//! Why a bucket did not do what it was asked.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

/// Codes of servers are words; what is longer is none.
const LONGEST_CODE: usize = 64;

/// Why something was not kept, or not found out. No key and nothing of an object stands in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BucketFault {
    /// The certificates of authorities cannot be used.
    #[error("the authorities in `ca` cannot be used: {0}")]
    Authorities(String),
    /// Neither the configuration nor the surroundings say who we are.
    #[error(
        "no credentials were found: neither in the configuration nor in the environment, nor with the machine"
    )]
    NoCredentials,
    /// The server refuses: credentials, permissions, or a clock that is wrong.
    #[error("the S3 server refuses it ({0})")]
    Denied(String),
    /// There is no such bucket.
    #[error("there is no such bucket")]
    NoBucket,
    /// The bucket is in another region, or at another endpoint.
    #[error("the bucket is in another region or at another endpoint")]
    Elsewhere,
    /// There is no such object.
    #[error("there is no such object")]
    Absent,
    /// There is an object of this key.
    #[error("there is such an object already")]
    Exists,
    /// The object has more bytes than were asked for.
    #[error("the object has over {most} bytes")]
    TooLarge {
        /// As many.
        most: u64,
    },
    /// The server has too much to do.
    #[error("the S3 server asks to come again later ({0})")]
    Busy(String),
    /// It answered something else: the status, and the code or the status.
    #[error("the S3 server answered {0} ({1})")]
    Status(u16, String),
    /// It did not answer in time.
    #[error("the S3 server did not answer in time")]
    Silent,
    /// No connection can be made, or it broke.
    #[error("the S3 server cannot be reached")]
    Unreachable,
    /// Its answer cannot be read.
    #[error("the S3 server's answer cannot be read")]
    Broken,
}

impl BucketFault {
    /// One word, for metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Authorities(_) => "authorities",
            Self::NoCredentials => "no_credentials",
            Self::Denied(_) => "denied",
            Self::NoBucket => "no_bucket",
            Self::Elsewhere => "elsewhere",
            Self::Absent => "absent",
            Self::Exists => "exists",
            Self::TooLarge { .. } => "too_large",
            Self::Busy(_) => "busy",
            Self::Status(..) => "status",
            Self::Silent => "silent",
            Self::Unreachable => "unreachable",
            Self::Broken => "broken",
        }
    }
}

impl<E: ProvideErrorMetadata> From<SdkError<E, HttpResponse>> for BucketFault {
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        match &error {
            SdkError::TimeoutError(_) => Self::Silent,
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Self::Silent,
            SdkError::DispatchFailure(failure) if failure.is_io() => Self::Unreachable,
            // Everything that the connector reports is one of these; what is left is the search for credentials.
            SdkError::DispatchFailure(_) => Self::NoCredentials,
            SdkError::ServiceError(answer) => {
                answered(answer.raw().status().as_u16(), answer.err().code().unwrap_or_default())
            }
            _ => Self::Broken,
        }
    }
}

fn answered(status: u16, code: &str) -> BucketFault {
    let plain =
        !code.is_empty() && code.len() <= LONGEST_CODE && code.bytes().all(|b| b.is_ascii_alphanumeric());
    // An answer to HEAD has no body, and so no code.
    let told = if plain { code.to_owned() } else { format!("status {status}") };
    match (status, code) {
        (_, "NoSuchBucket") => BucketFault::NoBucket,
        (_, "NoSuchKey") => BucketFault::Absent,
        (301 | 307, _) | (_, "AuthorizationHeaderMalformed" | "PermanentRedirect") => BucketFault::Elsewhere,
        (404, _) => BucketFault::NoBucket,
        (412, _) => BucketFault::Exists,
        (401 | 403, _) => BucketFault::Denied(told),
        // Another writer of the same key is at work.
        (409, "ConditionalRequestConflict") | (429 | 503, _) => BucketFault::Busy(told),
        _ => BucketFault::Status(status, told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        for (status, code, expected) in [
            (404, "NoSuchBucket", BucketFault::NoBucket),
            (404, "NoSuchKey", BucketFault::Absent),
            (404, "", BucketFault::NoBucket),
            (412, "PreconditionFailed", BucketFault::Exists),
            (403, "SignatureDoesNotMatch", BucketFault::Denied("SignatureDoesNotMatch".to_owned())),
            (403, "", BucketFault::Denied("status 403".to_owned())),
            (503, "SlowDown", BucketFault::Busy("SlowDown".to_owned())),
            (409, "ConditionalRequestConflict", BucketFault::Busy("ConditionalRequestConflict".to_owned())),
            (301, "PermanentRedirect", BucketFault::Elsewhere),
            (400, "AuthorizationHeaderMalformed", BucketFault::Elsewhere),
            (500, "InternalError", BucketFault::Status(500, "InternalError".to_owned())),
            (501, "<b>Patient/1</b>", BucketFault::Status(501, "status 501".to_owned())),
        ] {
            assert_eq!(answered(status, code), expected, "{status} {code}");
        }
    }
}

//! Why a request is not passed on.

use crate::{
    format::FormatError,
    outcome::{IssueCode, OperationOutcome},
    parameters::ParametersError,
};

/// A request that is refused before anything was asked or sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// What kind of issue it is.
    pub code: IssueCode,
    /// What is wrong and what would be right. Quotes no values; names of parameters, types and operations only
    /// cut short and without odd characters.
    pub message: String,
    /// The methods for the `Allow` header of a 405.
    pub allow: &'static [&'static str],
}

impl Refusal {
    /// A refusal without an `Allow` list.
    pub fn new(status: u16, code: IssueCode, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), allow: &[] }
    }

    /// 400 `invalid`
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, IssueCode::Invalid, message)
    }

    /// 400 `not-supported`
    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(400, IssueCode::NotSupported, message)
    }

    /// 404 `not-supported`: there is no such route.
    pub(crate) fn no_route(message: impl Into<String>) -> Self {
        Self::new(404, IssueCode::NotSupported, message)
    }

    /// 405 `not-supported`
    pub(crate) fn method(allow: &'static [&'static str]) -> Self {
        let message = format!("the method is not allowed here; allowed: {}", allow.join(", "));
        Self { status: 405, code: IssueCode::NotSupported, message, allow }
    }

    /// 406 `not-supported`
    pub(crate) fn not_acceptable(error: FormatError) -> Self {
        Self::new(
            406,
            IssueCode::NotSupported,
            format!("the answer cannot have the format asked for: {error}"),
        )
    }

    /// 415 `not-supported`
    pub(crate) fn media_type(message: impl Into<String>) -> Self {
        Self::new(415, IssueCode::NotSupported, message)
    }
}

impl From<ParametersError> for Refusal {
    fn from(error: ParametersError) -> Self {
        match error {
            ParametersError::TooLong => Self::new(414, IssueCode::TooLong, error.to_string()),
            ParametersError::TooMany => Self::new(400, IssueCode::TooCostly, error.to_string()),
            _ => Self::invalid(error.to_string()),
        }
    }
}

impl From<&Refusal> for OperationOutcome {
    fn from(refusal: &Refusal) -> Self {
        Self::error(refusal.code, refusal.message.clone())
    }
}

/// A name from outside, fit to be shown: letters, digits and `$-_.:`, cut at 64.
pub(crate) fn shown(name: &str) -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || "$-_.:".contains(*c);
    name.chars().filter(plain).take(64).collect()
}

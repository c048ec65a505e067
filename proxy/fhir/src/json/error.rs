//! What can be wrong with a JSON text.

use std::fmt;

use crate::document::Fault;

/// A fault in a JSON text.
pub type Error = Fault<ErrorKind>;

/// The kinds of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A byte that RFC 8259 does not allow here.
    Syntax,
    /// The text ended inside a value.
    Truncated,
    /// Something other than white space follows the value.
    Trailing,
    /// Not UTF-8, or an escape that stands for no character.
    Encoding,
    /// An object has two members of one name (compared after decoding escapes).
    DuplicateKey,
    /// Nested deeper than [`super::MAX_DEPTH`].
    TooDeep,
    /// A member name, an exponent, or an object's number of members, over the limit.
    TooLong,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "not valid JSON",
            Self::Truncated => "JSON ends too early",
            Self::Trailing => "something follows the JSON value",
            Self::Encoding => "not valid UTF-8 text",
            Self::DuplicateKey => "an object has two members of one name",
            Self::TooDeep => "nested too deeply",
            Self::TooLong => "a member name, an exponent or an object is too long",
        })
    }
}

//! What can be wrong with a JSON text.

use std::fmt;

/// A fault in a JSON text and the byte it was found at. The display text never quotes the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Offset in bytes from the start of the text.
    pub offset: u64,
}

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

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            ErrorKind::Syntax => "not valid JSON",
            ErrorKind::Truncated => "JSON ends too early",
            ErrorKind::Trailing => "something follows the JSON value",
            ErrorKind::Encoding => "not valid UTF-8 text",
            ErrorKind::DuplicateKey => "an object has two members of one name",
            ErrorKind::TooDeep => "nested too deeply",
            ErrorKind::TooLong => "a member name, an exponent or an object is too long",
        };
        write!(f, "{what} (at byte {})", self.offset)
    }
}

impl std::error::Error for Error {}

//! What is wrong with a map.

use std::fmt;

/// What is wrong with a map, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapFault {
    /// The line, counted from one; zero when there is none to give.
    pub line: u64,
    /// A JSON Pointer (RFC 6901) into the map; empty: the whole.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl MapFault {
    pub(super) fn at_line(line: u64, message: String) -> Self {
        Self { line, pointer: String::new(), message }
    }

    pub(super) fn at_pointer(pointer: &str, message: &str) -> Self {
        Self { line: 0, pointer: pointer.to_owned(), message: message.to_owned() }
    }

    pub(super) fn whole(message: &str) -> Self {
        Self::at_pointer("", message)
    }
}

impl fmt::Display for MapFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        if !self.pointer.is_empty() {
            write!(f, "{}: ", self.pointer)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for MapFault {}

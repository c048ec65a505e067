//! What can be wrong with an XML text.

use std::fmt;

/// A fault in an XML text and the byte it was found at. The display text never quotes the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Offset in bytes from the start of the text: the fault, or the end of the tag that has it.
    pub offset: u64,
}

/// The kinds of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Not well-formed.
    Syntax,
    /// The text ended inside of an element.
    Truncated,
    /// Something follows the outermost element.
    Trailing,
    /// Not UTF-8 without a byte order mark, or a character that XML does not have.
    Encoding,
    /// A DTD, or a reference to an entity that only a DTD could declare.
    Dtd,
    /// A processing instruction.
    Instruction,
    /// Another namespace than FHIR's, or that of XHTML for narratives.
    Namespace,
    /// An attribute that FHIR's XML does not have.
    Attribute,
    /// A text outside of a narrative, or a name or nesting that FHIR's XML does not have.
    Structure,
    /// An element that may come once came twice.
    Duplicate,
    /// Nested deeper than [`super::MAX_DEPTH`] or [`super::MAX_NARRATIVE_DEPTH`].
    TooDeep,
    /// A name or a tag is over the limit.
    TooLong,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            ErrorKind::Syntax => "not well-formed XML",
            ErrorKind::Truncated => "XML ends too early",
            ErrorKind::Trailing => "something follows the outermost element",
            ErrorKind::Encoding => "not XML text in UTF-8 without a byte order mark",
            ErrorKind::Dtd => "a DTD, or an entity that needs one",
            ErrorKind::Instruction => "a processing instruction",
            ErrorKind::Namespace => "a namespace that is neither FHIR's nor, in narratives, that of XHTML",
            ErrorKind::Attribute => "an attribute that FHIR's XML does not have",
            ErrorKind::Structure => "not the structure of FHIR's XML",
            ErrorKind::Duplicate => "an element that may come once is there twice",
            ErrorKind::TooDeep => "nested too deeply",
            ErrorKind::TooLong => "a name or a tag is too long",
        };
        write!(f, "{what} (at byte {})", self.offset)
    }
}

impl std::error::Error for Error {}

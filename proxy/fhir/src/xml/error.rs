//! What can be wrong with an XML text.

use std::fmt;

use crate::document::Fault;

/// A fault in an XML text. Found in a tag, it may be at the end of it.
pub type Error = Fault<ErrorKind>;

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

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Syntax => "not well-formed XML",
            Self::Truncated => "XML ends too early",
            Self::Trailing => "something follows the outermost element",
            Self::Encoding => "not XML text in UTF-8 without a byte order mark",
            Self::Dtd => "a DTD, or an entity that needs one",
            Self::Instruction => "a processing instruction",
            Self::Namespace => "a namespace that is neither FHIR's nor, in narratives, that of XHTML",
            Self::Attribute => "an attribute that FHIR's XML does not have",
            Self::Structure => "not the structure of FHIR's XML",
            Self::Duplicate => "an element that may come once is there twice",
            Self::TooDeep => "nested too deeply",
            Self::TooLong => "a name or a tag is too long",
        })
    }
}

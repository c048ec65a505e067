//! FHIR's XML over bytes (R4 xml.html), as strict as [`crate::json::scan`] and driving the same sinks.
//!
//! [`scan::Scanner`] takes a stream in any cuts: it cuts out one tag at a time, has quick-xml read it, and keeps the
//! rules that quick-xml leaves to its callers. Its memory is a stack of names and one bounded tag; long values
//! (base64) and texts of narratives stream through. What FHIR's XML does not need is refused: DTDs, entities,
//! processing instructions, prefixes, other character sets.

mod attributes;
mod elements;
mod error;
pub mod scan;
mod text;

#[cfg(test)]
mod tests;

pub use error::{Error, ErrorKind};
pub(crate) use text::unescape_start;
pub use text::{unescape, write_escaped};

/// The namespace of everything but narratives.
pub const FHIR: &str = "http://hl7.org/fhir";
/// The namespace of narratives.
pub const XHTML: &str = "http://www.w3.org/1999/xhtml";

/// Elements of resources may nest this deep, the outermost counted as one.
pub const MAX_DEPTH: usize = 64;
/// The same within a narrative, the elements around it counted as well.
pub const MAX_NARRATIVE_DEPTH: usize = 256;

//! JSON over bytes. The bytes are the truth: what nothing asks to change keeps its number text, member
//! order, escapes and spacing.
//!
//! Two readers for two jobs. The *scanner* is resumable: it takes a stream in any cuts and holds no more
//! than a stack and one bounded token. The *rewriter* takes one whole value (a resource) and copies spans; [`read()`] asks
//! and checks like it where nothing changes.

mod edit;
mod error;
mod escape;
mod keys;
mod lex;
mod lookup;
mod plain;
mod read;
mod rewrite;
pub mod scan;
mod transform;
mod tree;

#[cfg(test)]
mod tests;

pub use edit::{Appender, Rewrite, Slot};
pub use error::{Error, ErrorKind};
pub use escape::{unescape, write_escaped, write_string};
pub use keys::Fingerprint;
pub use lex::Kind;
pub use lookup::{member, resource_type_of};
pub(crate) use plain::Utf8;
pub use read::{Reader, read, read_first};
pub use rewrite::{Key, Step, Value, Visitor, check, rewrite};
pub use transform::transform;
pub use tree::Tree;

/// Objects and arrays may nest this deep, counting the outermost as one (design §6).
pub const MAX_DEPTH: usize = 64;

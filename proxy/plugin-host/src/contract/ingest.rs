//! `ingest`: messages in, resources or a problem for each out.

use std::fmt;

use bytes::Bytes;
use wasmtime::component::{ComponentType, Lift, Lower};

use super::{Exchange, Field};

/// A message of a device, a row, a file. Its `Debug` form shows its size only.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The name of the source.
    pub source: String,
    /// Where in the source it stands: a line, an offset.
    pub position: u64,
    /// Its bytes.
    pub content: Bytes,
    /// `content-type`, and what the source tells besides.
    pub extras: Vec<Field>,
}

/// Why a message became nothing. The texts are cut and cleaned for one line of a log.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct MessageProblem {
    /// A JSON Pointer into the message, or a name of what is wrong there; empty: the whole.
    pub place: String,
    /// One sentence.
    pub message: String,
    /// None are defined.
    pub extras: Vec<Field>,
}

/// What `ingest.process` takes and answers.
pub(crate) type Process<'a> = (&'a Exchange, &'a [MessageRef<'a>]);
pub(crate) type Processed = (Vec<Result<Vec<Vec<u8>>, MessageProblem>>,);

/// A message as the call takes it.
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct MessageRef<'a> {
    source: &'a str,
    position: u64,
    content: &'a [u8],
    extras: &'a [Field],
}

impl Message {
    pub(crate) fn borrowed(&self) -> MessageRef<'_> {
        MessageRef {
            source: &self.source,
            position: self.position,
            content: &self.content,
            extras: &self.extras,
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {} bytes", self.source, self.position, self.content.len())
    }
}

//! `resources`: resources in, a verdict for each out.

use std::fmt;

use bytes::Bytes;
use wasmtime::component::{ComponentType, Lift, Lower};

use super::{Direction, Exchange, Field, Refusal};

/// One resource. Its `Debug` form shows its size only.
#[derive(Clone, PartialEq, Eq)]
pub struct Item {
    /// One JSON object, as it was sent.
    pub content: Bytes,
    /// In a batch or transaction `interaction`: what its entry asks for.
    pub extras: Vec<Field>,
}

/// What `resources.process` takes and answers. The bytes are borrowed: they are copied once, into the guest.
pub(crate) type Process<'a> = (&'a Exchange, Direction, &'a [ItemRef<'a>]);
pub(crate) type Processed = (Vec<Verdict>,);

/// A resource as the call takes it.
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct ItemRef<'a> {
    content: &'a [u8],
    extras: &'a [Field],
}

/// A verdict as it arrives.
#[derive(Clone, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Verdict {
    #[component(name = "keep")]
    Keep,
    #[component(name = "edits")]
    Edits(Vec<Edit>),
    #[component(name = "replace")]
    Replace(Vec<u8>),
    #[component(name = "drop")]
    Drop,
    #[component(name = "refuse")]
    Refuse(Refusal),
}

#[derive(Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Edit {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) text: Vec<u8>,
}

impl Item {
    /// A resource without further facts.
    pub fn new(content: impl Into<Bytes>) -> Item {
        Item { content: content.into(), extras: Vec::new() }
    }

    pub(crate) fn borrowed(&self) -> ItemRef<'_> {
        ItemRef { content: &self.content, extras: &self.extras }
    }
}

impl From<Bytes> for Item {
    fn from(content: Bytes) -> Self {
        Item::new(content)
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.content.len())
    }
}

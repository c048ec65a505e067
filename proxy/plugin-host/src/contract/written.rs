//! `written`: acknowledged writes in, what became of each out.

use std::fmt;

use bytes::Bytes;
use wasmtime::component::{ComponentType, Lift, Lower};

use super::{Exchange, Field};

/// A write that the server has acknowledged. Its `Debug` form shows neither ids nor content.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// The same for every repetition of the event, and for no other.
    pub id: String,
    /// The request that wrote.
    pub exchange: Exchange,
    /// `create`, `update`, `patch` or `delete`.
    pub interaction: String,
    /// The type of the resource.
    pub resource_type: String,
    /// Its id.
    pub resource_id: String,
    /// The version it now has, where the server said it.
    pub version_id: Option<String>,
    /// When the server acknowledged it: an instant of FHIR, in UTC.
    pub time: String,
    /// What was sent, where it is known.
    pub content: Option<Bytes>,
    /// `attempt`: how many times it was tried, from `1`.
    pub extras: Vec<Field>,
}

/// What became of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(variant)]
pub enum Settled {
    /// It is done with.
    #[component(name = "done")]
    Done,
    /// It is to come again, after this many milliseconds at the earliest.
    #[component(name = "retry")]
    Retry(u32),
}

/// What `written.process` takes and answers.
pub(crate) type Process<'a> = (&'a [EventRef<'a>],);
pub(crate) type Processed = (Vec<Settled>,);

/// An event as the call takes it.
#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct EventRef<'a> {
    id: &'a str,
    exchange: &'a Exchange,
    interaction: &'a str,
    #[component(name = "resource-type")]
    resource_type: &'a str,
    #[component(name = "resource-id")]
    resource_id: &'a str,
    #[component(name = "version-id")]
    version_id: Option<&'a str>,
    time: &'a str,
    content: Option<&'a [u8]>,
    extras: &'a [Field],
}

impl Event {
    pub(crate) fn borrowed(&self) -> EventRef<'_> {
        EventRef {
            id: &self.id,
            exchange: &self.exchange,
            interaction: &self.interaction,
            resource_type: &self.resource_type,
            resource_id: &self.resource_id,
            version_id: self.version_id.as_deref(),
            time: &self.time,
            content: self.content.as_deref(),
            extras: &self.extras,
        }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("id", &self.id)
            .field("interaction", &self.interaction)
            .field("resource_type", &self.resource_type)
            .field("content", &self.content.as_ref().map(Bytes::len))
            .finish_non_exhaustive()
    }
}

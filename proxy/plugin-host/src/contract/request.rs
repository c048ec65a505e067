//! `request`: a head in, an action out.

use std::fmt;

use bytes::Bytes;
use wasmtime::component::{ComponentType, Lift, Lower};

use super::{Exchange, Field, Refusal};

/// What a request asks for. Its `Debug` form shows no values: they speak of patients.
#[derive(Clone, Default, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Head {
    /// The type of resource it is about; none for the whole system.
    #[component(name = "resource-type")]
    pub resource_type: Option<String>,
    /// The id of the resource.
    pub id: Option<String>,
    /// The version of the resource.
    #[component(name = "version-id")]
    pub version_id: Option<String>,
    /// The name of the operation, with its `$`.
    pub operation: Option<String>,
    /// The parameters of the query or form: names with their modifiers, values without percent-encoding, in order.
    pub parameters: Vec<Field>,
    /// The headers that mean something to a FHIR server; names in lower case.
    pub headers: Vec<Field>,
    /// `compartment`, `compartment-id`: of a compartment search.
    pub extras: Vec<Field>,
}

/// An answer in place of the server's.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// As the plugin said it: to be checked.
    pub status: u16,
    /// Those that a FHIR server may send; to be checked.
    pub headers: Vec<Field>,
    /// A resource in JSON, or nothing; to be checked.
    pub body: Bytes,
    /// None are defined.
    pub extras: Vec<Field>,
}

/// What becomes of a request.
#[derive(Clone, PartialEq, Eq)]
pub enum Action {
    /// It goes on as it is.
    Forward,
    /// It goes on with this head.
    Change(Head),
    /// This is the answer.
    Answer(Answer),
    /// It is refused. The texts are cut and cleaned for one line of a log.
    Refuse(Refusal),
}

/// What `request.process` takes and answers.
pub(crate) type Process<'a> = (&'a Exchange, &'a Head);
pub(crate) type Processed = (Wire,);

/// An action as it arrives.
#[derive(Clone, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Wire {
    #[component(name = "forward")]
    Forward,
    #[component(name = "change")]
    Change(Head),
    #[component(name = "answer")]
    Answer(WireAnswer),
    #[component(name = "refuse")]
    Refuse(Refusal),
}

#[derive(Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireAnswer {
    status: u16,
    headers: Vec<Field>,
    body: Vec<u8>,
    extras: Vec<Field>,
}

impl Action {
    /// How many bytes of the plugin it carries.
    pub(crate) fn size(&self) -> usize {
        let fields = |fields: &[Field]| fields.iter().map(|f| f.name.len() + f.value.len()).sum::<usize>();
        match self {
            Action::Forward | Action::Refuse(_) => 0,
            Action::Change(head) => fields(&head.parameters) + fields(&head.headers),
            Action::Answer(answer) => answer.body.len() + fields(&answer.headers),
        }
    }
}

impl From<Wire> for Action {
    fn from(action: Wire) -> Self {
        match action {
            Wire::Forward => Action::Forward,
            Wire::Change(head) => Action::Change(head),
            Wire::Answer(WireAnswer { status, headers, body, extras }) => {
                Action::Answer(Answer { status, headers, body: body.into(), extras })
            }
            Wire::Refuse(refusal) => Action::Refuse(crate::verdict::cleaned(refusal)),
        }
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("resource_type", &self.resource_type)
            .field("operation", &self.operation)
            .field("parameters", &self.parameters.len())
            .field("headers", &self.headers.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} headers and {} bytes", self.status, self.headers.len(), self.body.len())
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Forward => f.write_str("Forward"),
            Action::Change(head) => f.debug_tuple("Change").field(head).finish(),
            Action::Answer(answer) => write!(f, "Answer({answer:?})"),
            Action::Refuse(refusal) => write!(f, "Refuse({:?})", refusal.code),
        }
    }
}

//! What answers hold.

use fireguard_fhir::interaction::Interaction;
use fireguard_fhir::operations;

/// What a successful answer to an interaction holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stages) enum Shape {
    /// A Bundle of resources, each for itself.
    Bundle,
    /// One resource, whatever it is.
    Resource,
    /// The resource that was written.
    Written,
    /// The answers to the entries of a batch or transaction.
    Responses,
    /// Nothing that anybody must see.
    Nothing,
}

impl Shape {
    /// Of the answer to this interaction.
    pub(in crate::stages) fn of(interaction: &Interaction) -> Self {
        match interaction {
            Interaction::Operation { name, .. } if operations::answers_with_bundle(name.as_str()) => {
                Self::Bundle
            }
            other if other.is_search() => Self::Bundle,
            Interaction::HistoryInstance { .. }
            | Interaction::HistoryType { .. }
            | Interaction::HistorySystem
            | Interaction::Page(_) => Self::Bundle,
            Interaction::Create { .. }
            | Interaction::ConditionalCreate { .. }
            | Interaction::Update { .. }
            | Interaction::ConditionalUpdate { .. }
            | Interaction::Patch { .. }
            | Interaction::ConditionalPatch { .. } => Self::Written,
            Interaction::Delete { .. } | Interaction::ConditionalDelete { .. } => Self::Nothing,
            Interaction::Bundle { .. } => Self::Responses,
            _ => Self::Resource,
        }
    }
}

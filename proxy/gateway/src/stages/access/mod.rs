//! What a caller may do, at gate 1 and before a write.

mod admit;
mod bundle;
mod entry;
mod merge;
mod settle;
mod stored;
mod versions;
pub mod writes;

use fireguard_fhir::interaction::Refusal;
use fireguard_fhir::outcome::IssueCode;

pub(super) use admit::{admit, searches_all};

/// Somebody writes back what was not wholly shown.
pub(super) fn not_whole() -> Refusal {
    let message = "this resource is marked as one of which not all was shown (SUBSETTED, REDACTED or MASKED): stored so, \
                   the rest of it would be lost. Read it whole, or take the mark off and write only what you know to \
                   be whole";
    Refusal::new(422, IssueCode::BusinessRule, message)
}

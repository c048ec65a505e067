//! Searches that the server makes for its own ends: a conditional reference, a Subscription. They cannot be narrowed.

use fireguard_fhir::interaction::{Refusal, Request};
use fireguard_fhir::outcome::IssueCode;

use crate::accesses::accesses;
use crate::decision::{Judge, Permission};

/// Judges what the server will search for as it is: nothing of it may be hidden from the caller, who learns whether
/// there is such a thing.
///
/// # Errors
/// 403: something may be.
pub fn sees_whole(judge: &dyn Judge, search: &Request) -> Result<(), Refusal> {
    for access in accesses(search)?.accesses {
        match judge.request(&access) {
            Permission::Allowed(allowed) if allowed.is_all() => {}
            Permission::Allowed(_) => {
                let message =
                    "what it looks for cannot be confined to what you may see: refer to it by its id";
                return Err(Refusal::new(403, IssueCode::Forbidden, message));
            }
            Permission::Denied(denied) => {
                return Err(Refusal::new(403, IssueCode::Forbidden, denied.message));
            }
        }
    }
    Ok(())
}

//! What is decided of a caller: SMART scopes and policies, and nothing where neither says so.

mod bounds;
mod judge;
mod scopes;

use std::sync::Arc;

use fireguard_fhir::interaction::Request;

use crate::decision::Judge;
use crate::principal::Principal;

/// What a route decides by.
#[derive(Debug, Default)]
pub struct Decisions {}

impl Decisions {
    /// Scopes decide alone.
    pub fn by_scopes() -> Self {
        Self::default()
    }

    /// A judge of one request of this caller.
    pub fn judge(&self, principal: Arc<Principal>, request: &Request) -> Arc<dyn Judge> {
        let _ = request;
        Arc::new(judge::Decider::new(principal))
    }
}

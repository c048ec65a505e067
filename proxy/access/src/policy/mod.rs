//! What is decided of a caller: SMART scopes and policies, and nothing where neither says so.

mod bounds;
mod entities;
mod judge;
mod load;
mod memory;
mod obligations;
mod policies;
mod relax;
pub mod schema;
mod scopes;

use std::sync::Arc;
use std::time::SystemTime;

use fireguard_fhir::interaction::Request;

use crate::decision::Judge;
use crate::principal::Principal;

pub use load::Fault;
pub use policies::Policies;

/// What a route decides by.
#[derive(Debug, Default)]
pub struct Decisions {
    policies: Option<Arc<Policies>>,
}

impl Decisions {
    /// Scopes decide alone.
    pub fn by_scopes() -> Self {
        Self::default()
    }

    /// Scopes and policies decide: what both allow is allowed.
    pub fn by_policies(policies: Arc<Policies>) -> Self {
        Self { policies: Some(policies) }
    }

    /// A judge of one request of this caller.
    pub fn judge(&self, principal: Arc<Principal>, request: &Request) -> Arc<dyn Judge> {
        self.judge_at(principal, request, SystemTime::now())
    }

    /// The same at another time.
    pub fn judge_at(&self, principal: Arc<Principal>, request: &Request, now: SystemTime) -> Arc<dyn Judge> {
        Arc::new(judge::Decider::new(principal, self.policies.clone(), request, now))
    }
}

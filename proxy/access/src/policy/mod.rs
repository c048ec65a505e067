//! What is decided of a caller: SMART scopes and policies, and nothing where neither says so.

mod audit_only;
mod bounds;
pub mod cases;
pub mod describe;
mod entities;
mod extent;
mod heads;
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

pub use audit_only::WOULD_REFUSE;
pub use extent::{Extent, Reach};
pub use load::Fault;
pub use policies::Policies;

/// What a route decides by.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decisions {
    policies: Option<Arc<Policies>>,
    /// The route on which nothing is refused.
    audit_only: Option<Arc<str>>,
}

impl Decisions {
    /// Scopes decide alone.
    pub fn by_scopes() -> Self {
        Self::default()
    }

    /// Scopes and policies decide: what both allow is allowed.
    pub fn by_policies(policies: Arc<Policies>) -> Self {
        Self { policies: Some(policies), audit_only: None }
    }

    /// The same, but nothing is refused on this route: what would have been is noted.
    #[must_use]
    pub fn audit_only(self, route: &str) -> Self {
        Self { audit_only: Some(route.into()), ..self }
    }

    /// A judge of one request of this caller.
    pub fn judge(&self, principal: Arc<Principal>, request: &Request) -> Arc<dyn Judge> {
        self.judge_at(principal, request, SystemTime::now())
    }

    /// The same at another time.
    pub fn judge_at(&self, principal: Arc<Principal>, request: &Request, now: SystemTime) -> Arc<dyn Judge> {
        let judge = Arc::new(judge::Decider::new(principal, self.policies.clone(), request, now));
        match &self.audit_only {
            None => judge,
            Some(route) => Arc::new(audit_only::AuditOnly { judge, route: Arc::clone(route) }),
        }
    }
}

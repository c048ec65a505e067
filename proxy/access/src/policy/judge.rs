//! Scopes and policies together, for one request.

use std::sync::Arc;

use super::scopes;
use crate::decision::{Access, Action, Allowed, Denied, Judge, Obligations, Permission, Resource};
use crate::principal::Principal;

/// Decides for one request of one caller.
#[derive(Debug)]
pub(super) struct Decider {
    principal: Arc<Principal>,
}

impl Decider {
    /// For this caller.
    pub(super) fn new(principal: Arc<Principal>) -> Self {
        Self { principal }
    }
}

impl Judge for Decider {
    fn request(&self, access: &Access) -> Permission {
        if let Some(denied) = self.undecided(&access.action) {
            return Permission::Denied(denied);
        }
        match scopes::request(&self.principal, access) {
            Err(denied) => Permission::Denied(denied),
            Ok(granted) => allowed(granted.bounds, granted.each),
        }
    }

    fn resource(&self, action: &Action, resource: &Resource) -> Permission {
        if let Some(denied) = self.undecided(action) {
            return Permission::Denied(denied);
        }
        match scopes::resource(&self.principal, action, resource) {
            Err(denied) => Permission::Denied(denied),
            Ok(bounds) => allowed(bounds, false),
        }
    }
}

impl Decider {
    /// Where nothing grants anything, and what only policies can grant.
    fn undecided(&self, action: &Action) -> Option<Denied> {
        let message = match action {
            _ if self.principal.scopes.is_none() => "nothing allows this",
            Action::Relabel => "only a policy can allow to take security labels off",
            _ => return None,
        };
        Some(Denied { message: message.into(), scope: None, policies: Vec::new() })
    }
}

fn allowed(bounds: Vec<crate::decision::Bound>, each: bool) -> Permission {
    Permission::Allowed(Allowed { bounds, each, obligations: Obligations::default(), policies: Vec::new() })
}

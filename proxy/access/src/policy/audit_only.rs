//! A judge that lets everything pass, and notes what it would have refused: to try policies out on what is going on.

use std::sync::Arc;

use crate::decision::{Access, Action, Allowed, Bound, Denied, Judge, Obligations, Permission, Resource};

use super::schema;

/// The metric of what would have been refused, by route and action.
pub const WOULD_REFUSE: &str = "fireguard_policies_would_refuse_total";

/// Notes what another judge refuses.
#[derive(Debug)]
pub(super) struct AuditOnly {
    /// The judge on trial.
    pub(super) judge: Arc<dyn Judge>,
    /// The route.
    pub(super) route: Arc<str>,
}

impl Judge for AuditOnly {
    fn request(&self, access: &Access) -> Permission {
        if let Permission::Denied(denied) = self.judge.request(access) {
            let ty = access.resource_type.map_or("any", |ty| ty.as_str());
            self.note("request", &access.action, ty, &denied);
        }
        everything()
    }

    fn resource(&self, action: &Action, resource: &Resource) -> Permission {
        if let Permission::Denied(denied) = self.judge.resource(action, resource) {
            self.note("resource", action, resource.resource_type.as_str(), &denied);
        }
        everything()
    }
}

impl AuditOnly {
    fn note(&self, gate: &'static str, action: &Action, ty: &str, denied: &Denied) {
        let action = schema::name(action);
        let route = self.route.to_string();
        metrics::counter!(WOULD_REFUSE, "route" => route, "action" => action, "gate" => gate).increment(1);
        let policies = denied.policies.join(", ");
        tracing::info!(route = &*self.route, gate, action, r#type = ty, policies, "would be refused");
    }
}

fn everything() -> Permission {
    Permission::Allowed(Allowed {
        bounds: vec![Bound::default()],
        each: false,
        obligations: Obligations::default(),
        policies: Vec::new(),
    })
}

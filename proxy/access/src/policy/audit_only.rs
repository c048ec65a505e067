//! A judge that lets everything pass, and notes what it would have refused: to try policies out on what is going on.

use std::collections::BTreeSet;
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

    fn plugins(&self, _: &Access) -> BTreeSet<String> {
        BTreeSet::new()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Refuses everything.
    #[derive(Debug)]
    struct Never;

    impl Judge for Never {
        fn request(&self, _: &Access) -> Permission {
            Permission::Denied(Denied { message: String::new(), scope: None, policies: Vec::new() })
        }

        fn resource(&self, _: &Action, _: &Resource) -> Permission {
            self.request(&Access { action: Action::Read, resource_type: None, id: None })
        }

        fn plugins(&self, _: &Access) -> BTreeSet<String> {
            BTreeSet::new()
        }
    }

    #[test]
    fn nothing_is_refused_on_trial() {
        let judge = AuditOnly { judge: Arc::new(Never), route: "fhir".into() };
        let access = Access { action: Action::Delete, resource_type: None, id: None };
        let Permission::Allowed(allowed) = judge.request(&access) else { panic!("refused") };
        // Nothing has to be looked at either: a route on trial answers as it would without policies.
        assert!(allowed.is_all());
    }
}

//! How far a request goes: what gate 1 found, for the gates behind it.

use std::collections::BTreeSet;
use std::sync::Arc;

use fireguard_fhir::ResourceType;
use fireguard_fhir::parameters::Parameters;

use crate::decision::{Action, Allowed, Bound, Judge, Obligations, Permission, Resource};

/// What gate 1 lets through.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Granted {
    /// What is to be done besides, whatever the resources are.
    pub obligations: Obligations,
    /// The policies that permit it, by `@id`.
    pub policies: BTreeSet<Arc<str>>,
    /// None: everything that is asked for, and nothing has to be looked at.
    pub confinement: Option<Confinement>,
}

/// Not everything that is asked for may be shown or changed: each resource is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confinement {
    /// What showing a resource in the answer is.
    pub shown: Action,
    /// The search was narrowed, and the answer has to prove it.
    pub narrowed: Option<Narrowed>,
    /// It pages through a search that was narrowed for this very caller, whose first page has proved it: what matches is
    /// within one of its bounds.
    pub proved: bool,
    /// Only how much a narrowed search finds was asked for: what it finds is left out of the answer.
    pub counted: bool,
}

/// A search that was narrowed to what its caller may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrowed {
    /// What is searched for.
    pub resource_type: ResourceType,
    /// What the self link of the answer must contain.
    pub required: Parameters,
    /// What every match is within: constraints, too, which nobody can see by a resource.
    pub bounds: Vec<Bound>,
}

impl Granted {
    /// One more thing that was allowed.
    pub fn add(&mut self, allowed: &Allowed) {
        let Obligations { plugins, drop, audit } = &allowed.obligations;
        self.obligations.plugins.extend(plugins.iter().cloned());
        self.obligations.drop.extend(drop.iter().cloned());
        self.obligations.audit = self.obligations.audit.max(*audit);
        self.policies.extend(allowed.policies.iter().cloned());
    }
}

impl Confinement {
    /// Judges a resource that is about to be shown. `matched`: it is what was searched for, and the narrowing was
    /// verified. None: it is withheld.
    pub fn shows(&self, judge: &dyn Judge, resource: &Resource, matched: bool) -> Option<Allowed> {
        let Permission::Allowed(allowed) = judge.resource(&self.shown, resource) else { return None };
        let met = self
            .narrowed
            .as_ref()
            .filter(|narrowed| matched && narrowed.resource_type == resource.resource_type);
        let within = |bound: &Bound| {
            let met = (matched && self.proved) || met.is_some_and(|met| met.meets(bound));
            (met || bound.constraint.is_empty()) && bound.reaches(resource)
        };
        allowed.bounds.iter().any(within).then_some(allowed)
    }
}

impl Narrowed {
    /// Whether every match is within the constraint of this bound. A judge who knows the resource may have done with
    /// the patient.
    fn meets(&self, bound: &Bound) -> bool {
        self.bounds.iter().any(|own| {
            own.constraint == bound.constraint && (bound.patient.is_none() || own.patient == bound.patient)
        })
    }

    /// Whether the self link of the answer shows that the server searched as it was told. Its URL is read as any
    /// request's is: a link that merely looks like it proves nothing.
    pub fn is_proved_by(&self, path: &str, query: Option<&str>) -> bool {
        let Ok(found) = Parameters::parse(query.unwrap_or_default().as_bytes()) else { return false };
        path.trim_start_matches('/') == self.resource_type.as_str()
            && self.required.iter().all(|(name, value)| found.all(name).any(|found| found == value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_self_link_proves_what_it_contains() {
        let mut required = Parameters::default();
        required.push("patient", "Patient/1");
        let narrowed =
            Narrowed { resource_type: ResourceType::Observation, required, bounds: vec![Bound::default()] };
        for (path, query, proved) in [
            ("/Observation", Some("patient=Patient%2F1"), true),
            ("Observation", Some("code=x&patient=Patient/1&_count=2"), true),
            ("/Observation", Some("patient=Patient%2F2&patient=Patient%2F1"), true),
            ("/Observation", Some("patient=Patient%2F12"), false),
            ("/Observation", Some("patient=Patient%2F1,Patient/2"), false),
            ("/Observation", Some("xpatient=Patient/1"), false),
            ("/Observation", Some("patient:Patient=1"), false),
            ("/Observation", Some("patient=%zz"), false),
            ("/Observation", None, false),
            ("/Condition", Some("patient=Patient/1"), false),
            ("/x/Observation", Some("patient=Patient/1"), false),
            ("", Some("patient=Patient/1"), false),
        ] {
            assert_eq!(narrowed.is_proved_by(path, query), proved, "{path} {query:?}");
        }
    }
}

//! The search parameters that a confined caller may use. What is searched is narrowed; a parameter can then only make it
//! less, unless it looks at other resources, or tells of what is not shown.

use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::Refusal;
use fireguard_fhir::outcome::IssueCode;
use fireguard_fhir::parameters::{Parameters, split_name};
use fireguard_fhir::r4::{
    SearchParameterType, Targets, patient_parameters, reference_targets, search_parameter, searched_elements,
};

use super::narrow::patient_parameter;
use super::{count, unjudged};
use crate::accesses::{Touched, Use, joins};
use crate::confinement::Narrowed;
use crate::decision::{Access, Action, Judge, Permission};
use crate::shared_types::{Sharing, sharing};

/// What one search is judged by.
pub(super) struct Rules<'a> {
    pub(super) judge: &'a dyn Judge,
    pub(super) ty: ResourceType,
    pub(super) narrowed: Option<&'a Narrowed>,
}

/// Modifiers that look at nothing but the element they stand at, and at terminology.
const MODIFIERS: [&str; 11] = [
    "above",
    "below",
    "contains",
    "exact",
    "identifier",
    "in",
    "missing",
    "not",
    "not-in",
    "of-type",
    "text",
];

impl Rules<'_> {
    /// Judges every parameter.
    ///
    /// # Errors
    /// 400 or 403: one tells more than the caller may know, or nobody knows what it tells.
    pub(super) fn check(&self, parameters: &Parameters) -> Result<(), Refusal> {
        for (name, value) in parameters.iter() {
            let (base, modifier) = split_name(name);
            match base {
                "_include" | "_revinclude" if matches!(modifier, None | Some("iterate" | "recurse")) => {}
                "_has" => {}
                "_sort" => {
                    for key in value.split(',').map(|key| key.trim().trim_start_matches('-')) {
                        self.known(self.ty, key, None)?;
                    }
                }
                // Of a condition: a search that somebody asks for has no such value any more.
                _ if count::is(name, value) => return Err(unjudged("a count alone")),
                "_count" | "_summary" | "_elements" | "_total" if modifier.is_none() => {}
                "_contained" | "_containedType" | "_content" | "_text" | "_filter" | "_query" | "_list"
                | "_type" => return Err(unjudged(&format!("a search by `{base}`"))),
                _ if name.contains('.') => {}
                _ => self.known(self.ty, base, modifier)?,
            }
        }
        for join in joins(Some(self.ty), parameters)? {
            match (&join.used, &join.touches) {
                // Each of them is judged by itself.
                (Use::Shown, _) => {}
                (Use::Has { resource_type, reference, name }, _)
                    if self.has_own(*resource_type, reference) =>
                {
                    let (base, modifier) = split_name(name);
                    self.known(*resource_type, base, modifier)?;
                }
                (_, Touched::Types(types)) if types.iter().all(|ty| self.sees_all(*ty)) => {}
                _ => return Err(unjudged("a search by what other resources say")),
            }
        }
        Ok(())
    }

    /// Whether a parameter of this name looks only at what is shown of the type.
    fn known(&self, ty: ResourceType, name: &str, modifier: Option<&str>) -> Result<(), Refusal> {
        let Some(kind) =
            search_parameter(ty, name).filter(|_| !matches!(name, "_content" | "_text" | "_query"))
        else {
            let message = format!("{ty} has no such search parameter in R4, and what it tells is not known");
            return Err(Refusal::new(400, IssueCode::NotSupported, message));
        };
        let plain = match modifier {
            None => true,
            Some(target)
                if kind == SearchParameterType::Reference && ResourceType::parse(target).is_some() =>
            {
                true
            }
            Some(modifier) => MODIFIERS.contains(&modifier),
        };
        if !plain {
            return Err(unjudged("a search with such a modifier"));
        }
        if self.hides(ty, name) {
            return Err(unjudged("a search by what is not shown to you"));
        }
        Ok(())
    }

    /// Whether what it looks at is among the elements that the caller does not see.
    fn hides(&self, ty: ResourceType, name: &str) -> bool {
        let Some(allowed) = self.allowed(ty) else { return true };
        let mut hidden = allowed.obligations.drop.iter().filter_map(|element| {
            let (of, element) = element.split_once('.')?;
            (of == "*" || of == ty.as_str()).then_some(element)
        });
        match searched_elements(ty, name) {
            None => hidden.next().is_some(),
            // `value` of the definition is `valueQuantity` and others in JSON.
            Some(elements) => hidden.any(|hidden| elements.iter().any(|element| hidden.starts_with(element))),
        }
    }

    /// Whether the type may be seen whole: then nothing is told by what is found.
    fn sees_all(&self, ty: ResourceType) -> bool {
        self.allowed(ty).is_some_and(|allowed| allowed.is_all())
    }

    /// Whether `_has` looks into the compartment of the very patients to which the search is narrowed.
    fn has_own(&self, source: ResourceType, reference: &str) -> bool {
        let only_patients =
            || matches!(reference_targets(source, reference), Some(Targets::Of([ResourceType::Patient])));
        let narrowed = self.narrowed.is_some_and(|narrowed| narrowed.required.get("_id").is_some());
        let allowed = || {
            self.allowed(source).is_some_and(|allowed| {
                let patients = |narrowed: &Narrowed| {
                    narrowed.bounds.iter().all(|own| {
                        let held = |bound: &crate::decision::Bound| {
                            bound.constraint.is_empty()
                                && (bound.patient.is_none() || bound.patient == own.patient)
                        };
                        allowed.bounds.iter().any(held)
                    })
                };
                self.narrowed.is_some_and(patients)
            })
        };
        self.ty == ResourceType::Patient
            && narrowed
            && sharing(source) == Sharing::Own
            && patient_parameter(source).is_some()
            && (patient_parameters(source).contains(&reference) || only_patients())
            && allowed()
    }

    fn allowed(&self, ty: ResourceType) -> Option<crate::decision::Allowed> {
        let access = Access { action: Action::Search, resource_type: Some(ty), id: None };
        match self.judge.request(&access) {
            Permission::Allowed(allowed) => Some(allowed),
            Permission::Denied(_) => None,
        }
    }
}

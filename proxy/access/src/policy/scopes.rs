//! What the scopes of a token allow.

use fireguard_fhir::ResourceType;
use fireguard_fhir::operations::Level;
use fireguard_fhir::smart::operations::{Needs, needs};
use fireguard_fhir::smart::{Context, Permission, ResourceScope, Scopes};

use super::bounds;
use crate::decision::{Access, Action, Bound, Denied, Resource};
use crate::principal::Principal;
use crate::shared_types::{Sharing, sharing};

/// What is allowed so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Granted {
    /// As in [`crate::decision::Allowed`].
    pub(super) bounds: Vec<Bound>,
    /// It depends on each resource.
    pub(super) each: bool,
}

impl Granted {
    /// Everything.
    pub(super) fn all() -> Self {
        Self { bounds: vec![Bound::default()], each: false }
    }
}

/// Before a resource is known.
pub(super) fn request(principal: &Principal, access: &Access) -> Result<Granted, Denied> {
    let Some(scopes) = &principal.scopes else { return Ok(Granted::all()) };
    let ty = access.resource_type;
    let needs = needed(&access.action, ty, access.id.is_some());
    let fitting = fitting(scopes, &needs, ty);
    let bounds: Vec<_> = fitting.filter_map(|scope| bound(scope, principal, &access.action, ty)).collect();
    let bounds = bounds::any(bounds.into_iter().filter(|bound| !needs.whole || bound.is_all()));
    if bounds.is_empty() {
        return Err(denied(&needs, ty));
    }
    // What one is confined to differs from type to type. What a search by the patient finds of a type that belongs to
    // patients is within the bound.
    let certain = |ty| matches!(sharing(ty), Sharing::Everybodys | Sharing::Own);
    let each = !ty.is_some_and(certain) && bounds.iter().all(|bound| !bound.is_all());
    Ok(Granted { bounds, each })
}

/// Of a resource that is known: what is left of the bounds, without those to patients.
pub(super) fn resource(
    principal: &Principal,
    action: &Action,
    resource: &Resource,
) -> Result<Vec<Bound>, Denied> {
    let Some(scopes) = &principal.scopes else { return Ok(vec![Bound::default()]) };
    let ty = Some(resource.resource_type);
    let needs = needed(action, ty, true);
    let bounds = bounds::any(fitting(scopes, &needs, ty).filter_map(|scope| {
        let mut bound = bound(scope, principal, action, ty)?;
        if let Some(patient) = bound.patient.take()
            && !sharing(resource.resource_type).reaches(&patient, resource)
        {
            return None;
        }
        Some(bound)
    }));
    if bounds.is_empty() { Err(denied(&needs, ty)) } else { Ok(bounds) }
}

/// What the scopes have to be.
fn needed(action: &Action, ty: Option<ResourceType>, one: bool) -> Needs {
    let permission: &[Permission] = match action {
        Action::Read | Action::VersionRead => &[Permission::Read],
        Action::History if one => &[Permission::Read],
        Action::History | Action::Search => &[Permission::Search],
        Action::Create => &[Permission::Create],
        Action::Update | Action::Patch | Action::Relabel => &[Permission::Update],
        Action::Delete => &[Permission::Delete],
        Action::Operate(name) => {
            let level = match ty {
                None => Level::System,
                Some(_) if one => Level::Instance,
                Some(_) => Level::Type,
            };
            return needs(name.as_str(), level);
        }
    };
    let contexts = &[Context::Patient, Context::User, Context::System];
    Needs { permissions: permission, contexts, whole: false }
}

fn fitting<'a>(
    scopes: &'a Scopes,
    needs: &'a Needs,
    ty: Option<ResourceType>,
) -> impl Iterator<Item = &'a ResourceScope> {
    scopes.resources().iter().filter(move |scope| {
        scope.covers(ty)
            && needs.contexts.contains(&scope.context)
            && needs.permissions.iter().all(|permission| scope.permits(*permission))
    })
}

/// What the scope is bounded to. None: it does not count here.
fn bound(
    scope: &ResourceScope,
    principal: &Principal,
    action: &Action,
    ty: Option<ResourceType>,
) -> Option<Bound> {
    let constraint = scope.constraint.clone();
    if scope.context != Context::Patient {
        return Some(Bound { patient: None, constraint });
    }
    let patient = principal.patient.clone()?;
    match ty.map(sharing) {
        Some(Sharing::Nobodys) => None,
        Some(Sharing::Everybodys) => reads(action).then_some(Bound { patient: None, constraint }),
        Some(Sharing::OwnOrNobodys) if !reads(action) => None,
        _ => Some(Bound { patient: Some(patient), constraint }),
    }
}

fn reads(action: &Action) -> bool {
    match action {
        Action::Read | Action::VersionRead | Action::History | Action::Search => true,
        Action::Create | Action::Update | Action::Patch | Action::Delete | Action::Relabel => false,
        Action::Operate(name) => {
            fireguard_fhir::operations::find(name.as_str()).is_some_and(|known| !known.affects_state)
        }
    }
}

fn denied(needs: &Needs, ty: Option<ResourceType>) -> Denied {
    let letters: String = needs.permissions.iter().map(|permission| permission.letter()).collect();
    let context = if needs.contexts == [Context::System] { Context::System } else { Context::User };
    let ty = ty.map_or("*", ResourceType::as_str);
    Denied {
        message: "the scopes that were granted do not allow this".into(),
        scope: Some(format!("{}/{ty}.{letters}", context.as_str())),
        policies: Vec::new(),
    }
}

#[cfg(test)]
mod tests;

//! Scopes and policies together, for one request.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use cedar_policy::Context;
use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::Request;
use fireguard_fhir::smart::operations;

use super::entities::{self, Asking, Caller, Which};
use super::memory::Memory;
use super::policies::{self, Permit, Policies, Question, Verdict};
use super::relax::Known;
use super::scopes::{self, Granted};
use super::{bounds, schema};
use crate::decision::{
    Access, Action, Allowed, Bound, Denied, Judge, NOTHING, Obligations, Permission, Resource,
};
use crate::principal::Principal;
use crate::shared_types::{Sharing, sharing};

/// Decides for one request of one caller.
#[derive(Debug)]
pub(super) struct Decider {
    principal: Arc<Principal>,
    policies: Option<Asked>,
    memory: Mutex<Memory>,
}

/// What policies are asked with, whatever they are asked.
#[derive(Debug)]
struct Asked {
    policies: Arc<Policies>,
    principal: Arc<Principal>,
    /// The caller and how it asks; none: they cannot be told to policies.
    known: Option<(Caller, Context)>,
}

impl Decider {
    /// For this request of this caller, at this time. Without policies, scopes decide alone.
    pub(super) fn new(
        principal: Arc<Principal>,
        policies: Option<Arc<Policies>>,
        request: &Request,
        now: SystemTime,
    ) -> Self {
        let policies = policies.map(|policies| {
            let now = policies.asks_when().then_some(now);
            let known = Caller::new(&principal)
                .and_then(|caller| Ok((caller, entities::context(&principal, request, now)?)));
            Asked { policies, principal: Arc::clone(&principal), known: known.ok() }
        });
        Self { principal, policies, memory: Mutex::default() }
    }
}

impl Judge for Decider {
    fn request(&self, access: &Access) -> Permission {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = memory.access(access) {
            return known;
        }
        let permission = self.access(access).map_or_else(Permission::Denied, Permission::Allowed);
        memory.keep_access(access, &permission);
        permission
    }

    fn resource(&self, action: &Action, resource: &Resource) -> Permission {
        let looks = self.policies.as_ref().map(|asked| asked.policies.looks()).unwrap_or_default();
        let own = self.principal.patient.as_ref().is_some_and(|patient| self.reaches(patient, resource));
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = memory.resource(action, resource, own, looks) {
            return known;
        }
        let permission =
            self.known(action, resource, own).map_or_else(Permission::Denied, Permission::Allowed);
        memory.keep_resource(action, resource, own, looks, &permission);
        permission
    }

    fn asks_how(&self) -> bool {
        self.policies.as_ref().is_some_and(|asked| asked.policies.asks_how())
    }

    fn plugins(&self, access: &Access) -> BTreeSet<String> {
        let Some(asked) = &self.policies else { return BTreeSet::new() };
        let named = asked.policies.plugins();
        if named.is_empty() {
            return BTreeSet::new();
        }
        let known = if access.resource_type.is_some() { Known::Type } else { Known::Nothing };
        let who = (&self.principal.roles, access.resource_type);
        let any = Which::Any(access.resource_type);
        match asked.ask(Question::May(known), &access.action, who, any) {
            Ok(permits) => policies::obligations(permits.into_iter()).plugins,
            // Nothing is shown by what nothing permits.
            Err(denied) if denied == nothing(denied.policies.clone()) => BTreeSet::new(),
            // What could not be asked may ask for any.
            Err(_) => named.into_keys().map(str::to_owned).collect(),
        }
    }
}

impl Decider {
    /// Before a resource is known. Of what an operation answers with, nobody knows the types either.
    fn access(&self, access: &Access) -> Result<Allowed, Denied> {
        let mut allowed = self.asked_for(access)?;
        if let Action::Operate(name) = &access.action
            && !operations::stays_with_its_type(name.as_str())
        {
            let everything = Access { action: Action::Read, resource_type: None, id: None };
            allowed.each |= !self.asked_for(&everything).is_ok_and(|allowed| allowed.is_all());
        }
        Ok(allowed)
    }

    fn asked_for(&self, access: &Access) -> Result<Allowed, Denied> {
        self.decided(&access.action)?;
        let by_scopes = scopes::request(&self.principal, access)?;
        let Some(asked) = &self.policies else { return Ok(allowed(by_scopes)) };
        let known = if access.resource_type.is_some() { Known::Type } else { Known::Nothing };
        let who = (&self.principal.roles, access.resource_type);
        let any = Which::Any(access.resource_type);
        let may = asked.ask(Question::May(known), &access.action, who, any)?;
        let certain = if known == Known::Type && !asked.policies.depends(schema::name(&access.action)) {
            may.clone()
        } else {
            asked.ask(Question::Must(known), &access.action, who, any).unwrap_or_default()
        };
        let far =
            |permits: &[&Permit]| bounds::any(permits.iter().filter_map(|permit| self.bound(permit, access)));
        let possible = far(&may);
        let Some(together) = bounds::both(&by_scopes.bounds, &possible) else {
            return Err(nothing(Vec::new()));
        };
        Ok(Allowed {
            bounds: together,
            each: by_scopes.each || possible != far(&certain),
            obligations: policies::obligations(may.iter().copied()),
            policies: may.iter().map(|permit| Arc::clone(&permit.id)).collect(),
        })
    }

    /// Of a resource that is known.
    fn known(&self, action: &Action, resource: &Resource, own: bool) -> Result<Allowed, Denied> {
        self.decided(action)?;
        let bounds = scopes::resource(&self.principal, action, resource)?;
        let Some(asked) = &self.policies else { return Ok(allowed(Granted { bounds, each: false })) };
        let who = (&self.principal.roles, Some(resource.resource_type));
        let tenant = entities::tenant(resource, asked.policies.tenant_tag());
        let mut permits = asked.ask(Question::Resource, action, who, Which::This(resource, tenant))?;
        permits.retain(|permit| !permit.obliged.narrow || own);
        if permits.is_empty() {
            return Err(nothing(Vec::new()));
        }
        Ok(Allowed {
            bounds,
            each: false,
            obligations: policies::obligations(permits.iter().copied()),
            policies: permits.iter().map(|permit| Arc::clone(&permit.id)).collect(),
        })
    }

    /// How far a permit goes. None: to nothing of this type.
    fn bound(&self, permit: &Permit, access: &Access) -> Option<Bound> {
        if !permit.obliged.narrow {
            return Some(Bound::default());
        }
        let patient = Some(self.principal.patient.clone()?);
        match access.resource_type.map(sharing) {
            Some(Sharing::Nobodys) => None,
            Some(Sharing::Everybodys) => Some(Bound::default()),
            _ => Some(Bound { patient, ..Bound::default() }),
        }
    }

    fn reaches(&self, patient: &fireguard_fhir::interaction::Id, resource: &Resource) -> bool {
        sharing(resource.resource_type).reaches(patient, resource)
    }

    /// Refuses what nothing decides.
    fn decided(&self, action: &Action) -> Result<(), Denied> {
        if self.policies.is_some() {
            return Ok(());
        }
        match action {
            _ if self.principal.scopes.is_none() => Err(nothing(Vec::new())),
            Action::Relabel => Err(nothing(Vec::new())),
            _ => Ok(()),
        }
    }
}

impl Asked {
    /// The permits that hold.
    fn ask(
        &self,
        question: Question,
        action: &Action,
        who: (&BTreeSet<String>, Option<ResourceType>),
        which: Which<'_>,
    ) -> Result<Vec<&Permit>, Denied> {
        let unable = |_| Denied {
            message: "the policies of this server could not be asked".into(),
            scope: None,
            policies: Vec::new(),
        };
        let Some((caller, context)) = &self.known else { return Err(unable(())) };
        let name = schema::name(action);
        let chosen = self.policies.choose(question, name, who).map_err(|_| unable(()))?;
        let Some(chosen) = chosen else { return Err(nothing(Vec::new())) };
        let asking =
            Asking { principal: &self.principal, caller, action, which, context, groups: chosen.groups };
        match self.policies.ask(&chosen, asking).map_err(|_| unable(()))? {
            Verdict::Permitted(permits) => Ok(permits),
            Verdict::Denied(policies) => Err(nothing(policies)),
            Verdict::Failed(policies) => Err(Denied {
                message: "a policy of this server could not be evaluated".into(),
                scope: None,
                policies,
            }),
        }
    }
}

fn allowed(granted: Granted) -> Allowed {
    let Granted { bounds, each } = granted;
    Allowed { bounds, each, obligations: Obligations::default(), policies: Vec::new() }
}

fn nothing(policies: Vec<Arc<str>>) -> Denied {
    let message = if policies.is_empty() { NOTHING } else { "a policy forbids this" };
    Denied { message: message.into(), scope: None, policies }
}

#[cfg(test)]
mod plain;
mod reach;
#[cfg(test)]
mod tests;

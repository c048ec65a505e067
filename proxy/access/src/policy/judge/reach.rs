//! How far something could be allowed to resources of a type, however it is asked for.

use super::super::entities::Which;
use super::super::extent::Reach;
use super::super::policies::{Permit, Question};
use super::super::relax::Known;
use super::super::{bounds, scopes};
use super::Decider;
use crate::decision::{Access, Bound};
use crate::shared_types::{Sharing, sharing};

impl Decider {
    /// To this caller.
    pub(in crate::policy) fn reach(&self, access: &Access) -> Reach {
        if self.decided(&access.action).is_err() {
            return Reach::Nothing;
        }
        let Ok(by_scopes) = scopes::request(&self.principal, access) else { return Reach::Nothing };
        let whole = !by_scopes.each && by_scopes.bounds.iter().any(Bound::is_all);
        if self.policies.is_none() {
            return if whole { Reach::Everything } else { Reach::Part };
        }
        let permits = |question| self.permits(question, access);
        let far = |permits: &[&Permit]| -> Vec<Bound> {
            bounds::any(permits.iter().filter_map(|permit| self.bound(permit, access)))
        };
        let may = permits(Question::May(Known::Caller));
        if bounds::both(&by_scopes.bounds, &far(&may)).is_none() {
            return Reach::Nothing;
        }
        let must = permits(Question::Must(Known::Caller));
        let shown = may.iter().all(|permit| permit.obliged.obligations.drop.is_empty());
        let certain = far(&must).iter().any(Bound::is_all);
        if whole && shown && certain { Reach::Everything } else { Reach::Part }
    }

    /// To somebody: scopes may be any. The principal of this one is nobody in particular.
    pub(in crate::policy) fn reach_of_anybody(&self, access: &Access) -> Reach {
        let may = self.permits(Question::May(Known::Anybody), access);
        let nobodys = access.resource_type.map(sharing) == Some(Sharing::Nobodys);
        let reaches = may.iter().any(|permit| !(permit.obliged.narrow && nobodys));
        if reaches { Reach::Everything } else { Reach::Nothing }
    }

    /// Whether its scopes reach as far, whatever policies say.
    pub(in crate::policy) fn is_within_scopes(&self, access: &Access) -> bool {
        scopes::request(&self.principal, access).is_ok()
    }

    fn permits(&self, question: Question, access: &Access) -> Vec<&Permit> {
        let Some(asked) = &self.policies else { return Vec::new() };
        let who = (&self.principal.roles, access.resource_type);
        let resource = Which::Any(access.resource_type);
        asked.ask(question, &access.action, who, resource).unwrap_or_default()
    }
}

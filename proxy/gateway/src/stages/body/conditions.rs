//! Conditions of entries that HAPI does not keep.

use std::collections::HashSet;

use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::{BundleKind, Interaction, Refusal, Request};
use fireguard_fhir::outcome::IssueCode;
use fireguard_fhir::parameters::Parameters;

use crate::config::hapi::Hapi;
use crate::stages::hapi::cannot;

/// The conditions of the entries of one Bundle.
#[derive(Default)]
pub(super) struct Conditions {
    seen: HashSet<(ResourceType, Vec<(String, String)>)>,
    twice: bool,
}

impl Conditions {
    /// Judges one entry.
    ///
    /// # Errors
    /// 400: HAPI would pass over its condition.
    pub(super) fn judge(&mut self, hapi: &Hapi, request: &Request) -> Result<(), Refusal> {
        let conditions = &request.preconditions;
        let (ty, condition) = match &request.interaction {
            Interaction::Delete { .. } | Interaction::ConditionalDelete { .. }
                if hapi.check_versions && conditions.if_match.is_some() =>
            {
                return Err(cannot("ifMatch", "a DELETE in a Bundle"));
            }
            Interaction::Update { .. } | Interaction::ConditionalUpdate { .. }
                if hapi.check_versions && conditions.if_none_match.is_some() =>
            {
                return Err(cannot("ifNoneMatch", "a PUT in a Bundle"));
            }
            Interaction::ConditionalCreate { ty } => (*ty, conditions.if_none_exist.as_ref()),
            Interaction::ConditionalUpdate { ty } => (*ty, Some(&request.parameters)),
            _ => return Ok(()),
        };
        if let Some(condition) = condition.filter(|_| hapi.check_transactions) {
            self.twice |= !self.seen.insert((ty, sorted(condition)));
        }
        Ok(())
    }

    /// Judges the whole, of which the kind is known now.
    ///
    /// # Errors
    /// 400: a transaction with two entries of one condition. HAPI would carry out one of them.
    pub(super) fn of_whole(&self, kind: BundleKind) -> Result<(), Refusal> {
        if self.twice && kind == BundleKind::Transaction {
            let message =
                "the transaction has several entries of the same condition: the content of one would be lost";
            return Err(Refusal::new(400, IssueCode::Invalid, message));
        }
        Ok(())
    }
}

/// In an order that does not matter.
fn sorted(condition: &Parameters) -> Vec<(String, String)> {
    let mut pairs: Vec<_> =
        condition.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    pairs.sort_unstable();
    pairs
}

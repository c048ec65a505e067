//! What a request asks for: one table of every interaction and what it needs. Joins need what they touch.
//!
//! An operation is an access of its own ([`Action::Operate`]); what it reads of the resource it is called on is another.

mod joins;

use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::{Id, Interaction, OperationScope, Refusal, Request};
use fireguard_fhir::parameters::Parameters;
use fireguard_fhir::smart::operations;

use crate::decision::{Access, Action};

pub use joins::{Join, Touched, Use, joins};

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// All of these have to be allowed. The first is what the request is about.
    pub accesses: Vec<Access>,
    /// What it may come to as well, once the server has been asked: judged then.
    pub possible: Vec<Access>,
}

/// The table. A Bundle asks for what its entries ask for, and each of them is a request of its own. A page was asked for
/// with the search it belongs to.
///
/// # Errors
/// 400: nobody can tell what a join touches.
pub fn accesses(request: &Request) -> Result<Asked, Refusal> {
    use Action as A;
    let mut asked = Asked::default();
    let mut one = |action, ty: ResourceType, id: Option<&Id>| {
        asked.accesses.push(Access { action, resource_type: Some(ty), id: id.cloned() });
    };
    match &request.interaction {
        Interaction::Capabilities => {}
        Interaction::Read { ty, id } => one(A::Read, *ty, Some(id)),
        Interaction::VersionRead { ty, id, .. } => one(A::VersionRead, *ty, Some(id)),
        Interaction::HistoryInstance { ty, id } => one(A::History, *ty, Some(id)),
        Interaction::HistoryType { ty } => one(A::History, *ty, None),
        Interaction::HistorySystem => asked.any(A::History),
        Interaction::SearchType { ty } => one(A::Search, *ty, None),
        Interaction::SearchSystem => asked.types(&request.parameters)?,
        Interaction::SearchCompartment { compartment, id, ty } => {
            match ty {
                Some(ty) => one(A::Search, *ty, None),
                None => asked.types(&request.parameters)?,
            }
            let compartment =
                Access { action: A::Read, resource_type: Some(*compartment), id: Some(id.clone()) };
            asked.accesses.push(compartment);
        }
        Interaction::Create { ty } => one(A::Create, *ty, None),
        Interaction::ConditionalCreate { ty } => {
            one(A::Create, *ty, None);
            one(A::Search, *ty, None);
        }
        Interaction::Update { ty, id } => {
            one(A::Update, *ty, Some(id));
            // Where there is none yet, it creates one.
            asked.possible.push(Access { action: A::Create, resource_type: Some(*ty), id: Some(id.clone()) });
        }
        Interaction::ConditionalUpdate { ty } => {
            one(A::Update, *ty, None);
            one(A::Search, *ty, None);
            asked.possible.push(Access { action: A::Create, resource_type: Some(*ty), id: None });
        }
        Interaction::Patch { ty, id } => one(A::Patch, *ty, Some(id)),
        Interaction::ConditionalPatch { ty } => {
            one(A::Patch, *ty, None);
            one(A::Search, *ty, None);
        }
        Interaction::Delete { ty, id } => one(A::Delete, *ty, Some(id)),
        Interaction::ConditionalDelete { ty } => {
            one(A::Delete, *ty, None);
            one(A::Search, *ty, None);
        }
        Interaction::Bundle { .. } => {
            let actions =
                [A::Read, A::VersionRead, A::History, A::Search, A::Create, A::Update, A::Patch, A::Delete];
            asked.possible.extend(actions.map(of_any));
        }
        Interaction::Page(_) => asked.possible.extend([A::Search, A::History].map(of_any)),
        Interaction::Operation { scope, name, .. } => {
            let (resource_type, id) = match scope {
                OperationScope::System => (None, None),
                OperationScope::Type { ty } => (Some(*ty), None),
                OperationScope::Instance { ty, id } => (Some(*ty), Some(id.clone())),
            };
            let operate = A::Operate(name.clone());
            asked.accesses.push(Access { action: operate, resource_type, id: id.clone() });
            if id.is_some() {
                asked.accesses.push(Access { action: A::Read, resource_type, id });
            }
            if matches!(name.as_str(), "$meta-delete") {
                asked.possible.push(Access { action: A::Relabel, resource_type, id: None });
            }
            if matches!(name.as_str(), "$everything" | "$export") && request.parameters.get("_type").is_some()
            {
                asked.types(&request.parameters)?;
            } else if !operations::stays_with_its_type(name.as_str()) {
                asked.possible.push(of_any(A::Read));
            }
        }
    }
    if request.interaction.is_safe() && request.interaction.resource_type() == Some(ResourceType::Bundle) {
        // It holds resources of any type.
        asked.possible.push(of_any(A::Read));
    }
    asked.join(request)?;
    Ok(asked)
}

impl Asked {
    fn any(&mut self, action: Action) {
        self.accesses.push(of_any(action));
    }

    /// The types that `_type` lists; without it, any.
    fn types(&mut self, parameters: &Parameters) -> Result<(), Refusal> {
        let mut listed = false;
        for name in parameters.all("_type").flat_map(|list| list.split(',')) {
            let ty = ResourceType::parse(name.trim()).ok_or_else(|| {
                Refusal::new(400, fireguard_fhir::outcome::IssueCode::Invalid, "`_type` lists types of R4")
            })?;
            self.accesses.push(searched(Some(ty)));
            listed = true;
        }
        if !listed {
            self.any(Action::Search);
        }
        Ok(())
    }

    /// What its parameters and conditions touch besides.
    fn join(&mut self, request: &Request) -> Result<(), Refusal> {
        let interaction = &request.interaction;
        let ty = interaction.resource_type();
        let searches = interaction.is_search()
            || matches!(
                interaction,
                Interaction::ConditionalUpdate { .. }
                    | Interaction::ConditionalPatch { .. }
                    | Interaction::ConditionalDelete { .. }
                    | Interaction::Operation { .. }
            );
        let own = searches.then_some(&request.parameters);
        for parameters in own.into_iter().chain(&request.preconditions.if_none_exist) {
            for join in joins(ty, parameters)? {
                match join.touches {
                    Touched::Any => self.accesses.push(searched(None)),
                    Touched::Types(types) => {
                        self.accesses.extend(types.into_iter().map(|ty| searched(Some(ty))));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Of resources of any type.
fn of_any(action: Action) -> Access {
    Access { action, resource_type: None, id: None }
}

fn searched(resource_type: Option<ResourceType>) -> Access {
    Access { action: Action::Search, resource_type, id: None }
}

#[cfg(test)]
mod tests;

//! Gate 1: whether a request is let through, and how far.
//!
//! Whoever may see and change everything a request is about is let through as is. Anybody else is confined: the request
//! is narrowed so that the server looks no further than it may, and what nobody could judge is refused.

mod count;
mod narrow;
mod parameters;
mod whole;

use fireguard_fhir::document::Syntax;
use fireguard_fhir::interaction::{
    BodyKind, Handling, Id, Interaction, OperationMethod, OperationScope, PageBundle, Refusal, Request,
};
use fireguard_fhir::outcome::IssueCode;
use fireguard_fhir::parameters::Parameters;
use fireguard_fhir::{ResourceType, operations};

use crate::accesses::{Asked, accesses};
use crate::confinement::{Confinement, Granted, Narrowed};
use crate::decision::{Access, Action, Allowed, Bound, Denied, Judge, Permission};
use crate::matching;

pub use narrow::narrow;
pub use whole::sees_whole;

/// Why a request is not let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// In words for the caller.
    pub refusal: Refusal,
    /// The scope that would have been enough.
    pub scope: Option<String>,
    /// The policies that forbid it, by `@id`.
    pub policies: Vec<std::sync::Arc<str>>,
}

/// Judges a request, and narrows it if its caller is confined.
///
/// # Errors
/// It is not allowed, or asks for what cannot be judged.
pub fn admit(judge: &dyn Judge, request: &mut Request) -> Result<Granted, Refused> {
    let asked = accesses(request)?;
    let mut granted = Granted::default();
    let mut whole = true;
    let mut first = None;
    for access in &asked.accesses {
        let allowed = match judge.request(access) {
            Permission::Denied(denied) => return Err(denied.into()),
            Permission::Allowed(allowed) => allowed,
        };
        granted.add(&allowed);
        whole &= allowed.is_all();
        first.get_or_insert(allowed);
    }
    let all =
        |access: &Access| matches!(judge.request(access), Permission::Allowed(allowed) if allowed.is_all());
    let apart = matches!(request.interaction, Interaction::Bundle { .. }) && judge.asks_how();
    if whole && !apart && asked.possible.iter().all(all) {
        return Ok(granted);
    }
    granted.confinement = Some(Confiner { judge, asked: &asked, first }.confine(request)?);
    Ok(granted)
}

/// Confines one request.
struct Confiner<'a> {
    judge: &'a dyn Judge,
    asked: &'a Asked,
    /// How far what it is about is allowed.
    first: Option<Allowed>,
}

impl Confiner<'_> {
    fn confine(&self, request: &mut Request) -> Result<Confinement, Refusal> {
        if request.format.syntax() == Syntax::Xml {
            let message =
                "what is shown to you is looked at, which is done in JSON only: accept application/fhir+json";
            return Err(Refusal::new(406, IssueCode::NotSupported, message));
        }
        if request.body.resource() == Some(Syntax::Xml) {
            return Err(only_json());
        }
        if request.prefer.respond_async {
            return Err(unjudged("an answer that is fetched later"));
        }
        if request.parameters.all("_summary").any(|value| value == "text") {
            return Err(unjudged("`_summary=text`"));
        }
        let confinement = |shown, narrowed| Confinement { shown, narrowed, proved: false, counted: false };
        match request.interaction.clone() {
            Interaction::Read { ty, id } => Ok(confinement(Action::Read, self.read(ty, &id)?)),
            Interaction::VersionRead { .. } => {
                self.unconstrained()?;
                Ok(confinement(Action::VersionRead, None))
            }
            Interaction::HistoryInstance { .. } => {
                self.unconstrained()?;
                Ok(confinement(Action::History, None))
            }
            Interaction::HistoryType { .. } | Interaction::HistorySystem => {
                Err(unjudged("the history of more than one resource"))
            }
            Interaction::SearchType { ty } => self.search_type(ty, request),
            Interaction::SearchSystem => Err(unjudged("a search for several types")),
            Interaction::SearchCompartment { compartment: ResourceType::Patient, id, ty: Some(ty) } => {
                let (name, value) = narrow::in_compartment(ty, &id).ok_or_else(no_compartment)?;
                request.parameters.push(name, value);
                request.interaction = Interaction::SearchType { ty };
                self.search_type(ty, request)
            }
            Interaction::SearchCompartment { .. } => Err(no_compartment()),
            // Who writes sees what was made of it.
            Interaction::Create { ty } => {
                self.writes(ty, request)?;
                Ok(confinement(Action::Create, None))
            }
            Interaction::Update { ty, .. } => {
                self.writes(ty, request)?;
                Ok(confinement(Action::Update, None))
            }
            Interaction::Patch { ty, .. } => {
                self.patches(ty, request)?;
                Ok(confinement(Action::Patch, None))
            }
            Interaction::Delete { ty, .. } => {
                self.compared(ty)?;
                Ok(confinement(Action::Delete, None))
            }
            Interaction::ConditionalCreate { ty } => {
                self.writes(ty, request)?;
                if let Some(condition) = &mut request.preconditions.if_none_exist {
                    let narrowed = self.search(ty, condition)?;
                    write(narrowed.as_ref(), condition);
                }
                // It may be one that the condition found.
                Ok(confinement(Action::Search, None))
            }
            Interaction::ConditionalUpdate { ty } => {
                self.writes(ty, request)?;
                self.condition(Action::Update, ty, request)
            }
            Interaction::ConditionalPatch { ty } => {
                self.patches(ty, request)?;
                self.condition(Action::Patch, ty, request)
            }
            Interaction::ConditionalDelete { ty } => {
                self.compared(ty)?;
                self.condition(Action::Delete, ty, request)
            }
            Interaction::Operation { scope, name, method } => {
                self.operation(&scope, name.as_str(), method, request)?;
                Ok(confinement(Action::Read, None))
            }
            Interaction::Page(page) if page.bundle == Some(PageBundle::History) => {
                Ok(confinement(Action::History, None))
            }
            Interaction::Page(_) => Ok(confinement(Action::Search, None)),
            Interaction::Capabilities | Interaction::Bundle { .. } => Ok(confinement(Action::Read, None)),
        }
    }

    /// A read is within a constraint if a search for it by its id finds it: that is asked first.
    fn read(&self, ty: ResourceType, id: &Id) -> Result<Option<Narrowed>, Refusal> {
        if self.bounds().iter().any(|bound| bound.constraint.is_empty()) {
            return Ok(None);
        }
        let mut by_id = Parameters::default();
        by_id.push("_id", id.as_str());
        Ok(narrow(ty, self.bounds(), &by_id)?.map(|mut narrowed| {
            narrowed.required.push("_id", id.as_str());
            narrowed
        }))
    }

    /// A search that the server is asked for: what it finds is shown, or counted.
    fn search_type(&self, ty: ResourceType, request: &mut Request) -> Result<Confinement, Refusal> {
        let counted = count::taken(&mut request.parameters);
        let narrowed = self.search(ty, &request.parameters)?;
        write(narrowed.as_ref(), &mut request.parameters);
        if counted {
            let each = self.first.as_ref().is_none_or(|allowed| allowed.each);
            if narrowed.is_none() || each {
                return Err(unjudged("a count alone"));
            }
            count::asked_otherwise(&mut request.parameters);
        }
        // The link of a search by POST does not say what was searched for.
        if request.body == BodyKind::Form {
            request.body = BodyKind::None;
        }
        request.prefer.handling = Some(Handling::Strict);
        Ok(Confinement { shown: Action::Search, narrowed, proved: false, counted })
    }

    fn search(&self, ty: ResourceType, parameters: &Parameters) -> Result<Option<Narrowed>, Refusal> {
        let bounds = self.bounds_of(&Access { action: Action::Search, resource_type: Some(ty), id: None })?;
        let narrowed = narrow(ty, &bounds, parameters)?;
        let rules = parameters::Rules { judge: self.judge, ty, narrowed: narrowed.as_ref() };
        rules.check(parameters)?;
        Ok(narrowed)
    }

    /// The condition of a write: it is searched for by itself, and the write is then told which resource it is about.
    fn condition(
        &self,
        shown: Action,
        ty: ResourceType,
        request: &mut Request,
    ) -> Result<Confinement, Refusal> {
        let narrowed = self.search(ty, &request.parameters)?;
        write(narrowed.as_ref(), &mut request.parameters);
        Ok(Confinement { shown, narrowed, proved: false, counted: false })
    }

    fn writes(&self, ty: ResourceType, request: &Request) -> Result<(), Refusal> {
        self.compared(ty)?;
        if request.body == BodyKind::FhirJson { Ok(()) } else { Err(only_json()) }
    }

    fn patches(&self, ty: ResourceType, request: &Request) -> Result<(), Refusal> {
        self.compared(ty)?;
        if request.body == BodyKind::JsonPatch {
            return Ok(());
        }
        let message = "what a patch makes is looked at before: send it as application/json-patch+json";
        Err(Refusal::new(415, IssueCode::NotSupported, message))
    }

    /// Only those that answer with resources, or with nothing that is stored.
    fn operation(
        &self,
        scope: &OperationScope,
        name: &str,
        method: OperationMethod,
        request: &Request,
    ) -> Result<(), Refusal> {
        self.unconstrained()?;
        match (name, scope) {
            ("$everything", OperationScope::Instance { ty: ResourceType::Patient, id }) => {
                let plain = |name: &str| {
                    matches!(name, "_type" | "_since" | "_count" | "_lastUpdated" | "start" | "end")
                };
                if method != OperationMethod::Get || !request.parameters.iter().all(|(name, _)| plain(name)) {
                    return Err(unjudged("`$everything` with such parameters"));
                }
                let own = |bound: &Bound| bound.patient.as_ref().is_none_or(|patient| patient == id);
                if self.bounds().iter().any(own) {
                    return Ok(());
                }
                Err(Refusal::new(403, IssueCode::Forbidden, "`$everything` is for your own patient only"))
            }
            // Its answer begins with what it is called on, which is judged like all that follows. Others speak of that
            // without showing it.
            ("$document", OperationScope::Instance { .. }) => Ok(()),
            ("$validate", OperationScope::Type { .. }) => Ok(()),
            (
                "$expand" | "$lookup" | "$validate-code" | "$subsumes" | "$translate" | "$preferred-id"
                | "$find-matches",
                _,
            ) if operations::find(name).is_some_and(|operation| !operation.affects_state) => Ok(()),
            _ => Err(unjudged("this operation")),
        }
    }

    /// What is written is compared with the parameters of a scope where these are plain.
    fn compared(&self, ty: ResourceType) -> Result<(), Refusal> {
        if self.bounds().iter().any(|bound| matching::is_told(ty, &bound.constraint)) {
            return Ok(());
        }
        let message = "what is allowed depends on search parameters that a resource cannot be compared with";
        Err(Refusal::new(403, IssueCode::Forbidden, message))
    }

    /// What was once, or what an operation makes, is not compared with the parameters of a search.
    fn unconstrained(&self) -> Result<(), Refusal> {
        if self.bounds().iter().any(|bound| bound.constraint.is_empty()) {
            return Ok(());
        }
        let message =
            "what is allowed depends on search parameters, and only present versions can be searched for";
        Err(Refusal::new(403, IssueCode::Forbidden, message))
    }

    fn bounds(&self) -> &[Bound] {
        self.first.as_ref().map_or(&[], |first| &first.bounds)
    }

    fn bounds_of(&self, access: &Access) -> Result<Vec<Bound>, Refusal> {
        debug_assert!(self.asked.accesses.contains(access), "every search is asked for");
        match self.judge.request(access) {
            Permission::Allowed(allowed) => Ok(allowed.bounds),
            Permission::Denied(denied) => Err(Refused::from(denied).refusal),
        }
    }
}

/// Adds what narrows a search to its parameters.
fn write(narrowed: Option<&Narrowed>, parameters: &mut Parameters) {
    for (name, value) in narrowed.into_iter().flat_map(|narrowed| narrowed.required.iter()) {
        if !parameters.all(name).any(|own| own == value) {
            parameters.push(name, value);
        }
    }
}

/// What a confined caller cannot be let do.
fn unjudged(what: &str) -> Refusal {
    let message = format!("{what} cannot be confined to what you may see");
    Refusal::new(403, IssueCode::Forbidden, message)
}

fn no_compartment() -> Refusal {
    let message = "a search within this compartment cannot be confined: search for the type, by the parameter that leads \
                   to it";
    Refusal::new(403, IssueCode::Forbidden, message)
}

fn only_json() -> Refusal {
    let message = "what you write is looked at, which is done in JSON only: send it as application/fhir+json";
    Refusal::new(415, IssueCode::NotSupported, message)
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, scope: None, policies: Vec::new() }
    }
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        let refusal = Refusal::new(403, IssueCode::Forbidden, denied.message);
        Self { refusal, scope: denied.scope, policies: denied.policies }
    }
}

#[cfg(test)]
mod tests;

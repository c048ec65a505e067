//! Policies that can be asked: what they permit, of a resource that is known and of one that is not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use cedar_policy::{
    ActionConstraint, AuthorizationError, Authorizer, Decision, Effect, Policy, PolicyId, PolicySet,
    PrincipalConstraint, ResourceConstraint, pst,
};
use fireguard_fhir::ResourceType;
use rustc_hash::FxBuildHasher;

use super::entities::{Asking, NotAsked};
use super::heads::{self, Decided};
use super::load::{self, Fault, Loaded};
use super::obligations::Obliged;
use super::relax::{self, Known, Side};
use super::schema;
use crate::decision::Obligations;

/// The policies of a folder. Making them takes a while; asking them does not.
#[derive(Debug)]
pub struct Policies {
    /// By the name of the action; where the same policies are for several actions, the sets are shared.
    sets: HashMap<&'static str, Arc<Sets>>,
    permits: HashMap<PolicyId, Permit>,
    forbids: HashMap<PolicyId, Arc<str>>,
    looks: Looks,
    /// One of them tells callers apart that are alike in all but who they are.
    personal: bool,
    tenant_tag: Option<String>,
    /// As they are written, in their order.
    texts: Vec<Arc<str>>,
    asks_how: bool,
    /// One of them may look at the time.
    asks_when: bool,
}

/// A permit.
#[derive(Debug)]
pub(super) struct Permit {
    pub(super) id: Arc<str>,
    pub(super) obliged: Obliged,
}

/// What policies look at of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Looks {
    pub(super) id: bool,
    pub(super) patients: bool,
    pub(super) labels: bool,
    pub(super) tags: bool,
}

/// Which policies are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// All of them, as they are.
    Resource,
    /// Whether there may be resources that are permitted; of the type, if one is known.
    May(Known),
    /// Whether there are none that are not.
    Must(Known),
}

/// What they say.
#[derive(Debug)]
pub(super) enum Verdict<'a> {
    /// These permit it, and none forbids it.
    Permitted(Vec<&'a Permit>),
    /// These forbid it. Empty: none permits it.
    Denied(Vec<Arc<str>>),
    /// This one could not be evaluated. Whether it permits or forbids, nothing is permitted then.
    Failed(Vec<Arc<str>>),
}

/// The policies for an action.
#[derive(Debug, Default)]
struct Sets {
    /// Whether any of them looks at more than the type.
    depends: bool,
    forms: Vec<Arc<Form>>,
    /// Those whose heads may hold, by the question and their places: most are for other roles and types.
    made: RwLock<HashMap<Selected, Arc<Chosen>, FxBuildHasher>>,
}

/// Policies for an action whose heads hold, but for what [`heads::without`] leaves of them.
#[derive(Debug)]
pub(super) struct Chosen {
    set: PolicySet,
    /// One of them asks in which groups something is.
    pub(super) groups: bool,
}

/// A question, and the places of the policies that it is put to.
type Selected = (usize, Vec<u32>);

/// As many selections are kept for an action; there are as many as kinds of callers and types.
const KEPT: usize = 4096;

impl Policies {
    /// Reads and checks a folder. `tenant_tag` is the system of the tags that say to whom a resource belongs.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(folder: &Path, tenant_tag: Option<String>) -> Result<Self, Vec<Fault>> {
        Self::new(load::folder(folder)?, tenant_tag)
    }

    /// The same of texts, by the names of their files.
    ///
    /// # Errors
    /// As [`Policies::load`].
    pub fn of_texts(texts: Vec<(String, String)>, tenant_tag: Option<String>) -> Result<Self, Vec<Fault>> {
        Self::new(load::texts(texts)?, tenant_tag)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.permits.len() + self.forbids.len()
    }

    /// Every plugin that an obligation names, with the policy that does.
    pub fn plugins(&self) -> BTreeMap<&str, &str> {
        let named = self.permits.values().flat_map(|permit| {
            let plugins = permit.obliged.obligations.plugins.iter();
            plugins.map(|plugin| (plugin.as_str(), &*permit.id))
        });
        named.collect()
    }

    /// Whether one of them tells callers apart that are alike in all but who they are.
    pub(super) fn is_personal(&self) -> bool {
        self.personal
    }

    /// The types that any of them names: of the others they all say the same.
    pub(super) fn types(&self) -> BTreeSet<ResourceType> {
        let named = |text: &Arc<str>| -> Vec<ResourceType> {
            let rest = text.split("Type::\"").skip(1);
            rest.filter_map(|rest| ResourceType::parse(rest.split('"').next()?)).collect()
        };
        self.texts.iter().flat_map(named).collect()
    }

    /// Whether any of the policies for this action looks at more of a resource than its type.
    pub(super) fn depends(&self, action: &str) -> bool {
        self.sets.get(action).is_some_and(|sets| sets.depends)
    }

    /// Whether any of them looks at how something is asked for: the interaction, the operation, parameters.
    pub(super) fn asks_how(&self) -> bool {
        self.asks_how
    }

    /// Whether any of them may look at the time.
    pub(super) fn asks_when(&self) -> bool {
        self.asks_when
    }

    /// What they look at of a resource.
    pub(super) fn looks(&self) -> Looks {
        self.looks
    }

    /// The system of the tags that say to whom a resource belongs.
    pub(super) fn tenant_tag(&self) -> Option<&str> {
        self.tenant_tag.as_deref()
    }

    /// The policies to ask. `action` is the name of one in the schema; `roles` are those of the caller, `ty` the resource's
    /// type if one is known. None: there are none for the action.
    pub(super) fn choose(
        &self,
        question: Question,
        action: &str,
        (roles, ty): (&BTreeSet<String>, Option<ResourceType>),
    ) -> Result<Option<Arc<Chosen>>, NotAsked> {
        let Some(sets) = self.sets.get(action) else { return Ok(None) };
        sets.select(question, roles, ty).map(Some).map_err(NotAsked::because)
    }

    /// Asks those that were chosen.
    pub(super) fn ask(&self, chosen: &Chosen, asking: Asking) -> Result<Verdict<'_>, NotAsked> {
        let (request, entities) = asking.in_words()?;
        let answer = Authorizer::new().is_authorized(&request, &chosen.set, &entities);
        let diagnostics = answer.diagnostics();
        let failed: Vec<_> = diagnostics
            .errors()
            .filter_map(|AuthorizationError::PolicyEvaluationError(error)| self.name(error.policy_id()))
            .collect();
        if diagnostics.errors().next().is_some() {
            return Ok(Verdict::Failed(failed));
        }
        Ok(match answer.decision() {
            Decision::Allow => {
                Verdict::Permitted(diagnostics.reason().filter_map(|id| self.permits.get(id)).collect())
            }
            Decision::Deny => Verdict::Denied(diagnostics.reason().filter_map(|id| self.name(id)).collect()),
        })
    }

    fn new(loaded: Loaded, tenant_tag: Option<String>) -> Result<Self, Vec<Fault>> {
        let mut made = Self {
            sets: HashMap::new(),
            permits: HashMap::new(),
            forbids: HashMap::new(),
            looks: Looks::default(),
            personal: false,
            tenant_tag,
            texts: Vec::new(),
            asks_how: false,
            asks_when: false,
        };
        let mut forms = Vec::new();
        for (id, (policy, obliged)) in loaded.policies {
            let form = Form::new(policy).map_err(|message| {
                vec![Fault {
                    file: String::new(),
                    place: None,
                    message: format!("{id}: {message}"),
                    help: None,
                }]
            })?;
            made.looks.join(&form.body);
            made.personal |= form.personal;
            let text = form.exact.to_string();
            made.asks_how |= asks_how(&text);
            // Who looks at the time writes its name somewhere, if not by escapes.
            made.asks_when |= text.contains("time") || text.contains('\\');
            made.texts.push(text.into());
            match form.exact.effect() {
                Effect::Permit => {
                    made.permits.insert(form.exact.id().clone(), Permit { id, obliged });
                }
                Effect::Forbid => {
                    made.forbids.insert(form.exact.id().clone(), id);
                }
            }
            forms.push(Arc::new(form));
        }
        let mut known: HashMap<Vec<usize>, Arc<Sets>> = HashMap::new();
        for action in schema::actions() {
            let fitting: Vec<_> = (0..forms.len())
                .filter(|at| forms.get(*at).is_some_and(|form| form.is_for(action)))
                .collect();
            let sets = match known.get(&fitting) {
                Some(sets) => Arc::clone(sets),
                None => {
                    let forms = fitting.iter().filter_map(|at| forms.get(*at).cloned());
                    let sets = Arc::new(Sets::of(forms.collect()));
                    known.insert(fitting, Arc::clone(&sets));
                    sets
                }
            };
            made.sets.insert(action, sets);
        }
        Ok(made)
    }

    fn name(&self, id: &PolicyId) -> Option<Arc<str>> {
        self.permits.get(id).map(|permit| &permit.id).or_else(|| self.forbids.get(id)).cloned()
    }
}

impl PartialEq for Policies {
    fn eq(&self, other: &Self) -> bool {
        self.texts == other.texts && self.tenant_tag == other.tenant_tag
    }
}

/// A policy in all its forms.
#[derive(Debug)]
struct Form {
    exact: Policy,
    /// The role that its head names.
    role: Option<String>,
    /// The type that its head names.
    ty: Option<ResourceType>,
    body: pst::Template,
    /// For a caller, an action and a type that its head is about.
    chosen: Policy,
    /// It asks in which groups something is, even then.
    groups: bool,
    personal: bool,
    /// By what is known.
    may: [Policy; Known::ALL.len()],
    must: [Policy; Known::ALL.len()],
}

impl Form {
    fn new(exact: Policy) -> Result<Self, String> {
        let words = |error: pst::PstConstructionError| error.to_string();
        let body = match exact.to_pst().map_err(words)? {
            pst::Policy::Static(policy) => policy.body().clone(),
            pst::Policy::Linked(_) => return Err("it is made of a template".into()),
        };
        // A forbid that may hold takes away what must be permitted, and the other way round.
        let (gives, takes) = match exact.effect() {
            Effect::Permit => (Side::May, Side::Must),
            Effect::Forbid => (Side::Must, Side::May),
        };
        let named = |uid: cedar_policy::EntityUid, ty: &str| {
            (uid.type_name().basename() == ty).then(|| uid.id().unescaped().to_owned())
        };
        let role = match exact.principal_constraint() {
            PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => named(uid, "Role"),
            _ => None,
        };
        let ty = match exact.resource_constraint() {
            ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => named(uid, "Type"),
            _ => None,
        };
        let ty = ty.and_then(|name| ResourceType::parse(&name));
        let policy = |body: pst::Template| -> Result<Policy, String> {
            let body = pst::StaticPolicy::try_from(body).map_err(|error| error.to_string())?;
            Policy::from_pst(pst::Policy::Static(body)).map_err(words)
        };
        let decided = |of: &pst::Template, ty: bool| heads::without(of, Decided { role: role.is_some(), ty });
        let relaxed = |known, side| -> Result<Policy, String> {
            // Where nobody knows the type, its head is not decided.
            let of = if known == Known::Nothing {
                body.clone()
            } else {
                heads::without(&body, Decided { role: false, ty: ty.is_some() })
            };
            policy(decided(&relax::relax(&of, known, side).map_err(words)?, false))
        };
        let all = |side| -> Result<[Policy; Known::ALL.len()], String> {
            let [ty, nothing, caller, anybody] = Known::ALL;
            Ok([relaxed(ty, side)?, relaxed(nothing, side)?, relaxed(caller, side)?, relaxed(anybody, side)?])
        };
        let (may, must) = (all(gives)?, all(takes)?);
        let of_caller = |side| relax::relax(&body, Known::Caller, side).map_err(words);
        let personal = relax::is_personal(&of_caller(gives)?) || relax::is_personal(&of_caller(takes)?);
        let left = decided(&body, ty.is_some());
        let (groups, chosen) = (heads::asks_for_groups(&left), policy(left)?);
        Ok(Self { exact, role, ty, body, chosen, groups, personal, may, must })
    }

    /// As it is asked.
    fn form(&self, question: Question) -> &Policy {
        let (forms, known) = match question {
            Question::Resource => return &self.chosen,
            Question::May(known) => (&self.may, known),
            Question::Must(known) => (&self.must, known),
        };
        forms.get(known as usize).unwrap_or(&self.chosen)
    }

    /// Whether its head lets it be about a caller with these roles, and about this type.
    fn may_hold(&self, roles: Option<&BTreeSet<String>>, ty: Option<ResourceType>) -> bool {
        self.role.as_ref().zip(roles).is_none_or(|(role, roles)| roles.contains(role))
            && self.ty.zip(ty).is_none_or(|(own, ty)| own == ty)
    }

    /// Whether its head lets it be about this action. What it does not let it be about it never holds for.
    fn is_for(&self, action: &str) -> bool {
        let within = |uid: &cedar_policy::EntityUid| {
            let name = uid.id().unescaped();
            name == action || schema::groups(action).contains(&name)
        };
        match self.exact.action_constraint() {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(uid) => uid.id().unescaped() == action,
            ActionConstraint::In(uids) => uids.iter().any(within),
        }
    }
}

impl Sets {
    fn of(forms: Vec<Arc<Form>>) -> Self {
        let depends = forms.iter().any(|form| relax::depends(&form.body, Known::Type));
        Self { depends, forms, made: RwLock::default() }
    }

    /// The policies whose heads may hold. Of the others Cedar would say that they do not.
    fn select(
        &self,
        question: Question,
        roles: &BTreeSet<String>,
        ty: Option<ResourceType>,
    ) -> Result<Arc<Chosen>, String> {
        if ty.is_none() && question.knows_the_type() {
            return Err("nobody says of which type the resource is".into());
        }
        let roles = Some(roles).filter(|_| !question.is_of_anybody());
        let places = (0_u32..).zip(&self.forms).filter(|(_, form)| form.may_hold(roles, ty));
        let key = (question.place(), places.map(|(place, _)| place).collect::<Vec<_>>());
        if let Some(known) = self.made.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(known));
        }
        let forms = || key.1.iter().filter_map(|place| self.forms.get(*place as usize));
        let set = PolicySet::from_policies(forms().map(|form| form.form(question).clone()));
        let groups = forms().any(|form| form.groups);
        let set = Arc::new(Chosen { set: set.map_err(|error| error.to_string())?, groups });
        let mut made = self.made.write().unwrap_or_else(PoisonError::into_inner);
        if made.len() < KEPT {
            made.insert(key, Arc::clone(&set));
        }
        Ok(set)
    }
}

impl Question {
    fn place(self) -> usize {
        match self {
            Self::Resource => 0,
            Self::May(known) => 1 + known as usize,
            Self::Must(known) => 1 + Known::ALL.len() + known as usize,
        }
    }

    /// Whether it is about resources of one type.
    fn knows_the_type(self) -> bool {
        !matches!(self, Self::May(Known::Nothing) | Self::Must(Known::Nothing))
    }

    /// Whether nobody says who asks.
    fn is_of_anybody(self) -> bool {
        matches!(self, Self::May(Known::Anybody) | Self::Must(Known::Anybody))
    }
}

impl Looks {
    fn join(&mut self, policy: &pst::Template) {
        let everything = ["id", "patients", "labels", "tags"].map(str::to_owned).to_vec();
        for name in relax::attributes(policy).unwrap_or(everything) {
            match name.as_str() {
                "id" => self.id = true,
                "labels" => self.labels = true,
                "tags" | "tenant" => self.tags = true,
                _ => self.patients = true,
            }
        }
    }
}

/// Whether a policy, as Cedar writes it, looks at more of the context than what for and when.
fn asks_how(policy: &str) -> bool {
    policy
        .split("context")
        .skip(1)
        .any(|of| ![".purposes", ".time"].iter().any(|known| of.starts_with(known)))
}

/// What several permits ask for together.
pub(super) fn obligations<'a>(permits: impl Iterator<Item = &'a Permit>) -> Obligations {
    let mut all = Obligations::default();
    for permit in permits {
        all.join(&permit.obliged.obligations);
    }
    all
}

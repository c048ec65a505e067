//! Policies that can be asked: what they permit, of a resource that is known and of one that is not.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use cedar_policy::{
    ActionConstraint, AuthorizationError, Authorizer, Context, Decision, Effect, Entities, Entity, Policy,
    PolicyId, PolicySet, PrincipalConstraint, Request, ResourceConstraint, pst,
};
use fireguard_fhir::ResourceType;

use super::entities::NotAsked;
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
    tenant_tag: Option<String>,
    /// As they are written, in their order.
    texts: Vec<Arc<str>>,
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
    made: RwLock<HashMap<Selected, Arc<PolicySet>>>,
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

    /// Whether any of the policies for this action looks at more of a resource than its type.
    pub(super) fn depends(&self, action: &str) -> bool {
        self.sets.get(action).is_some_and(|sets| sets.depends)
    }

    /// What they look at of a resource.
    pub(super) fn looks(&self) -> Looks {
        self.looks
    }

    /// The system of the tags that say to whom a resource belongs.
    pub(super) fn tenant_tag(&self) -> Option<&str> {
        self.tenant_tag.as_deref()
    }

    /// Asks. `action` is the name of one in the schema; `roles` are those of the caller, `ty` the resource's type if one is
    /// known.
    pub(super) fn ask(
        &self,
        question: Question,
        action: &str,
        (roles, ty): (&BTreeSet<String>, Option<ResourceType>),
        [caller, act, resource]: [Entity; 3],
        context: Context,
    ) -> Result<Verdict<'_>, NotAsked> {
        let Some(sets) = self.sets.get(action) else { return Ok(Verdict::Denied(Vec::new())) };
        let set = sets.select(question, roles, ty).map_err(NotAsked::because)?;
        let uids = [caller.uid(), act.uid(), resource.uid()];
        let [who, what, which] = uids;
        let request = Request::new(who, what, which, context, None).map_err(NotAsked::new)?;
        let entities = Entities::from_entities([caller, act, resource], None).map_err(NotAsked::new)?;
        let answer = Authorizer::new().is_authorized(&request, &set, &entities);
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
            tenant_tag,
            texts: Vec::new(),
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
            made.texts.push(form.exact.to_string().into());
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
    ty: Option<String>,
    body: pst::Template,
    may: [Policy; 2],
    must: [Policy; 2],
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
        let relaxed = |known, side| -> Result<Policy, String> {
            let body = relax::relax(&body, known, side).map_err(words)?;
            let body = pst::StaticPolicy::try_from(body).map_err(|error| error.to_string())?;
            Policy::from_pst(pst::Policy::Static(body)).map_err(words)
        };
        let (may, must) = (
            [relaxed(Known::Type, gives)?, relaxed(Known::Nothing, gives)?],
            [relaxed(Known::Type, takes)?, relaxed(Known::Nothing, takes)?],
        );
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
        Ok(Self { exact, role, ty, body, may, must })
    }

    /// As it is asked.
    fn form(&self, question: Question) -> &Policy {
        let [by_type, by_nothing] = match question {
            Question::Resource => return &self.exact,
            Question::May(_) => &self.may,
            Question::Must(_) => &self.must,
        };
        match question {
            Question::May(Known::Nothing) | Question::Must(Known::Nothing) => by_nothing,
            _ => by_type,
        }
    }

    /// Whether its head lets it be about a caller with these roles, and about this type.
    fn may_hold(&self, roles: &BTreeSet<String>, ty: Option<ResourceType>) -> bool {
        self.role.as_ref().is_none_or(|role| roles.contains(role))
            && self.ty.as_ref().zip(ty).is_none_or(|(own, ty)| own == ty.as_str())
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
    ) -> Result<Arc<PolicySet>, String> {
        let places = (0_u32..).zip(&self.forms).filter(|(_, form)| form.may_hold(roles, ty));
        let key = (question.place(), places.map(|(place, _)| place).collect::<Vec<_>>());
        if let Some(known) = self.made.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(known));
        }
        let forms = key.1.iter().filter_map(|place| self.forms.get(*place as usize));
        let set = PolicySet::from_policies(forms.map(|form| form.form(question).clone()));
        let set = Arc::new(set.map_err(|error| error.to_string())?);
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
            Self::Must(known) => 3 + known as usize,
        }
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

/// What several permits ask for together.
pub(super) fn obligations<'a>(permits: impl Iterator<Item = &'a Permit>) -> Obligations {
    let mut all = Obligations::default();
    for permit in permits {
        all.join(&permit.obliged.obligations);
    }
    all
}

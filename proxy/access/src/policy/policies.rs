//! Policies that can be asked: what they permit, of a resource that is known and of one that is not.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use cedar_policy::{
    ActionConstraint, AuthorizationError, Authorizer, Context, Decision, Effect, Entities, Entity, Policy,
    PolicyId, PolicySet, Request, pst,
};

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

#[derive(Debug, Default)]
struct Sets {
    /// Whether any of them looks at more than the type.
    depends: bool,
    exact: PolicySet,
    may: [PolicySet; 2],
    must: [PolicySet; 2],
}

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

    /// Asks. `action` is the name of one in the schema.
    pub(super) fn ask(
        &self,
        question: Question,
        action: &str,
        [caller, act, resource]: [Entity; 3],
        context: Context,
    ) -> Result<Verdict<'_>, NotAsked> {
        let Some(sets) = self.sets.get(action) else { return Ok(Verdict::Denied(Vec::new())) };
        let set = match question {
            Question::Resource => &sets.exact,
            Question::May(known) => &sets.may[known as usize],
            Question::Must(known) => &sets.must[known as usize],
        };
        let uids = [caller.uid(), act.uid(), resource.uid()];
        let [who, what, which] = uids;
        let request = Request::new(who, what, which, context, None).map_err(NotAsked::new)?;
        let entities = Entities::from_entities([caller, act, resource], None).map_err(NotAsked::new)?;
        let answer = Authorizer::new().is_authorized(&request, set, &entities);
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
            forms.push(form);
        }
        let mut known: HashMap<Vec<usize>, Arc<Sets>> = HashMap::new();
        for action in schema::actions() {
            let fitting: Vec<_> = (0..forms.len())
                .filter(|at| forms.get(*at).is_some_and(|form| form.is_for(action)))
                .collect();
            let sets = match known.get(&fitting) {
                Some(sets) => Arc::clone(sets),
                None => {
                    let sets = Sets::of(fitting.iter().filter_map(|at| forms.get(*at)));
                    let sets = Arc::new(sets.map_err(|message| {
                        vec![Fault { file: String::new(), place: None, message, help: None }]
                    })?);
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
struct Form {
    exact: Policy,
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
        Ok(Self { exact, body, may, must })
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
    fn of<'a>(forms: impl Iterator<Item = &'a Form>) -> Result<Self, String> {
        let mut sets = Self::default();
        for form in forms {
            sets.depends |= relax::depends(&form.body, Known::Type);
            let add = |set: &mut PolicySet, policy: &Policy| {
                set.add(policy.clone()).map_err(|error| error.to_string())
            };
            add(&mut sets.exact, &form.exact)?;
            for known in [Known::Type, Known::Nothing] {
                let at = known as usize;
                add(&mut sets.may[at], &form.may[at])?;
                add(&mut sets.must[at], &form.must[at])?;
            }
        }
        Ok(sets)
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

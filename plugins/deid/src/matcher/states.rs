//! The automaton's states and how they follow from each other.

use std::collections::HashMap;

use fireguard_sdk::fhir::r4::{Element, ResourceType, TypeId};
use fireguard_sdk::json::{Key, Kind};
use rustc_hash::FxBuildHasher;

use super::table::Table;
use super::tries::{Position, Roots, RuleId, Tries};
use crate::rules::{Method, Rule, Rules};

/// A state, by number.
pub(crate) type StateId = u32;

/// Where a property name leads from a state, by number.
pub(crate) type TargetId = u32;

/// The automaton of one configuration. Grows with what it meets, up to a bound that type table and rules
/// set: names that R4 does not know are not remembered.
#[derive(Debug)]
pub(crate) struct Matcher {
    rules: Rules,
    tries: Tries,
    /// Some rule moves dates, so patients matter.
    shifts_dates: bool,
    roots: HashMap<ResourceType, Roots, FxBuildHasher>,
    states: Vec<State>,
    numbers: HashMap<State, StateId, FxBuildHasher>,
    table: Table,
}

/// What is known at an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    ty: TypeId,
    /// How far the paths got that may still select something below, in order.
    positions: Vec<Position>,
    /// The first rule that covers this node.
    rule: Option<RuleId>,
    /// A rule of the resource outside covers this nested resource: its own rules find nothing left, except
    /// resources inside it.
    closed: bool,
    /// In an extension whose url goes: a year or the like that `redact` would leave is then left of nothing.
    hollow: bool,
    own_types: Option<u16>,
    place: Place,
}

/// Where security labels are, or go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// Anywhere else.
    Elsewhere,
    /// A resource.
    Resource,
    /// Its `meta`.
    Meta,
    /// An entry of its `meta.security`.
    Security,
}

/// A node below a state.
pub(crate) struct Below {
    state: State,
    /// The rules that select it.
    pub(crate) selecting: Vec<RuleId>,
    /// It tells the patient.
    patient: bool,
}

impl Below {
    /// The first rule that covers it.
    pub(crate) fn rule(&self) -> Option<RuleId> {
        self.state.rule
    }

    /// Whether a resource of its own begins there.
    pub(crate) fn is_resource(&self) -> bool {
        self.state.ty.is_resource()
    }

    /// Of a primitive value into which no path leads: all that matters to what is below it, its id and
    /// extensions.
    pub(crate) fn plain_primitive(&self) -> Option<PlainPrimitive> {
        let State { ty, positions, rule, own_types, .. } = &self.state;
        (ty.is_primitive() && positions.is_empty()).then_some((*rule, *own_types))
    }
}

/// The first rule that covers it, and the rules by type that its resource has of its own.
pub(crate) type PlainPrimitive = (Option<RuleId>, Option<u16>);

/// What a property is and what happens to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) action: Action,
    /// Whether JSON has it as an array.
    pub(crate) many: bool,
    /// What its value, or each element, has to be in JSON.
    pub(crate) kind: Kind,
    /// What it tells about the patient, if some rule moves dates.
    pub(crate) tells: Tells,
}

/// What a value tells about the patient that a resource belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tells {
    /// Nothing.
    Nothing,
    /// It is a reference that puts the resource into a patient's compartment.
    Patient,
    /// It is the id of a Patient.
    OwnId,
}

/// What happens to a property's value, or to each element of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// `resourceType`: stays.
    TypeName,
    /// Its members go on from this state.
    Object(StateId),
    /// The id and extensions of a primitive value (`_birthDate`): they go on from this state.
    Sibling(StateId),
    /// A resource of its own, unless this rule covers it as a whole.
    Nested {
        /// A rule that selects it.
        rule: Option<RuleId>,
        /// It is in `contained`, so it is part of the resource outside.
        contained: bool,
    },
    /// A primitive value.
    Leaf(Leaf),
}

/// What happens to a primitive value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaf {
    /// It stays.
    Keep,
    /// It stays, and is the code of a security label.
    KeepLabel,
    /// It stays if the rule lists it.
    KeepListed(RuleId),
    /// It stays if it is a list of numbers, as in SampledData.
    KeepNumbers,
    /// It goes.
    Drop,
    /// Its year stays, if that is not too long ago.
    Year,
    /// It stays if it is no more than 89.
    Age,
    /// Its first three characters stay, unless few people live there.
    ZipCode,
    /// Its hash takes its place.
    Hash,
    /// The hash of the id in it takes that id's place.
    HashReference,
    /// It moves by the patient's offset; without one it goes, or keeps its year if `year`.
    Shift {
        /// Whether a year alone is valid in its type and wanted.
        year: bool,
    },
}

impl Matcher {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            tries: Tries::new(&rules.list),
            shifts_dates: rules.list.iter().any(|rule| rule.method == Method::DateShift),
            rules,
            roots: HashMap::default(),
            states: Vec::new(),
            numbers: HashMap::default(),
            table: Table::default(),
        }
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(crate) fn into_rules(self) -> Rules {
        self.rules
    }

    /// The state at a resource that is not inside another.
    pub(crate) fn start(&mut self, ty: ResourceType) -> StateId {
        self.resource(ty, None)
    }

    /// The state at a resource inside another, and whether a rule of the outer one covers it as a whole.
    /// `rule` is the one that selects the place where it stands.
    pub(crate) fn nested(&mut self, ty: ResourceType, rule: Option<RuleId>) -> (StateId, bool) {
        let rule = first(rule, self.tries.nested(ty));
        (self.resource(ty, rule), rule.is_some())
    }

    /// Where a property leads. None: R4 has no such property here.
    #[inline]
    pub(crate) fn step(&mut self, state: StateId, key: &Key<'_>) -> Option<TargetId> {
        self.table.get(state, key).or_else(|| {
            let target = self.find(state, &key.name())?;
            Some(self.table.insert(state, key, target))
        })
    }

    #[inline]
    pub(crate) fn target(&self, id: TargetId) -> Target {
        self.table.target(id)
    }

    pub(crate) fn place(&self, state: StateId) -> Place {
        self.states[state as usize].place
    }

    /// Like [`Matcher::step`], not remembered, for one of the type's elements: how the rules are checked.
    pub(crate) fn follow(&mut self, state: StateId, element: &Element) -> Below {
        self.next(state, element)
    }

    /// The state at a node below.
    pub(crate) fn enter(&mut self, below: Below) -> StateId {
        self.number(below.state)
    }

    pub(crate) fn type_of(&self, state: StateId) -> TypeId {
        self.states[state as usize].ty
    }

    pub(crate) fn rule_of(&self, state: StateId) -> Option<RuleId> {
        self.states[state as usize].rule
    }

    fn resource(&mut self, ty: ResourceType, closed_by: Option<RuleId>) -> StateId {
        let roots = match self.roots.get(&ty) {
            Some(roots) => *roots,
            None => {
                let roots = self.tries.add(ty, &self.rules.list, self.shifts_dates);
                self.roots.insert(ty, roots);
                roots
            }
        };
        self.number(State {
            ty: TypeId::of_resource(ty),
            positions: vec![roots.path],
            rule: closed_by.or_else(|| self.tries.rule(roots.path)),
            closed: closed_by.is_some(),
            hollow: false,
            own_types: roots.own_types,
            place: Place::Resource,
        })
    }

    /// Finds out where a property leads.
    fn find(&mut self, from: StateId, name: &str) -> Option<Target> {
        let state = &self.states[from as usize];
        if state.place == Place::Resource && name == "resourceType" {
            return Some(Target {
                action: Action::TypeName,
                many: false,
                kind: Kind::String,
                tells: Tells::Nothing,
            });
        }
        let (element_name, sibling) = match name.strip_prefix('_') {
            Some(name) => (name, true),
            None => (name, false),
        };
        let (parent, place, hollow) = (state.ty, state.place, state.hollow);
        let element = parent.element(element_name.as_bytes())?;
        if sibling && !element.ty.is_primitive() {
            return None;
        }
        let Below { state: next, selecting, patient } = self.next(from, &element);
        let rule = next.rule;
        let action = if element.ty.is_resource() {
            // A rule covers what is below a node, but not the resources there: only one that selects the
            // place itself does.
            let contained = element.definition_name == "contained";
            Action::Nested { rule: selecting.into_iter().min(), contained }
        } else if sibling {
            Action::Sibling(self.number(next))
        } else if element.ty.is_primitive() {
            Action::Leaf(match self.leaf(parent, &element, rule) {
                Leaf::Year | Leaf::Age | Leaf::ZipCode if hollow => Leaf::Drop,
                Leaf::Keep if place == Place::Security && name == "code" => Leaf::KeepLabel,
                leaf => leaf,
            })
        } else {
            Action::Object(self.number(next))
        };
        let kind = match (&action, element.ty.name()) {
            (Action::Leaf(_), "boolean") => Kind::Boolean,
            (Action::Leaf(_), "decimal" | "integer" | "positiveInt" | "unsignedInt") => Kind::Number,
            (Action::Leaf(_), _) => Kind::String,
            _ => Kind::Object,
        };
        let own_id = parent == TypeId::of_resource(ResourceType::Patient) && name == "id";
        let tells = match () {
            () if patient => Tells::Patient,
            () if own_id && self.shifts_dates => Tells::OwnId,
            () => Tells::Nothing,
        };
        Some(Target { action, many: element.many, kind, tells })
    }

    /// The node below, at one of a type's elements.
    fn next(&mut self, from: StateId, element: &Element) -> Below {
        let state = &self.states[from as usize];
        let place = match (state.place, element.definition_name) {
            (Place::Resource, "meta") => Place::Meta,
            (Place::Meta, "security") => Place::Security,
            _ => Place::Elsewhere,
        };
        let name = element.definition_name;
        let mut positions: Vec<_> =
            state.positions.iter().filter_map(|at| self.tries.child(*at, name)).collect();
        if !element.ty.is_resource() {
            positions.extend(self.tries.of_type(element.ty, state.own_types).into_iter().flatten());
        }
        let selecting: Vec<_> = positions.iter().filter_map(|at| self.tries.rule(*at)).collect();
        let patient = positions.iter().any(|at| self.tries.is_patient(*at));
        positions.retain(|at| self.tries.goes_on(*at));
        let selected_by = selecting.iter().copied().min().filter(|_| !state.closed);
        let rule = first(state.rule, selected_by);
        let own_types = state.own_types;
        let (closed, hollow) = (state.closed, state.hollow);
        let mut state = State { ty: element.ty, positions, rule, closed, hollow, own_types, place };
        state.hollow |= self.loses_url(&state);
        Below { state, selecting, patient }
    }

    /// Whether a node is an extension whose url is redacted.
    fn loses_url(&self, state: &State) -> bool {
        if state.ty.name() != "Extension" {
            return false;
        }
        let url = state.positions.iter().filter_map(|at| self.tries.child(*at, "url"));
        let selected_by = url.filter_map(|at| self.tries.rule(at)).min().filter(|_| !state.closed);
        let rule = first(state.rule, selected_by);
        rule.is_some_and(|rule| self.rules.list[rule as usize].takes_away())
    }

    fn leaf(&self, parent: TypeId, element: &Element, rule: Option<RuleId>) -> Leaf {
        let parameters = &self.rules.parameters;
        let (ty, name) = (element.ty.name(), element.definition_name);
        let kept = match (parent.name(), name) {
            ("SampledData", "data") => Leaf::KeepNumbers,
            _ => Leaf::Keep,
        };
        let Some(rule) = rule else { return kept };
        let Rule { method, only, .. } = &self.rules.list[rule as usize];
        match (method, ty) {
            (Method::Keep, _) if !only.is_empty() => Leaf::KeepListed(rule),
            (Method::Keep, _) => kept,
            (Method::Redact, "date" | "dateTime") if parameters.partial_dates => Leaf::Year,
            // A year alone is not a valid instant, so it goes.
            (Method::Redact, "date" | "dateTime" | "instant") => Leaf::Drop,
            (Method::Redact, "decimal") if parent.name() == "Age" && parameters.partial_ages => Leaf::Age,
            (Method::Redact, _) if name == "postalCode" && parameters.partial_zip_codes => Leaf::ZipCode,
            (Method::Redact, _) => Leaf::Drop,
            (Method::DateShift, "date" | "dateTime") => Leaf::Shift { year: parameters.partial_dates },
            (Method::DateShift, "instant") => Leaf::Shift { year: false },
            (Method::DateShift, _) => Leaf::Keep,
            (Method::CryptoHash, _) if name == "reference" && parent.name() == "Reference" => {
                Leaf::HashReference
            }
            (Method::CryptoHash, _) => Leaf::Hash,
        }
    }

    fn number(&mut self, state: State) -> StateId {
        if let Some(number) = self.numbers.get(&state) {
            return *number;
        }
        let number = self.states.len() as StateId;
        self.states.push(state.clone());
        self.numbers.insert(state, number);
        number
    }
}

/// The earlier of two rules in file order.
fn first(a: Option<RuleId>, b: Option<RuleId>) -> Option<RuleId> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

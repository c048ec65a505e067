//! Rules that can never apply, because rules above them cover all that they select.
//!
//! Every instance reads the rules, so this has to be quick for a sound configuration: most rules show that
//! they can apply at the place they name, or in a value that a parameter of `Parameters` can have. Only what
//! does not is searched for: the automaton is walked through R4's element graph until every rule was seen to
//! be the first at some node that it selects.

use std::collections::{BTreeSet, HashSet, VecDeque};

use fireguard_sdk::fhir::r4::{Element, ResourceType, TypeId};
use rustc_hash::FxBuildHasher;

use crate::matcher::{Matcher, PlainPrimitive, RuleId, StateId};
use crate::rules::{Rule, Rules, Scope, Selection};

/// A rule that can never apply, by index, and those that cover what it selects. Without any, R4 has no node
/// that the rule selects.
type Dead = (usize, Vec<usize>);

/// Gives the rules back, with those that can never apply.
pub(super) fn find(rules: Rules) -> (Rules, Vec<Dead>) {
    let mut search = Search::new(rules, true);
    search.look_nearby();
    search.run();
    if search.alive.iter().all(|alive| *alive) {
        return (search.matcher.into_rules(), Vec::new());
    }
    // What hurry left out decides now, and says who covers the dead ones.
    let mut search = Search::new(search.matcher.into_rules(), false);
    search.run();
    let dead = (0..search.alive.len()).filter(|rule| !search.alive[*rule]);
    let dead = dead.map(|rule| (rule, search.covering(rule))).collect();
    (search.matcher.into_rules(), dead)
}

struct Search {
    matcher: Matcher,
    alive: Vec<bool>,
    /// All rules before this one are alive.
    settled: usize,
    /// Leave out what will hardly show that another rule is alive.
    hurry: bool,
    seen: HashSet<StateId, FxBuildHasher>,
    /// The primitive values that were seen, where no path leads into them.
    primitives: HashSet<PlainPrimitive, FxBuildHasher>,
    types: Vec<ResourceType>,
    nested: Vec<usize>,
    covered_by: Vec<BTreeSet<usize>>,
}

impl Search {
    fn new(rules: Rules, hurry: bool) -> Self {
        let count = rules.list.len();
        let named = rules.list.iter().filter_map(|rule| match rule.scope {
            Scope::Type(ty) => Some(ty),
            Scope::Any => None,
        });
        // The first for each type.
        let nested = |rule: &usize| {
            let selection = &rules.list[*rule].selection;
            matches!(selection, Selection::Nested(_))
                && rules.list[..*rule].iter().all(|other| other.selection != *selection)
        };
        Self {
            types: named.chain([ResourceType::Patient]).chain(ResourceType::ALL).collect(),
            nested: (0..count).filter(nested).collect(),
            matcher: Matcher::new(rules),
            alive: vec![false; count],
            settled: 0,
            hurry,
            seen: HashSet::default(),
            primitives: HashSet::default(),
            covered_by: vec![BTreeSet::new(); count],
        }
    }

    /// Looks at one likely place of each rule.
    fn look_nearby(&mut self) {
        let parameters = self.matcher.start(ResourceType::Parameters);
        let parameter = TypeId::of_resource(ResourceType::Parameters).element(b"parameter");
        let parameter = parameter.map(|element| self.matcher.follow(parameters, &element));
        let patient = self.matcher.start(ResourceType::Patient);
        let holders: Vec<_> =
            parameter.map(|below| self.matcher.enter(below)).into_iter().chain([patient]).collect();
        for rule in 0..self.alive.len() {
            let Rule { selection, scope, .. } = &self.matcher.rules().list[rule];
            match (selection.clone(), *scope) {
                (Selection::Path(names), Scope::Type(ty)) => {
                    let start = self.matcher.start(ty);
                    self.look_along(rule, start, &names);
                }
                (Selection::Path(names), Scope::Any) => self.look_along(rule, patient, &names),
                (Selection::NodesByType(ty, names), Scope::Any) => {
                    for holder in &holders {
                        let place = self.matcher.type_of(*holder).elements();
                        if let Some(place) = place.into_iter().find(|element| element.ty.name() == ty) {
                            self.look_below(rule, *holder, &place, &names);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// Follows names of definitions: one of them may stand for several elements.
    fn look_along(&mut self, rule: usize, state: StateId, names: &[&'static str]) {
        let Some((name, rest)) = names.split_first() else {
            if self.matcher.rule_of(state) == Some(rule as RuleId) {
                self.is_alive(rule as RuleId);
            }
            return;
        };
        for element in self.matcher.type_of(state).elements() {
            if element.definition_name == *name && !self.alive[rule] {
                self.look_below(rule, state, &element, rest);
            }
        }
    }

    fn look_below(&mut self, rule: usize, state: StateId, element: &Element, rest: &[&'static str]) {
        let below = self.matcher.follow(state, element);
        if !rest.is_empty() && !below.is_resource() {
            let next = self.matcher.enter(below);
            self.look_along(rule, next, rest);
        } else if rest.is_empty() && below.rule() == Some(rule as RuleId) {
            self.is_alive(rule as RuleId);
        }
    }

    fn run(&mut self) {
        self.settle();
        for ty in std::mem::take(&mut self.types) {
            if self.is_done() {
                return;
            }
            let start = self.matcher.start(ty);
            if !self.seen.insert(start) {
                continue;
            }
            if let Some(rule) = self.matcher.rule_of(start) {
                self.is_alive(rule);
            }
            // The nearest first: rules rarely reach far down.
            let mut open = VecDeque::from([start]);
            while let Some(state) = open.pop_front() {
                if self.is_done() {
                    return;
                }
                self.visit(state, &mut open);
            }
        }
    }

    fn is_done(&self) -> bool {
        self.hurry && self.settled == self.alive.len()
    }

    fn visit(&mut self, state: StateId, open: &mut VecDeque<StateId>) {
        for element in self.matcher.type_of(state).elements() {
            let below = self.matcher.follow(state, &element);
            for selecting in &below.selecting {
                self.note(*selecting as usize, below.rule(), below.is_resource());
            }
            if below.is_resource() {
                let first = below.selecting.iter().copied().min();
                for nested in self.nested.clone() {
                    self.note(nested, first.filter(|first| (*first as usize) < nested), false);
                }
                continue;
            }
            // Below a rule only earlier ones come first; or one that selects a nested resource, which is rare.
            let nothing_new = below.rule().is_some_and(|rule| rule as usize <= self.settled);
            let seen = below.plain_primitive().is_some_and(|primitive| !self.primitives.insert(primitive));
            if seen || self.hurry && nothing_new {
                continue;
            }
            let next = self.matcher.enter(below);
            if self.seen.insert(next) {
                open.push_back(next);
            }
        }
    }

    /// A rule selects a node that `first` is the first to cover. What stands above a nested resource does
    /// not cover it.
    fn note(&mut self, rule: usize, first: Option<RuleId>, nested: bool) {
        match first {
            Some(first) if (first as usize) < rule && !nested => {
                self.covered_by[rule].insert(first as usize);
            }
            _ => self.is_alive(rule as RuleId),
        }
    }

    fn is_alive(&mut self, rule: RuleId) {
        self.alive[rule as usize] = true;
        self.settle();
    }

    fn settle(&mut self) {
        while self.alive.get(self.settled) == Some(&true) {
            self.settled += 1;
        }
    }

    fn covering(&self, dead: usize) -> Vec<usize> {
        let rules = &self.matcher.rules().list;
        let own = &rules[dead];
        let same = |rule: &usize| {
            let other = &rules[*rule];
            other.selection == own.selection && (other.scope == own.scope || other.scope == Scope::Any)
        };
        match (0..dead).find(same) {
            Some(same) => vec![same],
            None => self.covered_by[dead].iter().copied().collect(),
        }
    }
}

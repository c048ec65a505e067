//! Rules that can never apply, because rules above them cover all that they select.
//!
//! Walks the automaton through R4's element graph and notes which rule is the first at some node that it
//! selects. It stops as soon as every rule was seen to be, which in a sound configuration is soon.

use std::collections::{BTreeSet, HashSet, VecDeque};

use fireguard_sdk::fhir::r4::ResourceType;
use rustc_hash::FxBuildHasher;

use crate::matcher::{Matcher, RuleId};
use crate::rules::{Rules, Scope, Selection};

/// The rules that can never apply, by index, each with those that cover what it selects. Without any, R4 has
/// no node that the rule selects.
pub(super) fn find(rules: &Rules) -> Vec<(usize, Vec<usize>)> {
    let mut search = Search::new(rules, true);
    search.run();
    if search.alive.iter().all(|alive| *alive) {
        return Vec::new();
    }
    // What hurry left out decides now, and says who covers the dead ones.
    let mut search = Search::new(rules, false);
    search.run();
    let dead = (0..rules.list.len()).filter(|rule| !search.alive[*rule]);
    dead.map(|rule| (rule, search.covering(rules, rule))).collect()
}

struct Search {
    matcher: Matcher,
    alive: Vec<bool>,
    /// All rules before this one are alive.
    settled: usize,
    /// Leave out what will hardly show that another rule is alive.
    hurry: bool,
    seen: HashSet<u32, FxBuildHasher>,
    types: Vec<ResourceType>,
    nested: Vec<usize>,
    covered_by: Vec<BTreeSet<usize>>,
}

impl Search {
    fn new(rules: &Rules, hurry: bool) -> Self {
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
            matcher: Matcher::new(rules.clone()),
            alive: vec![false; count],
            settled: 0,
            hurry,
            seen: HashSet::default(),
            types: named.chain([ResourceType::Patient]).chain(ResourceType::ALL).collect(),
            nested: (0..count).filter(nested).collect(),
            covered_by: vec![BTreeSet::new(); count],
        }
    }

    fn run(&mut self) {
        self.settle();
        for ty in std::mem::take(&mut self.types) {
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
                if self.hurry && self.settled == self.alive.len() {
                    return;
                }
                self.visit(state, &mut open);
            }
        }
    }

    fn visit(&mut self, state: u32, open: &mut VecDeque<u32>) {
        for element in self.matcher.type_of(state).elements() {
            let step = self.matcher.follow(state, &element);
            for selecting in &step.selecting {
                self.note(*selecting as usize, step.rule, step.next.is_none());
            }
            let Some(next) = step.next else {
                let first = step.selecting.iter().copied().min();
                for nested in self.nested.clone() {
                    self.note(nested, first.filter(|first| (*first as usize) < nested), false);
                }
                continue;
            };
            // Below a rule only earlier ones come first; or one that selects a nested resource, which is rare.
            let nothing_new = step.rule.is_some_and(|rule| rule as usize <= self.settled);
            if !(self.hurry && nothing_new) && self.seen.insert(next) {
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

    fn covering(&self, rules: &Rules, dead: usize) -> Vec<usize> {
        let own = &rules.list[dead];
        let same = |rule: &usize| {
            let other = &rules.list[*rule];
            other.selection == own.selection && (other.scope == own.scope || other.scope == Scope::Any)
        };
        match (0..dead).find(same) {
            Some(same) => vec![same],
            None => self.covered_by[dead].iter().copied().collect(),
        }
    }
}

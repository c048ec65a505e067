//! The rules' paths as trees of names.

use std::collections::HashMap;

use fireguard_sdk::fhir::r4::{ResourceType, TypeId, patient_references};
use rustc_hash::FxBuildHasher;

use crate::rules::{Rule, Scope, Selection};

/// A place in a tree.
pub(super) type Position = u32;

/// The index of a rule in file order.
pub(crate) type RuleId = u32;

/// Trees, shared by all resource types where they can be.
#[derive(Debug, Default)]
pub(super) struct Tries {
    nodes: Vec<Node>,
    /// Where `nodesByType` of every resource starts.
    by_type: Vec<(&'static str, Position)>,
    /// The same by type, as far as it was asked for: many types may have one name.
    by_type_id: HashMap<TypeId, Option<Position>, FxBuildHasher>,
    /// The same of one resource type's rules, by [`Roots::own_types`].
    by_own_type: Vec<Vec<(&'static str, Position)>>,
    nested: Vec<(ResourceType, RuleId)>,
}

/// Where the trees of one resource type start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Roots {
    pub(super) path: Position,
    pub(super) own_types: Option<u16>,
}

#[derive(Debug, Default)]
struct Node {
    children: Vec<(&'static str, Position)>,
    rule: Option<RuleId>,
    /// A reference here says which patient the resource belongs to.
    patient: bool,
}

impl Tries {
    /// The trees that do not depend on the resource type.
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut tries = Self::default();
        for (id, rule) in (0..).zip(rules) {
            match (&rule.selection, rule.scope) {
                (Selection::NodesByType(ty, names), Scope::Any) => {
                    let mut roots = std::mem::take(&mut tries.by_type);
                    tries.insert_by_type(&mut roots, ty, names, id);
                    tries.by_type = roots;
                }
                (Selection::Nested(ty), _) => tries.nested.push((*ty, id)),
                _ => {}
            }
        }
        tries
    }

    /// Adds the trees of a resource type; with marks where it refers to its patient, if `patients`.
    pub(super) fn add(&mut self, ty: ResourceType, rules: &[Rule], patients: bool) -> Roots {
        let path = self.node();
        if patients {
            self.mark_patients(path, ty);
        }
        let mut own_types = Vec::new();
        for (id, rule) in (0..).zip(rules).filter(|(_, rule)| rule.is_for(ty)) {
            match (&rule.selection, rule.scope) {
                (Selection::Path(names), _) => self.insert(path, names, id),
                (Selection::NodesByType(ty, names), Scope::Type(_)) => {
                    self.insert_by_type(&mut own_types, ty, names, id);
                }
                _ => {}
            }
        }
        let own_types = (!own_types.is_empty()).then(|| {
            self.by_own_type.push(own_types);
            (self.by_own_type.len() - 1) as u16
        });
        Roots { path, own_types }
    }

    /// Whether a reference at this position says which patient the resource belongs to.
    pub(super) fn is_patient(&self, at: Position) -> bool {
        self.nodes[at as usize].patient
    }

    pub(super) fn child(&self, at: Position, name: &str) -> Option<Position> {
        let children = &self.nodes[at as usize].children;
        children.iter().find(|(child, _)| *child == name).map(|(_, position)| *position)
    }

    /// Where `nodesByType` of this type starts, for every resource and for this one.
    pub(super) fn of_type(&mut self, ty: TypeId, own_types: Option<u16>) -> [Option<Position>; 2] {
        let find = |roots: &[(&'static str, Position)]| {
            roots.iter().find(|(name, _)| *name == ty.name()).map(|(_, position)| *position)
        };
        let by_type = &self.by_type;
        let every = *self.by_type_id.entry(ty).or_insert_with(|| find(by_type));
        [every, own_types.and_then(|own| find(&self.by_own_type[usize::from(own)]))]
    }

    /// Whether a path leads on from a position.
    pub(super) fn goes_on(&self, at: Position) -> bool {
        !self.nodes[at as usize].children.is_empty()
    }

    /// The rule that selects the nodes at a position.
    pub(super) fn rule(&self, at: Position) -> Option<RuleId> {
        self.nodes[at as usize].rule
    }

    /// The first rule that selects nested resources of this type as a whole.
    pub(super) fn nested(&self, ty: ResourceType) -> Option<RuleId> {
        self.nested.iter().find(|(nested, _)| *nested == ty).map(|(_, rule)| *rule)
    }

    fn insert_by_type(
        &mut self,
        roots: &mut Vec<(&'static str, Position)>,
        ty: &'static str,
        names: &[&'static str],
        rule: RuleId,
    ) {
        let root = match roots.iter().find(|(name, _)| *name == ty) {
            Some((_, root)) => *root,
            None => {
                let root = self.node();
                roots.push((ty, root));
                root
            }
        };
        self.insert(root, names, rule);
    }

    fn insert(&mut self, root: Position, names: &[&'static str], rule: RuleId) {
        let at = names.iter().fold(root, |at, name| self.child_or_new(at, name));
        // The first in file order wins.
        self.nodes[at as usize].rule.get_or_insert(rule);
    }

    fn mark_patients(&mut self, root: Position, ty: ResourceType) {
        for path in patient_references(ty) {
            let (mut at, mut ty) = (root, TypeId::of_resource(ty));
            for name in path.split('.').chain(["reference"]) {
                // The paths are in JSON's names, the trees in those of the definitions.
                let Some(element) = ty.element(name.as_bytes()) else { break };
                (at, ty) = (self.child_or_new(at, element.definition_name), element.ty);
            }
            self.nodes[at as usize].patient = true;
        }
    }

    fn child_or_new(&mut self, at: Position, name: &'static str) -> Position {
        self.child(at, name).unwrap_or_else(|| {
            let child = self.node();
            self.nodes[at as usize].children.push((name, child));
            child
        })
    }

    fn node(&mut self) -> Position {
        self.nodes.push(Node::default());
        (self.nodes.len() - 1) as Position
    }
}

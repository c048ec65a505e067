//! What was decided before within one request: most answers hold many resources of few kinds.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};

use rustc_hash::{FxBuildHasher, FxHasher};

use super::policies::Looks;
use crate::decision::{Access, Action, Permission, Resource};

/// As many kinds as are remembered; a hostile answer must not fill the memory.
const MOST: usize = 1024;

/// What was decided.
#[derive(Debug, Default)]
pub(super) struct Memory {
    accesses: Vec<(Access, Permission)>,
    resources: HashMap<u64, (Kind, Permission), FxBuildHasher>,
}

/// What a decision depends on.
#[derive(Debug)]
struct Kind {
    action: Action,
    own: bool,
    resource: Resource,
}

impl Memory {
    /// What was decided before a resource was known.
    pub(super) fn access(&self, access: &Access) -> Option<Permission> {
        self.accesses.iter().find(|(known, _)| known == access).map(|(_, permission)| permission.clone())
    }

    /// Keeps it.
    pub(super) fn keep_access(&mut self, access: &Access, permission: &Permission) {
        // Few are asked for at a time, and a list of few is searched fastest.
        if self.accesses.len() < 64 {
            self.accesses.push((access.clone(), permission.clone()));
        }
    }

    /// What was decided of a resource that is the same in all that is looked at.
    pub(super) fn resource(
        &self,
        action: &Action,
        resource: &Resource,
        own: bool,
        looks: Looks,
    ) -> Option<Permission> {
        let (kind, permission) = self.resources.get(&hash(action, resource, own, looks))?;
        let same = kind.action == *action && kind.own == own && same(&kind.resource, resource, looks);
        same.then(|| permission.clone())
    }

    /// Keeps it.
    pub(super) fn keep_resource(
        &mut self,
        action: &Action,
        resource: &Resource,
        own: bool,
        looks: Looks,
        permission: &Permission,
    ) {
        if self.resources.len() < MOST {
            let kind = Kind { action: action.clone(), own, resource: resource.clone() };
            self.resources.insert(hash(action, resource, own, looks), (kind, permission.clone()));
        }
    }
}

fn hash(action: &Action, resource: &Resource, own: bool, looks: Looks) -> u64 {
    let mut hasher = FxHasher::default();
    (action, resource.resource_type, own).hash(&mut hasher);
    looks.id.then_some(&resource.id).hash(&mut hasher);
    looks.patients.then_some((&resource.patients, resource.unnamed)).hash(&mut hasher);
    looks.labels.then_some(&resource.labels).hash(&mut hasher);
    looks.tags.then_some(&resource.tags).hash(&mut hasher);
    hasher.finish()
}

fn same(one: &Resource, other: &Resource, looks: Looks) -> bool {
    one.resource_type == other.resource_type
        && (!looks.id || one.id == other.id)
        && (!looks.patients || (one.unnamed == other.unnamed && one.patients == other.patients))
        && (!looks.labels || one.labels == other.labels)
        && (!looks.tags || one.tags == other.tags)
}

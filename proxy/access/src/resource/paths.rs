//! The paths that lead to patients, as a tree: a place in a resource is a node of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use fireguard_fhir::ResourceType;
use fireguard_fhir::json::Key;
use fireguard_fhir::r4;
use rustc_hash::FxBuildHasher;

/// The resource itself.
pub(super) const ROOT: u16 = 0;
/// `contained`
pub(super) const CONTAINED: u16 = 1;
/// `meta`
const META: u16 = 2;
/// `meta.security`
pub(super) const LABELS: u16 = 3;
/// `meta.tag`
pub(super) const TAGS: u16 = 4;
/// Everywhere else.
pub(super) const NO_PATH: u16 = u16::MAX;

/// The node below a node, by a name.
type Ways<'n> = HashMap<(u16, &'n [u8]), u16, FxBuildHasher>;

struct Tree {
    ways: Ways<'static>,
    /// Nodes at which the references of a type stand.
    ends: BTreeMap<ResourceType, Vec<u16>>,
    /// Whether a reference of any type stands there.
    any: Vec<bool>,
}

static TREE: LazyLock<Tree> = LazyLock::new(|| {
    let mut nodes: BTreeMap<(u16, &'static str), u16> = BTreeMap::new();
    for (parent, name, node) in [
        (ROOT, "contained", CONTAINED),
        (ROOT, "meta", META),
        (META, "security", LABELS),
        (META, "tag", TAGS),
    ] {
        nodes.insert((parent, name), node);
    }
    let mut next = TAGS + 1;
    let mut ends: BTreeMap<ResourceType, Vec<u16>> = BTreeMap::new();
    for ty in ResourceType::ALL {
        for path in r4::patient_references(ty) {
            let end = path.split('.').fold(ROOT, |parent, name| {
                *nodes.entry((parent, name)).or_insert_with(|| {
                    next += 1;
                    next - 1
                })
            });
            ends.entry(ty).or_default().push(end);
        }
    }
    let ways = nodes.into_iter().map(|((parent, name), node)| ((parent, name.as_bytes()), node)).collect();
    let any = (0..next).map(|node| ends.values().any(|ends| ends.contains(&node))).collect();
    Tree { ways, ends, any }
});

/// The node below a node.
pub(super) fn below(node: u16, key: &Key<'_>) -> u16 {
    match key.plain() {
        _ if node == NO_PATH => NO_PATH,
        Some(name) => named(node, name),
        None => named(node, key.name().as_bytes()),
    }
}

fn named(node: u16, name: &[u8]) -> u16 {
    // The map's names live longer than this one has to.
    let ways: &Ways<'_> = &TREE.ways;
    ways.get(&(node, name)).copied().unwrap_or(NO_PATH)
}

/// Whether references stand there that put resources of some type into a patient's compartment.
pub(super) fn ends(node: u16) -> bool {
    TREE.any.get(usize::from(node)).copied().unwrap_or(false)
}

/// Whether a reference there says whose a resource of this type is. Of a type in nobody's compartment every
/// reference to a patient does: what speaks of a patient is not everybody's.
pub(super) fn counts(ty: ResourceType, node: u16) -> bool {
    match TREE.ends.get(&ty) {
        Some(ends) => ends.contains(&node),
        None => true,
    }
}

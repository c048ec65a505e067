//! The paths that lead to patients, as a tree: a place in a resource is a node of it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use fireguard_fhir::ResourceType;
use fireguard_fhir::json::{Fingerprint, Key};
use fireguard_fhir::r4;

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

struct Tree {
    /// The way on from a node by a name, sorted by node.
    ways: Vec<(u16, Fingerprint, &'static str, u16)>,
    /// Where the ways of each node begin.
    starts: Vec<usize>,
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
    let ways: Vec<_> = nodes
        .into_iter()
        .map(|((parent, name), node)| (parent, Fingerprint::of(name.as_bytes()), name, node))
        .collect();
    let starts = (0..=next).map(|node| ways.partition_point(|way| way.0 < node)).collect();
    let any = (0..next).map(|node| ends.values().any(|ends| ends.contains(&node))).collect();
    Tree { ways, starts, ends, any }
});

/// The node below a node.
pub(super) fn below(node: u16, key: &Key<'_>) -> u16 {
    let tree = &*TREE;
    let at = usize::from(node);
    let (Some(from), Some(to)) = (tree.starts.get(at), tree.starts.get(at + 1)) else { return NO_PATH };
    let print = key.fingerprint();
    let way = tree.ways[*from..*to].iter().find(|(_, known, name, _)| *known == print && key.is(name));
    way.map_or(NO_PATH, |(.., node)| *node)
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

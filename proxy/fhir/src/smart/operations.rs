//! What scopes an operation needs. SMART App Launch says nothing of operations; here they need what they come to.

use super::{Context, Permission};
use crate::operations::Level;

/// What a scope has to be for somebody to call an operation on the type that it is called on, or at system level on
/// every type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// It permits all of these.
    pub permissions: &'static [Permission],
    /// In one of these names.
    pub contexts: &'static [Context],
    /// It bounds nothing, neither to a patient nor to what a search finds: nobody could tell of what comes back which
    /// resources it was made of.
    pub whole: bool,
}

/// What the operation of this name needs, given with its dollar sign. One that is not known needs everything.
pub fn needs(name: &str, level: Level) -> Needs {
    use Permission::{Create, Read, Search, Update};
    match (name, level) {
        // They answer with resources, each of which is judged.
        ("$everything" | "$document", Level::Instance) => each(&[Read]),
        ("$everything" | "$lastn", Level::Type) => each(&[Read, Search]),
        // They tell of one resource what a read would.
        ("$meta" | "$validate" | "$reindex-dryrun", Level::Instance) => each(&[Read]),
        // They store nothing, and look at nothing but what is sent and at terminology.
        ("$validate", Level::Type) => each(&[Read]),
        (
            "$expand" | "$lookup" | "$validate-code" | "$subsumes" | "$translate" | "$preferred-id"
            | "$find-matches",
            Level::Type | Level::Instance,
        ) => each(&[Read]),
        // They answer with what many resources come to.
        ("$meta" | "$stats" | "$match" | "$member-match" | "$get-resource-counts" | "$diff", _) => {
            Needs { whole: true, ..each(&[Read, Search]) }
        }
        // Bulk Data: "a client with system scopes" (Backend Services). What a user may see is not what a job exports.
        ("$export" | "$export-poll-status", _) => programs(&[Read, Search]),
        ("$import" | "$import-poll-status", _) => programs(&[Create, Update]),
        _ => Needs { whole: true, ..each(ALL) },
    }
}

/// Whether an operation of this name answers with nothing but resources of the type it is called on, terminology, or an
/// outcome; or is a job, which is bound to whoever was allowed to begin it. The others may answer with, or about, resources
/// of any type.
pub fn stays_with_its_type(name: &str) -> bool {
    matches!(
        name,
        "$expand"
            | "$export-poll-status"
            | "$find-matches"
            | "$import"
            | "$import-poll-status"
            | "$lastn"
            | "$lookup"
            | "$match"
            | "$meta"
            | "$meta-add"
            | "$meta-delete"
            | "$preferred-id"
            | "$subsumes"
            | "$translate"
            | "$validate"
            | "$validate-code"
    )
}

const ALL: &[Permission] =
    &[Permission::Create, Permission::Read, Permission::Update, Permission::Delete, Permission::Search];

const fn each(permissions: &'static [Permission]) -> Needs {
    let contexts = &[Context::Patient, Context::User, Context::System];
    Needs { permissions, contexts, whole: false }
}

const fn programs(permissions: &'static [Permission]) -> Needs {
    Needs { permissions, contexts: &[Context::System], whole: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations;

    #[test]
    fn what_changes_something_is_not_for_readers() {
        for operation in operations::ALL.iter().filter(|operation| operation.affects_state) {
            for level in operation.levels {
                let needs = needs(operation.name, *level);
                let reads =
                    needs.permissions.iter().all(|p| matches!(p, Permission::Read | Permission::Search));
                assert!(!reads || operation.name == "$export", "{}", operation.name);
                assert!(needs.whole, "{}", operation.name);
            }
        }
    }

    #[test]
    fn unknown_operations_need_everything() {
        for (name, level) in [("$of-our-own", Level::Type), ("$everything", Level::System)] {
            assert_eq!(needs(name, level), Needs { whole: true, ..each(ALL) });
        }
    }
}

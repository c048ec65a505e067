//! What the operations of R4 and of HAPI do: where they are called and whether they change anything.
//!
//! R4's definitions leave out `affectsState`; these entries go by what the operations are for. An operation
//! that is not listed may be called where a route allows it, and counts as changing state.

use std::fmt;

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// Its name with the dollar sign.
    pub name: &'static str,
    /// Where it is called.
    pub levels: &'static [Level],
    /// How it is called.
    pub methods: &'static [Method],
    /// Whether it may change what the server holds, or start a job.
    pub affects_state: bool,
}

/// Where an operation is called (R4 operations.html §2.28.0.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// `[base]/$name`
    System,
    /// `[base]/[type]/$name`
    Type,
    /// `[base]/[type]/[id]/$name`
    Instance,
}

/// How an operation is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// With the parameters of the URL only.
    Get,
    /// With a Parameters resource, or the resource the operation is about.
    Post,
    /// To cancel the job whose status the operation tells.
    Delete,
}

impl Method {
    /// The HTTP method.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The operation of this name, given with its dollar sign; `None` when it is not listed.
pub fn find(name: &str) -> Option<&'static Operation> {
    ALL.iter().find(|operation| operation.name == name)
}

/// Whether its answer is a Bundle of resources each of which stands for itself, as a search's is.
pub fn answers_with_bundle(name: &str) -> bool {
    matches!(name, "$everything" | "$lastn" | "$find-matches" | "$match")
}

/// The operations a route allows unless it says otherwise: they read, and disclose nothing that searches
/// under the same policy would not.
pub const READ_ONLY_DEFAULT: &[&str] = &[
    "$document",
    "$everything",
    "$expand",
    "$find-matches",
    "$lastn",
    "$lookup",
    "$meta",
    "$preferred-id",
    "$subsumes",
    "$translate",
    "$validate",
    "$validate-code",
];

/// Every operation listed.
pub static ALL: &[Operation] = &[
    // R4.
    reads("$apply", TYPE_INSTANCE),
    reads("$care-gaps", TYPE),
    writes("$closure", SYSTEM),
    reads("$collect-data", TYPE_INSTANCE),
    reads("$conforms", TYPE),
    reads("$convert", SYSTEM),
    reads("$data-requirements", ANYWHERE),
    // POST could ask it to store the document (`persist`) where nobody sees it but the server.
    Operation { name: "$document", levels: TYPE_INSTANCE, methods: &[Method::Get], affects_state: false },
    reads("$evaluate-measure", TYPE_INSTANCE),
    reads("$everything", TYPE_INSTANCE),
    reads("$expand", TYPE_INSTANCE),
    reads("$find", TYPE),
    reads("$find-matches", TYPE_INSTANCE),
    reads("$graph", INSTANCE),
    // Its mutations write.
    starts("$graphql", ANYWHERE),
    reads("$implements", TYPE_INSTANCE),
    reads("$lastn", TYPE),
    reads("$lookup", TYPE_INSTANCE),
    reads("$match", TYPE),
    reads("$meta", ANYWHERE),
    writes("$meta-add", INSTANCE),
    writes("$meta-delete", INSTANCE),
    reads("$preferred-id", TYPE),
    writes("$process-message", SYSTEM),
    reads("$questionnaire", TYPE_INSTANCE),
    reads("$snapshot", TYPE_INSTANCE),
    reads("$stats", TYPE),
    writes("$submit", TYPE),
    writes("$submit-data", TYPE_INSTANCE),
    reads("$subset", TYPE_INSTANCE),
    reads("$subsumes", TYPE_INSTANCE),
    reads("$transform", TYPE_INSTANCE),
    reads("$translate", TYPE_INSTANCE),
    reads("$validate", TYPE_INSTANCE),
    reads("$validate-code", TYPE_INSTANCE),
    reads("$versions", SYSTEM),
    // Bulk Data, and the status requests HAPI gives it.
    starts("$export", ANYWHERE),
    status("$export-poll-status"),
    writes("$import", SYSTEM),
    status("$import-poll-status"),
    // HAPI.
    writes("$apply-codesystem-delta-add", TYPE_INSTANCE),
    writes("$apply-codesystem-delta-remove", TYPE_INSTANCE),
    writes("$delete-expunge", SYSTEM),
    reads("$diff", SYSTEM_INSTANCE),
    writes("$expunge", ANYWHERE),
    reads("$get-resource-counts", SYSTEM),
    writes("$hapi.fhir.bulk-patch", SYSTEM),
    writes("$hapi.fhir.merge", TYPE),
    writes("$hapi.fhir.replace-references", SYSTEM),
    writes("$hapi.fhir.undo-merge", TYPE),
    writes("$hapi.fhir.undo-replace-references", SYSTEM),
    writes("$invalidate-expansion", INSTANCE),
    writes("$mark-all-resources-for-reindexing", SYSTEM),
    reads("$member-match", TYPE),
    writes("$merge", TYPE),
    writes("$perform-reindexing-pass", SYSTEM),
    writes("$reindex", SYSTEM_INSTANCE),
    reads("$reindex-dryrun", INSTANCE),
    writes("$reindex-terminology", SYSTEM),
    reads("$summary", TYPE_INSTANCE),
    writes("$trigger-subscription", SYSTEM_INSTANCE),
    writes("$upload-external-code-system", TYPE),
];

const SYSTEM: &[Level] = &[Level::System];
const TYPE: &[Level] = &[Level::Type];
const INSTANCE: &[Level] = &[Level::Instance];
const TYPE_INSTANCE: &[Level] = &[Level::Type, Level::Instance];
const SYSTEM_INSTANCE: &[Level] = &[Level::System, Level::Instance];
const ANYWHERE: &[Level] = &[Level::System, Level::Type, Level::Instance];

const fn reads(name: &'static str, levels: &'static [Level]) -> Operation {
    Operation { name, levels, methods: &[Method::Get, Method::Post], affects_state: false }
}

/// GET is for operations that change nothing (R4 operations.html §2.28.0.2).
const fn writes(name: &'static str, levels: &'static [Level]) -> Operation {
    Operation { name, levels, methods: &[Method::Post], affects_state: true }
}

/// GET all the same, as the clients of these operations have it.
const fn starts(name: &'static str, levels: &'static [Level]) -> Operation {
    Operation { name, levels, methods: &[Method::Get, Method::Post], affects_state: true }
}

const fn status(name: &'static str) -> Operation {
    Operation { name, levels: SYSTEM, methods: &[Method::Get, Method::Delete], affects_state: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_once() {
        for (at, operation) in ALL.iter().enumerate() {
            assert!(operation.name.starts_with('$') && operation.name.len() > 1);
            assert!(ALL[at + 1..].iter().all(|other| other.name != operation.name), "{}", operation.name);
            assert_eq!(find(operation.name), Some(operation));
        }
        assert_eq!(find("everything"), None);
        assert_eq!(find("$Everything"), None);
    }

    #[test]
    fn the_default_set_changes_nothing() {
        for name in READ_ONLY_DEFAULT {
            assert!(!find(name).unwrap_or_else(|| panic!("{name}")).affects_state, "{name}");
        }
        assert!(READ_ONLY_DEFAULT.is_sorted());
        assert!(!READ_ONLY_DEFAULT.contains(&"$closure"));
    }
}

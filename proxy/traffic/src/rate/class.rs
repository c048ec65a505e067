//! What requests cost a server, in classes.

use fireguard_fhir::interaction::Interaction;

/// A class of interactions that cost a server about the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// One resource by its id, or the capabilities.
    Read,
    /// Searches and histories, each page for itself.
    Search,
    /// Create, update, patch and delete.
    Write,
    /// Batches and transactions, counted by their entries.
    Batch,
    /// Operations.
    Operation,
    /// The start of an export or import.
    Bulk,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Read, Self::Search, Self::Write, Self::Batch, Self::Operation, Self::Bulk];

    /// The class of an interaction.
    pub fn of(interaction: &Interaction) -> Self {
        match interaction {
            Interaction::Capabilities | Interaction::Read { .. } | Interaction::VersionRead { .. } => {
                Self::Read
            }
            Interaction::HistoryInstance { .. }
            | Interaction::HistoryType { .. }
            | Interaction::HistorySystem
            | Interaction::SearchType { .. }
            | Interaction::SearchSystem
            | Interaction::SearchCompartment { .. }
            | Interaction::Page(_) => Self::Search,
            Interaction::Create { .. }
            | Interaction::ConditionalCreate { .. }
            | Interaction::Update { .. }
            | Interaction::ConditionalUpdate { .. }
            | Interaction::Patch { .. }
            | Interaction::ConditionalPatch { .. }
            | Interaction::Delete { .. }
            | Interaction::ConditionalDelete { .. } => Self::Write,
            Interaction::Bundle { .. } => Self::Batch,
            Interaction::Operation { name, .. } => match name.as_str() {
                "$export" | "$import" => Self::Bulk,
                _ => Self::Operation,
            },
        }
    }

    /// Its name in the configuration, in metrics and in headers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Search => "search",
            Self::Write => "write",
            Self::Batch => "batch",
            Self::Operation => "operation",
            Self::Bulk => "bulk",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fireguard_fhir::interaction::{Head, parse};

    #[test]
    fn every_interaction_has_its_class() {
        for (method, path, query, class) in [
            ("GET", "/metadata", None, Class::Read),
            ("GET", "/Patient/1", None, Class::Read),
            ("HEAD", "/Patient/1", None, Class::Read),
            ("GET", "/Patient/1/_history/2", None, Class::Read),
            ("GET", "/Patient/1/_history", None, Class::Search),
            ("GET", "/Patient/_history", None, Class::Search),
            ("GET", "/_history", None, Class::Search),
            ("GET", "/Patient", Some("name=x"), Class::Search),
            ("GET", "/Patient/1/Observation", Some("code=x"), Class::Search),
            ("DELETE", "/Patient/1", None, Class::Write),
            ("DELETE", "/Patient", Some("identifier=x"), Class::Write),
            ("GET", "/Patient/1/$everything", None, Class::Operation),
            ("GET", "/$export", None, Class::Bulk),
            ("GET", "/Patient/$export", None, Class::Bulk),
            ("GET", "/$export-poll-status", Some("_jobId=1"), Class::Operation),
        ] {
            let request = parse(&Head { query, ..Head::new(method, path) });
            let request = request.unwrap_or_else(|error| panic!("{method} {path}: {error:?}"));
            assert_eq!(Class::of(&request.interaction), class, "{method} {path}");
        }
        let json = Some("application/fhir+json");
        for (method, path, class) in [
            ("POST", "/Patient", Class::Write),
            ("PUT", "/Patient/1", Class::Write),
            ("POST", "/", Class::Batch),
            ("POST", "/$import", Class::Bulk),
        ] {
            let request = parse(&Head { content_type: json, ..Head::new(method, path) }).unwrap();
            assert_eq!(Class::of(&request.interaction), class, "{method} {path}");
        }
    }
}

//! Requests, parsed once into typed values (R4 http.html).
//!
//! Everything later judges the [`Request`] and never the text it came from; what goes upstream is written
//! anew from it ([`Request::target`], [`Request::form`]). What is not recognised is refused.
//!
//! ```
//! use fireguard_fhir::interaction::{Head, Interaction, parse};
//!
//! let head = Head { query: Some("name=x&_format=json"), ..Head::new("GET", "/Patient/") };
//! let request = parse(&head)?;
//! assert_eq!(request.interaction.code(), "search-type");
//! assert_eq!(request.target().path_and_query, "/Patient?name=x");
//! # Ok::<(), fireguard_fhir::interaction::Refusal>(())
//! ```

mod body;
mod head;
mod limits;
mod names;
mod page;
mod parse;
mod path;
mod refusal;
mod request;

#[cfg(test)]
mod tests;

use std::fmt;

pub use crate::operations::{Level, Method as OperationMethod};
pub use body::BodyKind;
pub use head::{Handling, Head, IfNoneMatch, Preconditions, Prefer, Return};
pub use limits::REFUSED_PARAMETERS;
pub use names::{Id, OperationName};
pub(crate) use page::is_page;
pub use page::{FILE, JOB, PAGE, Page, PageBundle, Pages, SealPages, is_job_status};
pub use parse::parse;
pub use refusal::Refusal;
pub use request::{Request, Target};

use crate::{ResourceType, operations};

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields are what the FHIR path names")]
pub enum Interaction {
    /// `GET /metadata`
    Capabilities,
    /// `GET /[type]/[id]`
    Read { ty: ResourceType, id: Id },
    /// `GET /[type]/[id]/_history/[vid]`
    VersionRead { ty: ResourceType, id: Id, version: Id },
    /// `GET /[type]/[id]/_history`
    HistoryInstance { ty: ResourceType, id: Id },
    /// `GET /[type]/_history`
    HistoryType { ty: ResourceType },
    /// `GET /_history`
    HistorySystem,
    /// `GET /[type]?…`, `POST /[type]/_search`
    SearchType { ty: ResourceType },
    /// `GET /?…`, `POST /_search`
    SearchSystem,
    /// `GET /[compartment]/[id]/[type]?…` and `POST …/_search`; without a type: `*`, all of them.
    SearchCompartment { compartment: ResourceType, id: Id, ty: Option<ResourceType> },
    /// `POST /[type]`
    Create { ty: ResourceType },
    /// `POST /[type]` with `If-None-Exist`, which is among the preconditions.
    ConditionalCreate { ty: ResourceType },
    /// `PUT /[type]/[id]`
    Update { ty: ResourceType, id: Id },
    /// `PUT /[type]?…`: the parameters are the condition.
    ConditionalUpdate { ty: ResourceType },
    /// `PATCH /[type]/[id]`
    Patch { ty: ResourceType, id: Id },
    /// `PATCH /[type]?…`: the parameters are the condition.
    ConditionalPatch { ty: ResourceType },
    /// `DELETE /[type]/[id]`
    Delete { ty: ResourceType, id: Id },
    /// `DELETE /[type]?…`: the parameters are the condition.
    ConditionalDelete { ty: ResourceType },
    /// `POST /`: a batch or a transaction. Which one, the body tells.
    Bundle { kind: Option<BundleKind> },
    /// `/$name`, `/[type]/$name`, `/[type]/[id]/$name`
    Operation { scope: OperationScope, name: OperationName, method: OperationMethod },
    /// `GET /?_getpages=…`: HAPI's further pages of a search or history; to callers `GET /?_page=…`.
    Page(Page),
}

/// What a Bundle posted to the base is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleKind {
    /// Entries stand for themselves.
    Batch,
    /// All entries or none.
    Transaction,
}

/// What an operation is called on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields are what the FHIR path names")]
pub enum OperationScope {
    /// The server.
    System,
    /// A resource type.
    Type { ty: ResourceType },
    /// A resource.
    Instance { ty: ResourceType, id: Id },
}

impl Interaction {
    /// FHIR's code of the interaction (<http://hl7.org/fhir/restful-interaction>). Conditional forms have the
    /// code of the plain ones, a compartment search that of the search it stands for. A page has `search` or
    /// `history`: what it pages through, its link does not tell. A Bundle posted to the base counts as a
    /// `batch` until its kind is known.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Capabilities => "capabilities",
            Self::Read { .. } => "read",
            Self::VersionRead { .. } => "vread",
            Self::HistoryInstance { .. } => "history-instance",
            Self::HistoryType { .. } => "history-type",
            Self::HistorySystem => "history-system",
            Self::SearchType { .. } | Self::SearchCompartment { ty: Some(_), .. } => "search-type",
            Self::SearchSystem | Self::SearchCompartment { ty: None, .. } => "search-system",
            Self::Create { .. } | Self::ConditionalCreate { .. } => "create",
            Self::Update { .. } | Self::ConditionalUpdate { .. } => "update",
            Self::Patch { .. } | Self::ConditionalPatch { .. } => "patch",
            Self::Delete { .. } | Self::ConditionalDelete { .. } => "delete",
            Self::Bundle { kind: Some(BundleKind::Transaction) } => "transaction",
            Self::Bundle { .. } => "batch",
            Self::Operation { .. } => "operation",
            Self::Page(Page { bundle: Some(PageBundle::History), .. }) => "history",
            Self::Page(_) => "search",
        }
    }

    /// Whether it changes nothing on the server and starts nothing there. Operations go by
    /// [`operations::ALL`]; one that is not listed is not safe.
    pub fn is_safe(&self) -> bool {
        match self {
            Self::Capabilities
            | Self::Read { .. }
            | Self::VersionRead { .. }
            | Self::HistoryInstance { .. }
            | Self::HistoryType { .. }
            | Self::HistorySystem
            | Self::SearchType { .. }
            | Self::SearchSystem
            | Self::SearchCompartment { .. }
            | Self::Page(_) => true,
            Self::Operation { name, method, .. } => {
                *method != OperationMethod::Delete
                    && operations::find(name.as_str()).is_some_and(|operation| !operation.affects_state)
            }
            Self::Create { .. }
            | Self::ConditionalCreate { .. }
            | Self::Update { .. }
            | Self::ConditionalUpdate { .. }
            | Self::Patch { .. }
            | Self::ConditionalPatch { .. }
            | Self::Delete { .. }
            | Self::ConditionalDelete { .. }
            | Self::Bundle { .. } => false,
        }
    }

    /// The resource type it is about; of a compartment search the type searched for.
    pub fn resource_type(&self) -> Option<ResourceType> {
        match self {
            Self::Read { ty, .. }
            | Self::VersionRead { ty, .. }
            | Self::HistoryInstance { ty, .. }
            | Self::HistoryType { ty }
            | Self::SearchType { ty }
            | Self::Create { ty }
            | Self::ConditionalCreate { ty }
            | Self::Update { ty, .. }
            | Self::ConditionalUpdate { ty }
            | Self::Patch { ty, .. }
            | Self::ConditionalPatch { ty }
            | Self::Delete { ty, .. }
            | Self::ConditionalDelete { ty } => Some(*ty),
            Self::SearchCompartment { ty, .. } => *ty,
            Self::Operation { scope, .. } => match scope {
                OperationScope::System => None,
                OperationScope::Type { ty } | OperationScope::Instance { ty, .. } => Some(*ty),
            },
            Self::Capabilities
            | Self::HistorySystem
            | Self::SearchSystem
            | Self::Bundle { .. }
            | Self::Page(_) => None,
        }
    }

    /// The id of the one resource it is about.
    pub fn id(&self) -> Option<&Id> {
        match self {
            Self::Read { id, .. }
            | Self::VersionRead { id, .. }
            | Self::HistoryInstance { id, .. }
            | Self::Update { id, .. }
            | Self::Patch { id, .. }
            | Self::Delete { id, .. }
            | Self::Operation { scope: OperationScope::Instance { id, .. }, .. } => Some(id),
            _ => None,
        }
    }

    /// Whether it is any form of search: its parameters are search parameters.
    pub fn is_search(&self) -> bool {
        matches!(self, Self::SearchType { .. } | Self::SearchSystem | Self::SearchCompartment { .. })
    }
}

impl fmt::Display for Interaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl OperationScope {
    /// The level, without type and id.
    pub fn level(&self) -> Level {
        match self {
            Self::System => Level::System,
            Self::Type { .. } => Level::Type,
            Self::Instance { .. } => Level::Instance,
        }
    }
}

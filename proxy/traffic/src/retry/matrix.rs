//! What may be sent to the server again, and after which fault. The table decides, and nothing else does.
//!
//! The question is always the same: may the server have done the work, and does doing it twice change anything?

use fireguard_fhir::interaction::{BundleKind, Interaction, OperationMethod, Request};
use http::{HeaderMap, StatusCode};

use super::asked_wait;
use crate::upstream::SendError;
use Again::{IfEntriesMay, IfSheds, No, Once, Settled, Yes};

/// One row for each kind of request, one column for each fault.
const TABLE: [(Kind, [Again; 5]); 12] = [
    //                           not sent | 429 | 503, Retry-After | too busy | unknown
    (Kind::Read, /*           */ [Yes, Yes, Yes, Yes, Yes]),
    (Kind::Delete, /*         */ [Yes, Yes, Yes, No, Yes]),
    (Kind::UpdateOfVersion, /**/ [Yes, Yes, Yes, No, Once]),
    // A second one could undo what somebody wrote in between.
    (Kind::Update, /*         */ [Yes, Yes, Yes, No, No]),
    // A second one makes a second resource.
    (Kind::Create, /*         */ [Yes, Yes, IfSheds, No, No]),
    (Kind::ConditionalCreate, [Yes, Yes, Yes, No, Settled]),
    (Kind::OtherChange, /*    */ [Yes, Yes, Yes, No, No]),
    (Kind::Transaction, /*    */ [Yes, Yes, Yes, No, IfEntriesMay]),
    // Entries that were throttled inside a 200 are another matter: each goes by its own row.
    (Kind::Batch, /*          */ [Yes, Yes, Yes, No, IfEntriesMay]),
    (Kind::Job, /*            */ [Yes, Yes, Yes, No, No]),
    // Who polls a job is told to wait, and waits; a 5xx may be the job's own result.
    (Kind::JobStatus, /*      */ [Yes, No, No, No, No]),
    (Kind::JobCancel, /*      */ [Yes, No, No, No, No]),
];

/// What is asked, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whatever changes nothing and starts nothing: reads, histories, searches, pages, such operations.
    Read,
    /// Delete by id: the second one finds nothing, or nothing new.
    Delete,
    /// Update with `If-Match`: the second one fails if the first did not.
    UpdateOfVersion,
    /// Update without it.
    Update,
    /// Create.
    Create,
    /// Create with `If-None-Exist`: the second one finds the first, once that can be found.
    ConditionalCreate,
    /// Conditional update, patch and delete; every other patch.
    OtherChange,
    /// All entries or none.
    Transaction,
    /// Entries that stand for themselves.
    Batch,
    /// An operation that changes something, or starts a job: `$export`.
    Job,
    /// How a job is getting on.
    JobStatus,
    /// The end of a job.
    JobCancel,
}

/// What is known of an attempt that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The server has not read a request that it could act on.
    Unsent,
    /// 429: it did not begin.
    Throttled,
    /// 503 with `Retry-After`: it probably did not begin.
    Unavailable,
    /// 500 in the words of a server that found no database connection ([`super::overload`]).
    Overloaded,
    /// 502, 504, a connection that broke after sending, no answer in time: it may have done the work.
    Unknown,
}

/// Whether a request is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// No.
    No,
    /// Yes.
    Yes,
    /// Once. If the second is refused as a conflict, the first may have succeeded: look before reporting.
    Once,
    /// Where the server is known to turn requests away before it works on them.
    IfSheds,
    /// Once, with no other of the same condition beside it, and after what was done can be found.
    Settled,
    /// If the row of each entry says yes.
    IfEntriesMay,
}

impl Kind {
    /// Of a request. A Bundle whose kind its body will tell counts as a batch; the rows are the same.
    pub fn of(request: &Request) -> Self {
        match &request.interaction {
            Interaction::Operation { name, method, .. } if name.as_str().ends_with("-poll-status") => {
                if *method == OperationMethod::Delete {
                    Self::JobCancel
                } else {
                    Self::JobStatus
                }
            }
            safe if safe.is_safe() => Self::Read,
            Interaction::Delete { .. } => Self::Delete,
            Interaction::Update { .. } if request.preconditions.if_match.is_some() => Self::UpdateOfVersion,
            Interaction::Update { .. } => Self::Update,
            Interaction::ConditionalCreate { .. } => Self::ConditionalCreate,
            Interaction::Create { .. } if request.preconditions.if_none_exist.is_some() => {
                Self::ConditionalCreate
            }
            Interaction::Create { .. } => Self::Create,
            Interaction::Bundle { kind: Some(BundleKind::Transaction) } => Self::Transaction,
            Interaction::Bundle { .. } => Self::Batch,
            Interaction::Operation { .. } => Self::Job,
            _ => Self::OtherChange,
        }
    }

    /// What the table says.
    pub fn after(self, fault: Fault) -> Again {
        let row = TABLE.iter().find(|(kind, _)| *kind == self);
        row.map_or(No, |(_, columns)| columns[fault as usize])
    }
}

impl Fault {
    /// What an answer says of the attempt; none: it is the answer to the request.
    pub fn of_answer(status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        match status {
            StatusCode::TOO_MANY_REQUESTS => Some(Self::Throttled),
            StatusCode::SERVICE_UNAVAILABLE if asked_wait(headers).is_some() => Some(Self::Unavailable),
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Some(Self::Unknown),
            _ => None,
        }
    }

    /// What the end of a connection says of it.
    pub fn of_error(error: &SendError) -> Self {
        match error {
            SendError::Connect(_) | SendError::ConnectTimeout => Self::Unsent,
            SendError::Broken { .. } => Self::Unknown,
        }
    }

    /// As a label of metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unsent => "unsent",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Overloaded => "overloaded",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fireguard_fhir::interaction::{Head, parse};
    use http::HeaderValue;
    use http::header::RETRY_AFTER;

    fn kind(method: &str, path_and_query: &str, headers: &[(&str, &str)]) -> Kind {
        let (path, query) = path_and_query
            .split_once('?')
            .map_or((path_and_query, None), |(path, query)| (path, Some(query)));
        let given = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
        let form = path.ends_with("_search");
        let content_type = match method {
            "POST" if form => Some("application/x-www-form-urlencoded"),
            "POST" | "PUT" => Some("application/fhir+json"),
            "PATCH" => Some("application/json-patch+json"),
            _ => None,
        };
        let head = Head {
            method,
            path,
            query,
            content_type,
            if_match: given("if-match"),
            if_none_exist: given("if-none-exist"),
            ..Head::default()
        };
        Kind::of(&parse(&head).unwrap_or_else(|e| panic!("{method} {path_and_query}: {e:?}")))
    }

    #[test]
    fn every_request_has_its_row() {
        let (version, condition) = (("if-match", "W/\"3\""), ("if-none-exist", "identifier=x"));
        for (method, target, headers, expected) in [
            ("GET", "/metadata", &[][..], Kind::Read),
            ("GET", "/Patient/1", &[], Kind::Read),
            ("HEAD", "/Patient/1", &[], Kind::Read),
            ("GET", "/Patient/1/_history/2", &[], Kind::Read),
            ("GET", "/Patient/_history", &[], Kind::Read),
            ("GET", "/Patient?name=x", &[], Kind::Read),
            ("POST", "/Patient/_search", &[], Kind::Read),
            ("GET", "/?_getpages=1f&_getpagesoffset=20", &[], Kind::Read),
            ("GET", "/Patient/1/$everything", &[], Kind::Read),
            ("POST", "/Patient/$validate", &[], Kind::Read),
            ("DELETE", "/Patient/1", &[], Kind::Delete),
            ("DELETE", "/Patient?identifier=x", &[], Kind::OtherChange),
            ("PUT", "/Patient/1", &[], Kind::Update),
            ("PUT", "/Patient/1", &[version], Kind::UpdateOfVersion),
            ("PUT", "/Patient?identifier=x", &[], Kind::OtherChange),
            ("PUT", "/Patient?identifier=x", &[version], Kind::OtherChange),
            ("PATCH", "/Patient/1", &[], Kind::OtherChange),
            ("PATCH", "/Patient/1", &[version], Kind::OtherChange),
            ("PATCH", "/Patient?identifier=x", &[], Kind::OtherChange),
            ("POST", "/Patient", &[], Kind::Create),
            ("POST", "/Patient", &[condition], Kind::ConditionalCreate),
            ("POST", "/", &[], Kind::Batch),
            ("GET", "/$export", &[], Kind::Job),
            ("POST", "/$import", &[], Kind::Job),
            ("POST", "/$of-our-own", &[], Kind::Job),
            ("GET", "/$export-poll-status?_jobId=1", &[], Kind::JobStatus),
            ("DELETE", "/$export-poll-status?_jobId=1", &[], Kind::JobCancel),
        ] {
            assert_eq!(kind(method, target, headers), expected, "{method} {target} {headers:?}");
        }
    }

    /// Every cell once more, by other means: what a slip in the table would let through.
    #[test]
    fn every_cell_keeps_the_promise() {
        use Fault::{Overloaded, Throttled, Unavailable, Unknown, Unsent};
        for (place, (kind, _)) in TABLE.iter().enumerate() {
            assert!(TABLE[place + 1..].iter().all(|(other, _)| other != kind), "{kind:?} twice");
            assert_eq!(kind.after(Unsent), Yes, "{kind:?}: nothing was read");
            let job = matches!(kind, Kind::JobStatus | Kind::JobCancel);
            assert_eq!(kind.after(Throttled), if job { No } else { Yes }, "{kind:?}");
            let shed = match kind {
                Kind::Create => IfSheds,
                _ if job => No,
                _ => Yes,
            };
            assert_eq!(kind.after(Unavailable), shed, "{kind:?}");
            assert_eq!(kind.after(Overloaded), if *kind == Kind::Read { Yes } else { No }, "{kind:?}");
            let unknown = match kind {
                Kind::Read | Kind::Delete => Yes,
                Kind::UpdateOfVersion => Once,
                Kind::ConditionalCreate => Settled,
                Kind::Transaction | Kind::Batch => IfEntriesMay,
                _ => No,
            };
            assert_eq!(kind.after(Unknown), unknown, "{kind:?}");
        }
    }

    #[test]
    fn answers_that_are_faults() {
        use Fault::{Throttled, Unavailable, Unknown};
        for (status, wait, expected) in [
            (200, None, None),
            (404, None, None),
            (409, None, None),
            (429, None, Some(Throttled)),
            (429, Some("1"), Some(Throttled)),
            (500, Some("1"), None),
            (502, None, Some(Unknown)),
            (503, None, None),
            (503, Some("soon"), None),
            (503, Some("1"), Some(Unavailable)),
            (504, Some("1"), Some(Unknown)),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(wait) = wait {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(wait));
            }
            let fault = Fault::of_answer(StatusCode::from_u16(status).unwrap(), &headers);
            assert_eq!(fault, expected, "{status} {wait:?}");
        }
    }
}

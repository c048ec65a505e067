//! What is looked at while a body passes, and changed: URLs below our base become the server's.

use std::sync::Arc;

use bytes::Bytes;
use fireguard_fhir::base::Base;
use fireguard_fhir::document::Error;
use fireguard_fhir::interaction::{BodyKind, Interaction, Refusal, Request};
use fireguard_fhir::outcome::IssueCode;
use fireguard_fhir::references::{ConditionalReference, ConditionalReferences};
use fireguard_fhir::urls::{Relative, UrlRewriter};
use http::StatusCode;

use super::entries::Entries;
use super::refused::RefusedEntries;
use crate::facts::Facts;
use crate::failure::Failure;
use crate::stages::gate::Rules;
use crate::state::Route;

/// Looks at a body as it streams.
pub(super) struct Inspect {
    content: Content,
    searches: Option<Box<Searches>>,
}

enum Content {
    /// Somebody's file.
    Any,
    /// Whether it is sound JSON.
    Json(Box<UrlRewriter>),
    /// That, and what each entry of a Bundle asks for.
    Entries(Box<Entries>),
}

/// The searches that references ask the server for, on a route with a list of parameters.
struct Searches {
    references: ConditionalReferences,
    route: Arc<Route>,
    rules: Rules,
}

impl Inspect {
    /// What has to be looked at in the body of this request.
    pub(super) fn new(
        request: &Request,
        route: &Arc<Route>,
        base: &Base,
        rules: Rules,
        facts: &Arc<Facts>,
        refused: &RefusedEntries,
    ) -> Self {
        let json = matches!(request.body, BodyKind::FhirJson | BodyKind::JsonPatch);
        let urls = |json_patch| UrlRewriter::toward_server(Arc::new(Relative::new(base.clone())), json_patch);
        let content = match (&request.body, &request.interaction) {
            (BodyKind::FhirJson, Interaction::Bundle { .. }) => {
                let entries = Entries::new(route, base, rules, facts, urls(false), refused.clone());
                Content::Entries(Box::new(entries))
            }
            _ if json => Content::Json(Box::new(urls(request.body == BodyKind::JsonPatch))),
            _ => Content::Any,
        };
        // Those of a Bundle are looked at entry by entry.
        let apart = matches!(content, Content::Entries(_));
        let searches = (json && !apart && route.surface.lists_parameters()).then(|| {
            let references = ConditionalReferences::default();
            Box::new(Searches { references, route: Arc::clone(route), rules })
        });
        Self { content, searches }
    }

    /// Looks at the next bytes, and gives what is to be sent: less or more, now and then nothing yet.
    pub(super) fn feed(&mut self, data: Bytes) -> Result<Bytes, Failure> {
        if let Some(searches) = &mut self.searches {
            searches.feed(&data)?;
        }
        let mut out = Vec::with_capacity(data.len());
        match &mut self.content {
            Content::Any => return Ok(data),
            Content::Json(urls) => urls.feed(&data, &mut out).map_err(not_json)?,
            Content::Entries(entries) => entries.feed(&data, &mut out)?,
        }
        Ok(out.into())
    }

    /// The body is over.
    pub(super) fn finish(&self) -> Result<(), Failure> {
        match &self.content {
            Content::Any => Ok(()),
            Content::Json(urls) => urls.finish().map_err(not_json),
            Content::Entries(entries) => entries.finish(),
        }
    }
}

impl Searches {
    fn feed(&mut self, data: &[u8]) -> Result<(), Failure> {
        for found in self.references.feed(data).map_err(not_json)? {
            reference(&found, self.rules, &self.route)?;
        }
        Ok(())
    }
}

/// Judges a conditional reference like the search that it is.
pub(super) fn reference(found: &ConditionalReference, rules: Rules, route: &Route) -> Result<(), Refusal> {
    let judged = found.parse().and_then(|search| rules.judge(route, &search));
    judged.map_err(|refusal| within("a conditional reference", refusal))
}

/// Says in which part the fault is.
pub(super) fn within(part: &str, refusal: Refusal) -> Refusal {
    Refusal { message: format!("{part} is refused: {}", refusal.message), ..refusal }
}

/// The client's body is not what it says it is.
pub(super) fn not_json(error: impl Into<Error>) -> Failure {
    let error = error.into();
    let code = if error.is_duplicate() { IssueCode::Invalid } else { IssueCode::Structure };
    Failure::client(StatusCode::BAD_REQUEST, code, error.to_string())
}

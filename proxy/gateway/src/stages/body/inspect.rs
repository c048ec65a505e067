//! What is looked at while a body passes, and changed: URLs below our base become the server's.

use std::sync::Arc;

use bytes::Bytes;
use fireguard_access::decision::Judge;
use fireguard_fhir::base::Base;
use fireguard_fhir::document::{Error, Syntax};
use fireguard_fhir::interaction::{BodyKind, Interaction, Refusal, Request};
use fireguard_fhir::marks::Marks;
use fireguard_fhir::outcome::IssueCode;
use fireguard_fhir::references::{ConditionalReference, ConditionalReferences};
use fireguard_fhir::urls::{Relative, UrlRewriter};
use http::StatusCode;

use super::entries::Entries;
use super::refused::RefusedEntries;
use crate::facts::Facts;
use crate::failure::Failure;
use crate::stages::access;
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
    /// Whether it is sound JSON or XML.
    Document(Box<UrlRewriter>),
    /// That, and what each entry of a Bundle asks for.
    Entries(Box<Entries>),
}

/// What is looked for besides, where not everybody may search for everything: the searches that references ask the server
/// for; and on routes that know their callers, marks of what was not wholly shown.
struct Searches {
    references: ConditionalReferences,
    marks: Option<Marks>,
    route: Arc<Route>,
    rules: Rules,
    judge: Option<Arc<dyn Judge>>,
}

impl Inspect {
    /// What has to be looked at in the body of this request.
    pub(super) fn new(
        request: &Request,
        route: &Arc<Route>,
        base: &Base,
        rules: Rules,
        judge: Option<Arc<dyn Judge>>,
        facts: &Arc<Facts>,
        refused: &RefusedEntries,
    ) -> Self {
        let json_patch = request.body == BodyKind::JsonPatch;
        let syntax = request.body.resource().or(json_patch.then_some(Syntax::Json));
        let relative = Arc::new(Relative::new(base.clone()));
        let urls = UrlRewriter::toward_server(relative, json_patch);
        let content = match (syntax, &request.interaction) {
            (None, _) => Content::Any,
            (Some(syntax), Interaction::Bundle { .. }) => {
                let entries = Entries::new(route, base, rules, facts, urls, refused.clone());
                let entries = entries.judged_by(judge.clone());
                Content::Entries(Box::new(entries.reading(syntax)))
            }
            (Some(syntax), _) => Content::Document(Box::new(urls.reading(syntax))),
        };
        // Those of a Bundle are looked at entry by entry.
        let apart = matches!(content, Content::Entries(_));
        let searches = syntax
            .filter(|_| !apart && (route.surface.lists_parameters() || judge.is_some()))
            .map(|syntax| {
                let references = ConditionalReferences::new(syntax);
                let updates = matches!(
                    request.interaction,
                    Interaction::Update { .. } | Interaction::ConditionalUpdate { .. }
                );
                let marks = judge.as_ref().filter(|_| updates).map(|_| Marks::new(syntax));
                Box::new(Searches { references, marks, route: Arc::clone(route), rules, judge })
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
            Content::Document(urls) => urls.feed(&data, &mut out).map_err(not_json)?,
            Content::Entries(entries) => entries.feed(&data, &mut out)?,
        }
        Ok(out.into())
    }

    /// The body is over.
    pub(super) fn finish(&self) -> Result<(), Failure> {
        match &self.content {
            Content::Any => Ok(()),
            Content::Document(urls) => urls.finish().map_err(not_json),
            Content::Entries(entries) => entries.finish(),
        }
    }
}

impl Searches {
    fn feed(&mut self, data: &[u8]) -> Result<(), Failure> {
        for found in self.references.feed(data).map_err(not_json)? {
            reference(&found, self.rules, &self.route, self.judge.as_deref())?;
        }
        if let Some(marks) = &mut self.marks
            && marks.feed(data).map_err(not_json)?
        {
            return Err(access::not_whole().into());
        }
        Ok(())
    }
}

/// Judges a conditional reference like the search that it is.
pub(super) fn reference(
    found: &ConditionalReference,
    rules: Rules,
    route: &Route,
    judge: Option<&dyn Judge>,
) -> Result<(), Refusal> {
    let judged = found.parse().and_then(|search| {
        rules.judge(route, &search)?;
        access::searches_all(judge, &search)
    });
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

//! What is looked at while a body passes, and changed: URLs below our base become the server's.

use std::sync::Arc;

use bytes::Bytes;
use fireguard_fhir::base::Base;
use fireguard_fhir::bundle::requests::Requests;
use fireguard_fhir::interaction::{BodyKind, Interaction, Refusal, Request};
use fireguard_fhir::json::{Error, ErrorKind};
use fireguard_fhir::outcome::IssueCode;
use fireguard_fhir::references::ConditionalReferences;
use fireguard_fhir::urls::{Relative, UrlRewriter};
use http::StatusCode;

use super::conditions::Conditions;
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

/// The entries of a batch or transaction: each is judged like a request of its own.
struct Entries {
    requests: Requests,
    urls: UrlRewriter,
    route: Arc<Route>,
    base: Base,
    rules: Rules,
    facts: Arc<Facts>,
    conditions: Conditions,
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
    ) -> Self {
        let json = matches!(request.body, BodyKind::FhirJson | BodyKind::JsonPatch);
        let urls = |json_patch| UrlRewriter::toward_server(Arc::new(Relative::new(base.clone())), json_patch);
        let content = match (&request.body, &request.interaction) {
            (BodyKind::FhirJson, Interaction::Bundle { .. }) => Content::Entries(Box::new(Entries {
                requests: Requests::default(),
                urls: urls(false),
                route: Arc::clone(route),
                base: base.clone(),
                rules,
                facts: Arc::clone(facts),
                conditions: Conditions::default(),
            })),
            _ if json => Content::Json(Box::new(urls(request.body == BodyKind::JsonPatch))),
            _ => Content::Any,
        };
        let searches = (json && route.surface.lists_parameters()).then(|| {
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
        let urls = match &mut self.content {
            Content::Any => return Ok(data),
            Content::Json(urls) => urls.as_mut(),
            Content::Entries(entries) => {
                entries.feed(&data)?;
                &mut entries.urls
            }
        };
        let mut out = Vec::with_capacity(data.len());
        urls.feed(&data, &mut out).map_err(not_json)?;
        Ok(out.into())
    }

    /// The body is over.
    pub(super) fn finish(&self) -> Result<(), Failure> {
        match &self.content {
            Content::Any => Ok(()),
            Content::Json(urls) => urls.finish().map_err(not_json),
            Content::Entries(entries) => {
                entries.requests.finish().map_err(not_json)?;
                entries.conditions.of_whole(entries.requests.kind()?)?;
                Ok(())
            }
        }
    }
}

impl Entries {
    fn feed(&mut self, data: &[u8]) -> Result<(), Failure> {
        let entries = self.requests.feed(data).map_err(not_json)?;
        self.facts.entries(entries.len());
        for entry in entries {
            let url = entry.url();
            let request = entry.parse(self.base.strip(url).unwrap_or(url));
            let judged = request.and_then(|request| {
                self.rules.judge(&self.route, &request)?;
                self.conditions.judge(&self.route.hapi, &request)
            });
            judged.map_err(|refusal| within("an entry of the Bundle", refusal))?;
        }
        Ok(())
    }
}

impl Searches {
    fn feed(&mut self, data: &[u8]) -> Result<(), Failure> {
        for reference in self.references.feed(data).map_err(not_json)? {
            let judged = reference.parse().and_then(|search| self.rules.judge(&self.route, &search));
            judged.map_err(|refusal| within("a conditional reference", refusal))?;
        }
        Ok(())
    }
}

fn within(part: &str, refusal: Refusal) -> Refusal {
    Refusal { message: format!("{part} is refused: {}", refusal.message), ..refusal }
}

fn not_json(error: Error) -> Failure {
    let code = match error.kind {
        ErrorKind::DuplicateKey => IssueCode::Invalid,
        _ => IssueCode::Structure,
    };
    Failure::client(StatusCode::BAD_REQUEST, code, error.to_string())
}

//! What the server holds, asked for our own ends: the version that a write is about, and what a condition finds.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use fireguard_access::confinement::{Granted, Narrowed};
use fireguard_access::resource::{Found, FoundEntry};
use fireguard_fhir::ResourceType;
use fireguard_fhir::bundle::places;
use fireguard_fhir::format::Format;
use fireguard_fhir::interaction::{Handling, Id, Interaction};
use fireguard_fhir::json::{self, Tree};
use fireguard_fhir::parameters::Parameters;
use fireguard_traffic::body::Body;
use http::{Response, StatusCode, header};

use crate::exchange::Ready;
use crate::failure::Failure;
use crate::stage::Next;
use crate::stages::words;
use crate::transform;

/// Asks the server in the name of one exchange, past what its caller may see.
pub(super) struct Asker<N> {
    next: N,
    template: Ready,
    /// The largest answer that is looked at, in bytes.
    limit: usize,
}

/// What there is of a resource.
pub(super) enum Stored {
    /// Nothing, and there never was.
    Absent,
    /// It was deleted.
    Gone,
    /// This.
    Present(Box<Present>),
}

/// A resource as it is stored.
pub(super) struct Present {
    /// Its bytes.
    pub(super) bytes: Bytes,
    /// What has to be known of it.
    pub(super) found: Found,
    /// The version.
    pub(super) version: Id,
    /// When it came to be so (`meta.lastUpdated`).
    pub(super) updated: Option<String>,
}

impl<N: Next<Ready>> Asker<N> {
    /// Asks along this way. Every answer is whole: what it shows is for us.
    pub(super) fn new(ready: &Ready, next: N, limit: usize) -> Self {
        let mut template = ready.asking(Interaction::Capabilities, false);
        template.caller.granted = Some(Arc::new(Granted::default()));
        Arc::make_mut(&mut template.request).format = Format::FhirJson;
        Self { next, template, limit }
    }

    /// The present version.
    ///
    /// # Errors
    /// It cannot be read or understood.
    pub(super) async fn stored(&mut self, ty: ResourceType, id: &Id) -> Result<Stored, Failure> {
        let read = self.template.asking(Interaction::Read { ty, id: id.clone() }, false);
        let answer = self.ask(read).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(Stored::Absent),
            StatusCode::GONE => return Ok(Stored::Gone),
            other => return Err(words::refused(other)),
        }
        let tag = answer.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
        let version = tag.and_then(Id::from_etag).ok_or_else(|| unclear("no ETag"))?;
        let bytes = whole(answer, self.limit).await?;
        let found = Found::of(&bytes).map_err(|error| unclear(&error.to_string()))?;
        if found.outer.resource_type != ty || found.outer.id.as_ref() != Some(id) {
            return Err(unclear("another resource"));
        }
        let updated = json::member(&bytes, "meta").and_then(|meta| meta.member("lastUpdated")?.string());
        let updated = updated.map(Cow::into_owned);
        Ok(Stored::Present(Box::new(Present { bytes, found, version, updated })))
    }

    /// What a search finds: the first two matches, or fewer. It must have been narrowed as told.
    ///
    /// # Errors
    /// It cannot be searched for, or the answer does not prove what was searched for.
    pub(super) async fn matches(
        &mut self,
        ty: ResourceType,
        parameters: &Parameters,
        narrowed: Option<&Narrowed>,
    ) -> Result<Vec<Found>, Failure> {
        let mut search = self.template.asking(Interaction::SearchType { ty }, false);
        let request = Arc::make_mut(&mut search.request);
        request.parameters = parameters.clone();
        request.parameters.push("_count", "2");
        request.prefer.handling = Some(Handling::Strict);
        let base = search.route.group.configured.bases.clone();
        let own = search.face.base.clone();
        let answer = self.ask(search).await?;
        if answer.status() != StatusCode::OK {
            return Err(words::refused(answer.status()));
        }
        let bundle = whole(answer, self.limit).await?;
        let tree = Tree::parse(&bundle).map_err(|error| unclear(&error.to_string()))?;
        let proved = narrowed.is_none_or(|narrowed| {
            let link = self_link(&tree).unwrap_or_default();
            let below = base.iter().chain([&own]).find_map(|base| base.strip(&link));
            below.is_some_and(|below| {
                let (path, query) = below.split_once('?').unwrap_or((below, ""));
                narrowed.is_proved_by(path, Some(query))
            })
        });
        if !proved {
            return Err(unclear("the search was not narrowed"));
        }
        let mut matches = Vec::new();
        for place in places::entries(&bundle).map_err(|error| unclear(&error.to_string()))? {
            let entry = FoundEntry::of(&bundle[place.entry]).map_err(|error| unclear(&error.to_string()))?;
            if entry.mode.as_deref().is_none_or(|mode| mode == "match") {
                matches.extend(entry.resource);
            }
        }
        Ok(matches)
    }

    /// Lets what was asked for on.
    pub(super) async fn go_on(&mut self, ready: Ready) -> crate::stage::Answer {
        self.next.call(ready).await
    }

    async fn ask(&mut self, question: Ready) -> Result<Response<Body>, Failure> {
        let facts = Arc::clone(&question.facts);
        let attempts = facts.attempts();
        let answer = self.next.call(question).await;
        facts.attempts_were(attempts);
        answer
    }
}

async fn whole(answer: Response<Body>, limit: usize) -> Result<Bytes, Failure> {
    let whole = transform::whole(answer.into_body(), limit).await;
    whole.map_err(|failure| unclear(failure.detail.as_deref().unwrap_or_default()))
}

fn self_link(bundle: &Tree) -> Option<String> {
    let links = bundle.get("link")?.elements();
    let link =
        links.iter().find(|link| link.get("relation").and_then(Tree::as_text).as_deref() == Some("self"));
    Some(link?.get("url")?.as_text()?.into_owned())
}

/// What the server says cannot be relied upon.
fn unclear(detail: &str) -> Failure {
    Failure::upstream("what is stored could not be looked at before the write", detail)
}

//! The written phase: what the server has acknowledged is kept for the plugins that want to know, and for the audit,
//! before the client learns of it.

mod events;

use std::sync::Arc;

use bytes::Bytes;
use fireguard_access::resource::Found;
use fireguard_fhir::ResourceType;
use fireguard_fhir::bundle::responses::{EntryResponse, Responses};
use fireguard_fhir::format::Format;
use fireguard_fhir::interaction::Interaction;
use fireguard_fhir::outcome::IssueCode;
use fireguard_plugin_host::{Event, Phase};
use fireguard_state::StateError;
use http::header::{self, HeaderMap};
use http::{Response, StatusCode};

use self::events::{Known, Writes};
use crate::audit::Notes;
use crate::exchange::Ready;
use crate::failure::{Failure, Source};
use crate::plugins::Attached;
use crate::stage::{Answer, Next, Stage};
use crate::state::Shared;
use crate::transform::{Transform, transformed, whole};
use crate::written::Written;

/// The stage. Answers 500 for a write that was carried out and could not be kept.
pub struct WrittenPhase {
    written: Option<Arc<Written>>,
    /// The largest resource that is kept with its event, in bytes.
    resource: usize,
}

/// So much of the answer to a batch or transaction is held until its events are kept; of a longer one the end.
const HELD: usize = 1 << 20;

impl WrittenPhase {
    /// With the queue of the configuration.
    pub fn new(shared: &Shared) -> Self {
        let resource = usize::try_from(shared.limits.resource.0).unwrap_or(usize::MAX);
        Self { written: shared.written.clone(), resource }
    }
}

impl Stage<Ready> for WrittenPhase {
    type Out = Ready;

    fn pass(&self, ready: Ready) -> Result<Ready, Ready> {
        let told = || ready.plugins().any(|a| a.plugin.phases().contains(Phase::Written));
        let concerned = self.written.is_some()
            && !ready.request.interaction.is_safe()
            && (ready.facts.audit.get().is_some() || told());
        if concerned { Err(ready) } else { Ok(ready) }
    }

    async fn handle<N: Next<Ready>>(self: Arc<Self>, ready: Ready, mut next: N) -> Answer {
        let Some(written) = self.written.clone() else { return next.call(ready).await };
        let (plugins, audit) = (ready.plugins().cloned().collect(), ready.facts.audit.get().cloned());
        let keep = Keep { written, plugins, audit, writes: Writes::of(&ready, self.resource) };
        let bundle = matches!(ready.request.interaction, Interaction::Bundle { .. });
        let (interaction, sent) = (ready.request.interaction.clone(), ready.again());
        if let (Some(notes), Some(question)) = (keep.audit.clone(), whose(&ready)) {
            self.is_about(question, &notes, &mut next).await;
        }
        let answer = next.call(ready).await?;
        if !answer.status().is_success() || answer.status() == StatusCode::ACCEPTED {
            return Ok(answer);
        }
        let sent = match sent {
            Some(sent) => events::sent(sent.body, bundle, self.resource).await,
            None => None,
        };
        if !bundle {
            let response = response(answer.status(), answer.headers());
            let known = Known { interaction: Some(&interaction), content: sent };
            keep.all(keep.writes.event(known, &response).into_iter().collect()).await?;
            return Ok(answer);
        }
        let (mut parts, body) = answer.into_parts();
        parts.headers.remove(header::CONTENT_LENGTH);
        let responses = Responses::default();
        let keeping = Keeping { keep, sent, responses, found: Vec::new(), held: Vec::new() };
        Ok(Response::from_parts(parts, transformed(body, keeping).await?))
    }
}

impl WrittenPhase {
    /// Notes whose the resource is. Where that cannot be found out, the event names the resource alone.
    async fn is_about<N: Next<Ready>>(&self, question: Ready, notes: &Notes, next: &mut N) {
        let facts = Arc::clone(&question.facts);
        let attempts = facts.attempts();
        let answer = next.call(question).await;
        facts.attempts_were(attempts);
        let Ok(answer) = answer else { return };
        if answer.status() == StatusCode::OK
            && let Ok(resource) = whole(answer.into_body(), self.resource).await
            && let Ok(found) = Found::of(&resource)
        {
            notes.concerns(&found.outer);
        }
    }
}

/// The question whose the resource is that a patch or a deletion is about: neither tells, and of what is deleted nobody can
/// be asked afterwards.
fn whose(ready: &Ready) -> Option<Ready> {
    let (Interaction::Patch { ty, id } | Interaction::Delete { ty, id }) = &ready.request.interaction else {
        return None;
    };
    if *ty == ResourceType::Patient {
        return None;
    }
    let mut question = ready.asking(Interaction::Read { ty: *ty, id: id.clone() }, false);
    Arc::make_mut(&mut question.request).format = Format::FhirJson;
    Some(question)
}

/// What an answer says of the one write that it is to.
fn response(status: StatusCode, headers: &HeaderMap) -> EntryResponse {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    EntryResponse {
        status: Some(status.as_u16()),
        location: text(header::LOCATION).or_else(|| text(header::CONTENT_LOCATION)),
        etag: text(header::ETAG),
    }
}

/// Where events go.
struct Keep {
    written: Arc<Written>,
    /// Those that run in this exchange.
    plugins: Vec<Attached>,
    /// What is noted for the audit.
    audit: Option<Arc<Notes>>,
    writes: Writes,
}

impl Keep {
    async fn all(&self, events: Vec<Event>) -> Result<(), Failure> {
        let failed = |of: &str, error: StateError| {
            let message = "the request was carried out, but could not be noted";
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            let failure = Failure::new(Source::Proxy, status, IssueCode::Exception, message);
            failure.detail(format!("{of}: {error}"))
        };
        if let Some(notes) = &self.audit {
            notes.wrote(&events).await.map_err(|error| failed("audit", error))?;
        }
        for attached in &self.plugins {
            let wants =
                |event: &&Event| attached.plugin.wants_written(&event.interaction, &event.resource_type);
            let wanted: Vec<_> = events.iter().filter(wants).collect();
            if wanted.is_empty() {
                continue;
            }
            let appended = self.written.append(attached.plugin.name(), &wanted).await;
            appended.map_err(|error| failed(&format!("plugin {}", attached.plugin.name()), error))?;
        }
        Ok(())
    }
}

/// Reads the answer to a batch or transaction as it passes; its end waits until the events are kept.
struct Keeping {
    keep: Keep,
    sent: Option<Bytes>,
    responses: Responses,
    found: Vec<EntryResponse>,
    held: Vec<u8>,
}

impl Transform for Keeping {
    async fn feed(&mut self, chunk: Bytes, out: &mut Vec<u8>) -> Result<(), Failure> {
        let found = self.responses.feed(&chunk).map_err(|error| {
            Failure::upstream("the FHIR server's answer is not valid JSON", error.to_string())
        })?;
        self.found.extend(found);
        if self.held.len() + chunk.len() > HELD {
            out.append(&mut self.held);
        }
        self.held.extend_from_slice(&chunk);
        Ok(())
    }

    async fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        // What ends in the middle says nothing of what was written; the client hears of it, too.
        self.responses.finish().map_err(|error| {
            Failure::upstream("the FHIR server's answer is not valid JSON", error.to_string())
        })?;
        let events = self.keep.writes.events(self.sent.as_ref(), &self.found);
        self.keep.all(events).await?;
        out.append(&mut self.held);
        Ok(())
    }
}

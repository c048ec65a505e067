//! Whose data an answer shows, for the audit: what gate 3 lets through, and what it need not look at.

use std::sync::Arc;

use bytes::Bytes;
use fireguard_access::resource::Found;
use fireguard_fhir::bundle::split::Splitter;
use fireguard_fhir::bundle::{Entry, Piece};
use http::{Response, header};

use crate::audit::Notes;
use crate::exchange::Ready;
use crate::failure::Failure;
use crate::stage::{Answer, Next, Stage};
use crate::state::Shared;
use crate::transform::{Transform, transformed};

/// The stage. An answer passes as it is; what cannot be read names nobody, and its exchange is noted all the same.
pub struct Shown {
    /// The largest resource that is looked at, in bytes.
    resource: usize,
}

impl Shown {
    /// With the limits of the configuration.
    pub fn new(shared: &Shared) -> Self {
        Self { resource: usize::try_from(shared.limits.resource.0).unwrap_or(usize::MAX) }
    }
}

impl Stage<Ready> for Shown {
    type Out = Ready;

    fn pass(&self, ready: Ready) -> Result<Ready, Ready> {
        let Some(notes) = ready.facts.audit.get() else { return Ok(ready) };
        if let Some(granted) = &ready.caller.granted {
            notes.granted(granted);
        }
        let looks = notes.looks();
        let one = ready.request.interaction.is_safe() && !ready.request.head_only;
        if looks && one { Err(ready) } else { Ok(ready) }
    }

    async fn handle<N: Next<Ready>>(self: Arc<Self>, ready: Ready, mut next: N) -> Answer {
        let Some(notes) = ready.facts.audit.get().cloned() else { return next.call(ready).await };
        let answer = next.call(ready).await?;
        let json = answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
            kind.as_bytes().split(|byte| *byte == b';').next().is_some_and(|kind| kind.ends_with(b"json"))
        });
        if !answer.status().is_success() || !json || http_body::Body::is_end_stream(answer.body()) {
            return Ok(answer);
        }
        let (parts, body) = answer.into_parts();
        let splitter = Some(Splitter::new(self.resource));
        let reading = Reading { notes, splitter, whole: Some(Vec::new()), most: self.resource };
        Ok(Response::from_parts(parts, transformed(body, reading).await?))
    }
}

/// Reads an answer as it passes.
struct Reading {
    notes: Arc<Notes>,
    /// None: it is no Bundle, or none that can be read to its end.
    splitter: Option<Splitter>,
    /// What has come of it, as long as it may be a single resource.
    whole: Option<Vec<u8>>,
    /// The largest resource, in bytes.
    most: usize,
}

impl Reading {
    fn entry(&self, entry: &Entry) {
        let found = entry.resource.as_deref().and_then(|resource| Found::of(resource).ok());
        if let Some(found) = found {
            self.notes.concerns(&found.outer);
        }
    }

    fn split(&mut self, chunk: &[u8]) {
        let Some(splitter) = &mut self.splitter else { return };
        match splitter.feed(chunk) {
            Ok(pieces) => {
                for piece in pieces {
                    if let Piece::Entry(entry) = piece {
                        // Only a Bundle has entries with resources.
                        self.whole = self.whole.take().filter(|_| entry.resource.is_none());
                        self.entry(&entry);
                    }
                }
            }
            Err(_) => self.splitter = None,
        }
    }
}

impl Transform for Reading {
    async fn feed(&mut self, chunk: Bytes, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.split(&chunk);
        if let Some(whole) = &mut self.whole {
            whole.extend_from_slice(&chunk);
            self.whole = self.whole.take().filter(|whole| whole.len() <= self.most);
        }
        out.extend_from_slice(&chunk);
        Ok(())
    }

    async fn finish(&mut self, _: &mut Vec<u8>) -> Result<(), Failure> {
        if let Some(found) = self.whole.take().and_then(|whole| Found::of(&whole).ok()) {
            // One that holds others is whose they are; a searchset without any is nobody's.
            let within = found.within.iter().flat_map(|one| &one.patients).cloned();
            let mut outer = found.outer.clone();
            outer.patients.extend(within);
            self.notes.concerns(&outer);
        }
        Ok(())
    }
}

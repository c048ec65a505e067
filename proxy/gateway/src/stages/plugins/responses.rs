//! The answer to a batch or transaction: its entries run through the plugins, and are written anew in their places.

use std::mem::take;

use bytes::Bytes;
use fireguard_fhir::base::Base;
use fireguard_fhir::bundle::split::Splitter;
use fireguard_fhir::bundle::{Entry, Piece};
use fireguard_fhir::json::{write_escaped, write_string};
use fireguard_fhir::outcome::OperationOutcome;
use http::StatusCode;

use super::bundle::not_split;
use super::chain::{Chain, Fate, Part};
use super::rebuilt::Identity;
use crate::config::defaults;
use crate::failure::Failure;
use crate::stages::words::refused;
use crate::transform::Transform;

/// Writes of each entry its status, the resource that plugins let through, and of that where it lies and which
/// version it has. What the server said of those it refused is said in words of ours.
pub(super) struct Responses {
    chain: Chain,
    base: Base,
    splitter: Splitter,
    id: String,
    kind: Option<String>,
    /// The kind has been written.
    kind_written: bool,
    entries: usize,
    batch: Vec<Entry>,
    batch_bytes: usize,
}

impl Responses {
    /// Answers toward this base; the exchange has this id.
    pub(super) fn new(chain: Chain, base: Base, limit: usize, id: String) -> Self {
        let splitter = Splitter::new(limit);
        let (kind, kind_written) = (None, false);
        Self { chain, base, splitter, id, kind, kind_written, entries: 0, batch: Vec::new(), batch_bytes: 0 }
    }

    async fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        let mut entries = take(&mut self.batch);
        self.batch_bytes = 0;
        let (mut places, mut parts) = (Vec::new(), Vec::new());
        for (place, entry) in entries.iter_mut().enumerate() {
            if let Some(resource) = entry.resource.take().filter(|_| status(entry).is_success()) {
                places.push(place);
                parts.push(Part { content: resource.into(), code: None });
            }
        }
        let fates = self.chain.run(&parts).await?;
        let mut shown = places.into_iter().zip(parts).zip(fates).peekable();
        for (place, entry) in entries.iter().enumerate() {
            self.begin(out);
            match shown.next_if(|((of, _), _)| *of == place) {
                Some(((_, part), Fate::Kept)) => self.resource(entry, &part.content, out),
                Some((_, Fate::Changed(content))) => self.resource(entry, &content, out),
                // As if it did not exist; of what was written nothing but that it was.
                Some((_, Fate::Dropped | Fate::Refused(_))) if status(entry) == StatusCode::OK => {
                    self.failure(StatusCode::NOT_FOUND, out);
                }
                Some((_, Fate::Dropped | Fate::Refused(_))) | None if status(entry).is_success() => {
                    out.extend_from_slice(br#"{"response":{"status":"#);
                    write_string(out, status(entry).as_str());
                    out.extend_from_slice(b"}}");
                }
                _ => self.failure(status(entry), out),
            }
        }
        Ok(())
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if self.entries > 0 {
            out.push(b',');
        } else {
            self.head(out);
            out.extend_from_slice(br#","entry":["#);
        }
        self.entries += 1;
    }

    fn head(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"resourceType":"Bundle""#);
        self.write_kind(out);
    }

    fn write_kind(&mut self, out: &mut Vec<u8>) {
        if let Some(kind) = self.kind.as_deref().filter(|_| !self.kind_written) {
            out.extend_from_slice(br#","type":"#);
            write_string(out, kind);
            self.kind_written = true;
        }
    }

    fn resource(&self, entry: &Entry, content: &Bytes, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"#);
        let identity = Identity::of(content);
        if let Some(Identity { resource_type, id, .. }) = &identity {
            out.extend_from_slice(br#""fullUrl":""#);
            write_escaped(out, &format!("{}/{resource_type}/{id}", self.base));
            out.extend_from_slice(br#"","#);
        }
        out.extend_from_slice(br#""resource":"#);
        out.extend_from_slice(content);
        out.extend_from_slice(br#","response":{"status":"#);
        write_string(out, status(entry).as_str());
        if let Some(Identity { resource_type, id, version: Some(version) }) = identity {
            out.extend_from_slice(br#","location":"#);
            write_string(out, &format!("{resource_type}/{id}/_history/{version}"));
            out.extend_from_slice(br#","etag":"#);
            write_string(out, &format!("W/\"{version}\""));
        }
        out.extend_from_slice(b"}}");
    }

    fn failure(&self, status: StatusCode, out: &mut Vec<u8>) {
        let failure = refused(status);
        out.extend_from_slice(br#"{"response":{"status":"#);
        write_string(out, &failure.status.to_string());
        out.extend_from_slice(br#","outcome":"#);
        let outcome = OperationOutcome::error(failure.code, failure.message.into_owned());
        out.extend_from_slice(&outcome.with_request_id(self.id.as_str()).to_json());
        out.extend_from_slice(b"}}");
    }
}

impl Transform for Responses {
    async fn feed(&mut self, chunk: Bytes, out: &mut Vec<u8>) -> Result<(), Failure> {
        for piece in self.splitter.feed(&chunk).map_err(not_split)? {
            match piece {
                Piece::Type(kind) => self.kind = Some(kind),
                Piece::Link { .. } => {}
                Piece::Entry(entry) => {
                    self.batch_bytes += entry.resource.as_ref().map_or(0, Vec::len);
                    self.batch.push(entry);
                    if self.batch_bytes >= defaults::PLUGIN_BATCH {
                        self.flush(out).await?;
                    }
                }
            }
        }
        if self.batch.is_empty() { Ok(()) } else { self.flush(out).await }
    }

    async fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.splitter.finish().map_err(not_split)?;
        if self.entries == 0 {
            self.head(out);
        } else {
            out.push(b']');
            self.write_kind(out);
        }
        out.push(b'}');
        Ok(())
    }
}

/// What the server said of the entry; one that it says nothing of has failed.
fn status(entry: &Entry) -> StatusCode {
    let digits = entry.status.as_deref().and_then(|status| status.get(..3));
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(StatusCode::BAD_GATEWAY)
}

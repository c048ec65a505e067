//! What is known of an exchange. It is written down once, when the last stage has let go of it: a write whose
//! client has left is noted when the server has answered, not before.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use fireguard_fhir::format::Format;
use fireguard_fhir::interaction::Request;
use fireguard_traffic::rate::{Class, EntryCharge, Standing};
use tokio::sync::OwnedSemaphorePermit;

use crate::access_log::{self, Line};
use crate::audit::Notes;
use crate::exchange::RequestId;
use crate::failure::Failure;
use crate::meters::{self, Labels};
use crate::requests::Requests;
use crate::traces::{Ended, Trace};

/// Facts that stages note as they learn them. Nothing of a resource, a search value or a token is among them.
#[derive(Debug)]
pub struct Facts {
    id: RequestId,
    method: http::Method,
    since: Instant,
    /// Its span.
    pub trace: Trace,
    /// The route's name.
    pub route: OnceLock<Arc<str>>,
    /// The FHIR interaction's code.
    pub interaction: OnceLock<&'static str>,
    /// The resource type asked for.
    pub resource_type: OnceLock<&'static str>,
    /// What the client asked for, where a plugin has changed it.
    pub asked: OnceLock<Arc<Request>>,
    /// Why its answer broke off after the head had left.
    pub abort: OnceLock<String>,
    /// What is noted for the audit; none: nothing is.
    pub audit: OnceLock<Arc<Notes>>,
    /// Who pays for the entries of a batch.
    pub batch: OnceLock<EntryCharge>,
    /// How plugins ask the FHIR server.
    pub requests: OnceLock<Requests>,
    /// The exchange whose plugin asks this.
    pub within: Option<Within>,
    /// It was let to a server.
    holds: AtomicBool,
    /// Its place among the requests of its route.
    pub place: OnceLock<OwnedSemaphorePermit>,
    failure: OnceLock<(&'static str, String)>,
    status: AtomicU16,
    upstream_status: AtomicU16,
    attempts: AtomicU32,
    entries: AtomicU64,
    bytes: AtomicU64,
    end: AtomicU8,
    format: Mutex<Option<Format>>,
}

/// The exchange whose plugin asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Within {
    /// It is on the same route, and has its place there.
    pub same_route: bool,
    /// It has a place at a server.
    pub holds: bool,
}

/// How the answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Nobody read it to its end.
    ClientLeft = 0,
    /// It was sent to its end.
    Complete = 1,
    /// It broke off: the connection was aborted.
    Aborted = 2,
}

impl Facts {
    /// The facts of an exchange that begins now.
    pub fn new(id: RequestId, method: http::Method) -> Self {
        Self {
            id,
            method,
            since: Instant::now(),
            trace: Trace::none(),
            route: OnceLock::new(),
            interaction: OnceLock::new(),
            resource_type: OnceLock::new(),
            asked: OnceLock::new(),
            abort: OnceLock::new(),
            audit: OnceLock::new(),
            batch: OnceLock::new(),
            requests: OnceLock::new(),
            within: None,
            holds: AtomicBool::new(false),
            place: OnceLock::new(),
            failure: OnceLock::new(),
            status: AtomicU16::new(0),
            upstream_status: AtomicU16::new(0),
            attempts: AtomicU32::new(0),
            entries: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            end: AtomicU8::new(End::ClientLeft as u8),
            format: Mutex::new(None),
        }
    }

    /// With its span.
    #[must_use]
    pub fn traced(mut self, trace: Trace) -> Self {
        self.trace = trace;
        self
    }

    /// As a request of a plugin.
    #[must_use]
    pub fn within(mut self, within: Within) -> Self {
        self.within = Some(within);
        self
    }

    /// It has one of the places at a server, and may keep it to the end of its answer.
    pub fn has_place(&self) {
        self.holds.store(true, Ordering::Relaxed);
    }

    /// Whether it may have a place at a server.
    pub fn holds_place(&self) -> bool {
        self.holds.load(Ordering::Relaxed)
    }

    /// The status the client gets.
    pub fn answered(&self, status: http::StatusCode) {
        self.status.store(status.as_u16(), Ordering::Relaxed);
    }

    /// What the client wants is answered in this format, errors included.
    pub fn answer_in(&self, format: Format) {
        *self.format.lock().unwrap_or_else(PoisonError::into_inner) = Some(format);
    }

    /// The format that the client wants, once it is known.
    pub fn format(&self) -> Option<Format> {
        *self.format.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The exchange ends with an answer of ours.
    pub fn failed(&self, failure: &Failure) {
        self.answered(failure.status);
        let detail = failure.detail.clone().unwrap_or_else(|| failure.message.clone().into_owned());
        let _ = self.failure.set((failure.source.as_str(), detail));
        self.ended(End::Complete);
    }

    /// One entry more of a batch was read; of none that is no request is the class known.
    ///
    /// # Errors
    /// The client has used up what it may ask of this class.
    pub fn entry_read(&self, class: Option<Class>) -> Result<(), Standing> {
        self.batch.get().map_or(Ok(()), |charge| charge.entry(class))
    }

    /// One of them goes to the server.
    pub fn entry_passed(&self) {
        self.entries.fetch_add(1, Ordering::Relaxed);
    }

    /// So many of those that were let through go on.
    pub fn entries_are(&self, entries: u64) {
        self.entries.store(entries, Ordering::Relaxed);
    }

    /// The entries of the batch or transaction that the server is asked for.
    pub fn asked_entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// What was asked since was a question of ours.
    pub fn attempts_were(&self, attempts: u32) {
        self.attempts.store(attempts, Ordering::Relaxed);
    }

    /// The status the server answered.
    pub fn upstream_answered(&self, status: http::StatusCode) {
        self.upstream_status.store(status.as_u16(), Ordering::Relaxed);
    }

    /// The request goes to the server once more.
    pub fn attempt(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it went to the server.
    pub fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }

    /// Bytes of the answer's body that were handed to the connection.
    pub fn sent(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// How the answer ended.
    pub fn ended(&self, end: End) {
        self.end.store(end as u8, Ordering::Relaxed);
    }
}

impl Drop for Facts {
    fn drop(&mut self) {
        let route = self.route.take().unwrap_or_else(|| "none".into());
        let interaction = self.interaction.get().copied().unwrap_or("none");
        let end = match *self.end.get_mut() {
            e if e == End::Complete as u8 => "complete",
            e if e == End::Aborted as u8 => "aborted",
            _ => "client-left",
        };
        let (source, detail) = self.failure.get().map_or(("none", None), |(s, d)| (*s, Some(d.as_str())));
        let (status, bytes) = (*self.status.get_mut(), *self.bytes.get_mut());
        let seconds = self.since.elapsed().as_secs_f64();
        let labels = Labels { route: Arc::clone(&route), interaction, status, source, end };
        meters::count(labels, seconds, bytes);
        let resource_type = self.resource_type.get().copied().unwrap_or("none");
        self.trace.end(Ended {
            method: self.method.as_str(),
            route: &route,
            interaction,
            resource_type,
            status,
            attempts: *self.attempts.get_mut(),
            source,
            end,
            request_id: self.id.as_str(),
        });
        access_log::note(&Line {
            request_id: self.id.as_str(),
            method: self.method.as_str(),
            route: &route,
            interaction,
            resource_type,
            status,
            upstream_status: *self.upstream_status.get_mut(),
            attempts: *self.attempts.get_mut(),
            source,
            detail,
            abort: self.abort.get().map(String::as_str),
            bytes,
            milliseconds: (seconds * 1e4).round() / 10.0,
            end,
        });
    }
}

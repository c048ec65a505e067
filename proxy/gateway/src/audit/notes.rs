//! What is noted of one exchange for the audit.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use fireguard_access::audit::{AuditEvent, Concerned, Denial, Happened};
use fireguard_access::confinement::Granted;
use fireguard_access::decision::{AuditLevel, Resource};
use fireguard_access::principal::Principal;
use fireguard_access::resource::Found;
use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::{BundleKind, Id, Interaction, Request};
use fireguard_plugin_host::Event;
use fireguard_state::StateError;

use super::{Audit, Keeping, lost};
use crate::exchange::Asked;

/// The status of an exchange whose client left before it was answered (as nginx logs it).
const CLIENT_LEFT: u16 = 499;

/// The notes of one exchange. What is noted when its events are made is in them.
pub struct Notes {
    audit: Arc<Audit>,
    keeping: Arc<Keeping>,
    at: String,
    request_id: String,
    principal: Option<Arc<Principal>>,
    client: IpAddr,
    base: String,
    status: AtomicU16,
    /// Its writes are in the queue.
    written: AtomicBool,
    /// It is over.
    ended: AtomicBool,
    noted: Mutex<Noted>,
}

struct Noted {
    request: Arc<Request>,
    level: AuditLevel,
    policies: BTreeSet<Arc<str>>,
    /// Why it was refused.
    denial: Option<Denial>,
    /// Each resource once, with all patients it was seen with.
    concerned: BTreeMap<(ResourceType, Option<Id>), Concerned>,
}

impl Notes {
    /// Of an exchange that begins.
    pub fn new(audit: Arc<Audit>, keeping: Arc<Keeping>, asked: &Asked) -> Self {
        let noted = Noted {
            request: Arc::clone(&asked.request),
            level: keeping.level,
            policies: BTreeSet::new(),
            denial: None,
            concerned: BTreeMap::new(),
        };
        Self {
            at: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            request_id: asked.id.as_str().to_owned(),
            principal: asked.caller.principal.clone(),
            client: asked.client,
            base: asked.face.base.to_string(),
            status: AtomicU16::new(CLIENT_LEFT),
            written: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            noted: Mutex::new(noted),
            audit,
            keeping,
        }
    }

    /// The request with the parameters of its form.
    pub fn understood(&self, request: &Arc<Request>) {
        self.noted().request = Arc::clone(request);
    }

    /// The Bundle of this kind, which its body tells.
    pub fn is(&self, kind: BundleKind) {
        Arc::make_mut(&mut self.noted().request).interaction = Interaction::Bundle { kind: Some(kind) };
    }

    /// What gate 1 let through, by which policies, and how closely these want it to be looked at.
    pub fn granted(&self, granted: &Granted) {
        let mut noted = self.noted();
        noted.policies.extend(granted.policies.iter().cloned());
        noted.level = noted.level.max(granted.obligations.audit.unwrap_or(noted.level));
    }

    /// Why the caller was refused.
    pub fn refused(&self, denial: &Denial) {
        self.noted().denial = Some(denial.clone());
    }

    /// A resource that the caller gets to see, or changes.
    pub fn concerns(&self, resource: &Resource) {
        let (resource_type, id) = (resource.resource_type, resource.id.clone());
        let mut noted = self.noted();
        let one = noted.concerned.entry((resource_type, id.clone())).or_insert_with(|| Concerned {
            resource_type,
            id,
            version: None,
            patients: BTreeSet::new(),
        });
        one.patients.extend(resource.patients.iter().cloned());
    }

    /// Whether it is looked at what an answer shows.
    pub fn looks(&self) -> bool {
        self.noted().level > AuditLevel::Exchange
    }

    /// The status that the client gets.
    pub fn answered(&self, status: http::StatusCode) {
        self.status.store(status.as_u16(), Ordering::Relaxed);
    }

    /// Writes that the server has acknowledged. Their events have reached the disk when this answers, or are lost where
    /// the configuration lets them be.
    ///
    /// # Errors
    /// They have not, and must.
    pub async fn wrote(&self, writes: &[Event]) -> Result<(), StateError> {
        let events: Vec<AuditEvent> = writes.iter().flat_map(|write| self.write(write)).collect();
        let many = events.len() as u64;
        match self.audit.append(events).await {
            Err(error) if self.keeping.passes() => lost(many, &error.to_string()),
            appended => appended?,
        }
        self.written.store(many > 0, Ordering::Relaxed);
        Ok(())
    }

    /// It is over: once.
    pub fn end(&self) {
        if self.ended.swap(true, Ordering::Relaxed) {
            return;
        }
        let noted = self.noted();
        let interaction = &noted.request.interaction;
        let bundle = matches!(interaction, Interaction::Bundle { .. });
        // What was written has events of its own; that it was written together, one more.
        if self.written.load(Ordering::Relaxed) && !bundle {
            return;
        }
        let mut concerned: Vec<_> = noted.concerned.values().cloned().collect();
        if let (Some(resource_type), Some(id)) = (interaction.resource_type(), interaction.id())
            && !matches!(interaction, Interaction::Operation { .. })
        {
            // It is about this one, whatever came with it.
            let mut one = named(resource_type, id.clone());
            one.patients.extend(concerned.drain(..).flat_map(|one| one.patients));
            concerned.push(one);
        }
        // An empty page is a resource, too, and none that anybody asked for.
        concerned.retain(|one| one.id.is_some());
        let query = query(&noted.request, &self.base);
        let status = self.status.load(Ordering::Relaxed);
        let happened = self.happened(interaction.code(), status, query.as_deref(), &noted.policies);
        let happened = Happened { denial: noted.denial.as_ref(), ..happened };
        self.audit.append_later(happened.events(noted.level, &concerned));
    }

    /// The events of one write.
    fn write(&self, write: &Event) -> Vec<AuditEvent> {
        let noted = self.noted();
        let (Some(resource_type), Some(id)) =
            (ResourceType::parse(&write.resource_type), Id::parse(&write.resource_id))
        else {
            return Vec::new();
        };
        let mut concerned = named(resource_type, id.clone());
        concerned.version = write.version_id.as_deref().and_then(Id::parse);
        // As it was, if a gate has looked, and as it is.
        if let Some(known) = noted.concerned.get(&(resource_type, Some(id))) {
            concerned.patients.extend(known.patients.iter().cloned());
        }
        if let Some(found) = write.content.as_deref().and_then(|content| Found::of(content).ok()) {
            concerned.patients.extend(found.outer.patients);
        }
        let happened = self.happened(&write.interaction, 200, None, &noted.policies);
        happened.events(noted.level.max(AuditLevel::Patient), &[concerned])
    }

    fn happened<'a>(
        &'a self,
        interaction: &'a str,
        status: u16,
        query: Option<&'a str>,
        policies: &'a BTreeSet<Arc<str>>,
    ) -> Happened<'a> {
        Happened {
            at: &self.at,
            request_id: &self.request_id,
            interaction,
            status,
            principal: self.principal.as_deref(),
            client: self.client,
            base: &self.base,
            query,
            policies,
            denial: None,
        }
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Notes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notes")
    }
}

/// A resource of which only the name is known.
fn named(resource_type: ResourceType, id: Id) -> Concerned {
    let patients =
        if resource_type == ResourceType::Patient { BTreeSet::from([id.clone()]) } else { BTreeSet::new() };
    Concerned { resource_type, id: Some(id), version: None, patients }
}

/// What was searched for or called; none: it was neither.
fn query(request: &Request, base: &str) -> Option<String> {
    match &request.interaction {
        // What is behind it was noted with the first page, and only the server knows it.
        Interaction::Page(_) => Some(format!("GET {base}?_page")),
        Interaction::Operation { .. } => Some(written(request, base)),
        interaction if interaction.is_search() => Some(written(request, base)),
        _ => None,
    }
}

fn written(request: &Request, base: &str) -> String {
    let target = request.target();
    let form = request.form().map(|form| format!("\n\n{form}")).unwrap_or_default();
    format!("{} {base}{}{form}", target.method, target.path_and_query)
}

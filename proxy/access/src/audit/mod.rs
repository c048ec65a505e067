//! What happened, told as FHIR AuditEvents in the patterns of IHE BALP 1.1 (<https://profiles.ihe.net/ITI/BALP>).
//!
//! An exchange becomes one event or several ([`Happened::events`]): a patient whose data was concerned finds an event
//! of their own. Nothing of a resource is in one but its type, id and version; the search is, in base64, because
//! that is what was asked.

mod balp;
#[cfg(test)]
mod profiles;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::Id;
use uuid::Uuid;

use crate::decision::AuditLevel;
use crate::principal::Principal;
pub use balp::{identified, without_references};

/// An exchange, or one entry of a batch or transaction.
#[derive(Debug, Clone)]
pub struct Happened<'a> {
    /// When, as a FHIR instant.
    pub at: &'a str,
    /// The exchange's id.
    pub request_id: &'a str,
    /// FHIR's code of the interaction (<http://hl7.org/fhir/restful-interaction>).
    pub interaction: &'a str,
    /// The status of its answer.
    pub status: u16,
    /// Who asked; none: anyone may.
    pub principal: Option<&'a Principal>,
    /// From where.
    pub client: IpAddr,
    /// The FHIR base as the client sees it.
    pub base: &'a str,
    /// The search or operation as it was understood, as method and URL, and the form if there was one.
    pub query: Option<&'a str>,
    /// The policies that permitted it, by `@id`.
    pub policies: &'a BTreeSet<Arc<str>>,
    /// Why it was refused, if that was decided of its caller.
    pub denial: Option<&'a Denial>,
}

/// Why an exchange was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// These policies forbid it, by `@id`.
    Forbidden(Vec<Arc<str>>),
    /// No policy permits it.
    Unpermitted,
    /// No scope that was granted reaches as far.
    Unscoped,
}

/// A resource that was shown or changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Concerned {
    /// Its type.
    pub resource_type: ResourceType,
    /// Its id.
    pub id: Option<Id>,
    /// Which version of it.
    pub version: Option<Id>,
    /// The patients in whose compartments it is.
    pub patients: BTreeSet<Id>,
}

/// An AuditEvent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// Its id, which nothing else has: it may be delivered twice.
    pub id: String,
    /// The resource, in JSON.
    pub resource: Vec<u8>,
}

impl Happened<'_> {
    /// The events, looked at so closely: one in all, one for each patient, or those with every resource named.
    pub fn events(&self, level: AuditLevel, concerned: &[Concerned]) -> Vec<AuditEvent> {
        let patients: BTreeSet<&Id> = concerned.iter().flat_map(|one| &one.patients).collect();
        let only = match concerned {
            [only] => Some(only),
            _ => None,
        };
        let of = |patient: Option<&Id>| -> Vec<&Concerned> {
            let is = |one: &&Concerned| match patient {
                Some(patient) => one.patients.contains(patient),
                None => one.patients.is_empty(),
            };
            concerned.iter().filter(is).collect()
        };
        let event = |patient: Option<&Id>, named: Vec<&Concerned>| {
            let id = Uuid::now_v7().to_string();
            let resource = balp::resource(self, &id, patient, only, &named);
            AuditEvent { id, resource }
        };
        match level {
            // The profiles want the patient of an event that has one; of several none is the one.
            AuditLevel::Exchange => {
                let patient = patients.first().copied().filter(|_| patients.len() == 1);
                vec![event(patient, Vec::new())]
            }
            AuditLevel::Patient if patients.is_empty() => vec![event(None, Vec::new())],
            AuditLevel::Patient => {
                patients.into_iter().map(|patient| event(Some(patient), Vec::new())).collect()
            }
            AuditLevel::Entry => {
                let nobodys = of(None);
                let nobodys = (!nobodys.is_empty() || patients.is_empty()).then(|| event(None, nobodys));
                patients
                    .iter()
                    .map(|patient| event(Some(patient), of(Some(patient))))
                    .chain(nobodys)
                    .collect()
            }
        }
    }
}

#[cfg(test)]
mod tests;

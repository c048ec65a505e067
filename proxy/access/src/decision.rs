//! What is asked of a judge, and what it answers. Gates ask; SMART scopes and policies decide.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::{Id, OperationName};
use fireguard_fhir::parameters::Parameters;

use crate::shared_types::sharing;

/// What a caller does to a resource, or to the resources of a type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Sees the present version of one.
    Read,
    /// Sees a former version of one: also those in histories.
    VersionRead,
    /// Sees that and how one changed.
    History,
    /// Looks for some, which it need not see: also through `_has`, chains, and conditions.
    Search,
    /// Makes one.
    Create,
    /// Changes one.
    Update,
    /// Changes a part of one.
    Patch,
    /// Removes one.
    Delete,
    /// Takes security labels off, or lowers them.
    Relabel,
    /// Calls an operation, by its name with the dollar sign.
    Operate(OperationName),
}

/// One thing that a request asks for. An interaction may ask for several: a search with `_include` reads other types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// What is done.
    pub action: Action,
    /// To what; none: to the server, or to resources of any type.
    pub resource_type: Option<ResourceType>,
    /// To which one, where the request names it.
    pub id: Option<Id>,
}

/// What is known of a resource when it is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Its type.
    pub resource_type: ResourceType,
    /// Its id; none: it has none yet.
    pub id: Option<Id>,
    /// The patients in whose compartments it is (R4 CompartmentDefinition "patient").
    pub patients: BTreeSet<Id>,
    /// It refers to somebody as to a patient whom nobody can name: a logical or a foreign reference.
    pub unnamed: bool,
    /// Its security labels (`meta.security`), as `system|code`.
    pub labels: BTreeSet<String>,
    /// Its tags (`meta.tag`), as `system|code`.
    pub tags: BTreeSet<String>,
}

/// What a judge says of a request, before anybody has seen a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permission {
    /// Not so.
    Denied(Denied),
    /// So far.
    Allowed(Allowed),
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// In words for the caller, without anything that helps one who should not be here.
    pub message: String,
    /// The scope that would have been enough, for `WWW-Authenticate: … error="insufficient_scope"` (RFC 6750 §3.1).
    pub scope: Option<String>,
    /// The policies that forbid it, by `@id`. Empty: nothing permits it.
    pub policies: Vec<Arc<str>>,
}

/// The words of [`Denied::message`] for what no policy permits.
pub const NOTHING: &str = "nothing permits this";

/// What is allowed, and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// Which resources: any one of these is enough. A bound that bounds nothing is all of them. Never empty.
    pub bounds: Vec<Bound>,
    /// It depends on what a resource is: each has to be judged by itself.
    pub each: bool,
    /// What is to be done besides.
    pub obligations: Obligations,
    /// The policies that permit it, by `@id`.
    pub policies: Vec<Arc<str>>,
}

/// A part of what there is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bound {
    /// Only what is in the compartment of this patient, and what belongs to no patient.
    pub patient: Option<Id>,
    /// Only what a search by these parameters finds (SMART App Launch 2.2 §7.1: `Observation.rs?category=…`).
    pub constraint: Parameters,
}

/// What a permit asks for in return.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Obligations {
    /// Plugins that must see the exchange, by their names in the configuration.
    pub plugins: BTreeSet<String>,
    /// Elements the caller does not see, as `Type.element` (or `*.element`).
    pub drop: BTreeSet<String>,
    /// How closely the audit looks.
    pub audit: Option<AuditLevel>,
}

/// How closely the audit looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AuditLevel {
    /// That it happened.
    Exchange,
    /// Each patient concerned.
    Patient,
    /// Each resource shown or changed.
    Entry,
}

/// Decides for one caller on one route. Cheap to ask again: what does not depend on a resource is remembered.
pub trait Judge: Send + Sync + fmt::Debug {
    /// Before anybody has seen a resource.
    fn request(&self, access: &Access) -> Permission;

    /// Of a resource that is known: as it is stored, as it will be, or as it is about to be shown.
    fn resource(&self, action: &Action, resource: &Resource) -> Permission;

    /// Whether it matters how something is asked for: then a Bundle is not judged but by its entries, each with a judge
    /// of its own.
    fn asks_how(&self) -> bool {
        false
    }

    /// The plugins that any permit could ask for, whatever the resources are and whatever scopes say.
    fn plugins(&self, access: &Access) -> BTreeSet<String>;
}

impl Bound {
    /// Whether it bounds nothing.
    pub fn is_all(&self) -> bool {
        self.patient.is_none() && self.constraint.is_empty()
    }

    /// Whether a resource is within, as far as patients go.
    pub fn reaches(&self, resource: &Resource) -> bool {
        let within = |patient: &Id| sharing(resource.resource_type).reaches(patient, resource);
        self.patient.as_ref().is_none_or(within)
    }
}

impl Allowed {
    /// Everything of that type: nothing has to be looked at.
    pub fn is_all(&self) -> bool {
        !self.each && self.obligations.drop.is_empty() && self.bounds.iter().any(Bound::is_all)
    }
}

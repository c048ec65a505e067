//! Who asks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;

use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::Id;
use fireguard_fhir::smart::Scopes;

/// A caller whose word was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Who vouches for it: the issuer's URL; `local` for users in a file, `certificate` for client certificates.
    pub issuer: Arc<str>,
    /// Whom it is about: `sub` (RFC 7519 §4.1.2), the user's name, the certificate's subject alternative name.
    pub subject: Arc<str>,
    /// The program that asks in its name: `azp` or `client_id`.
    pub client: Option<Arc<str>>,
    /// Roles, as the issuer names them.
    pub roles: BTreeSet<String>,
    /// The organisation it belongs to, where a server holds data of several.
    pub tenant: Option<String>,
    /// The resource that stands for the user: `fhirUser` (SMART App Launch 2.2 §7.1), below a base of ours.
    pub fhir_user: Option<(ResourceType, Id)>,
    /// The patient in context: the launch context `patient`, or the user itself if that is a Patient.
    pub patient: Option<Id>,
    /// What for (`PurposeOfUse`), as the issuer vouches for it: `TREAT`, `HRESCH`.
    pub purposes: BTreeSet<String>,
    /// What was granted. None: this way of authentication grants nothing by scopes, and policies alone decide.
    pub scopes: Option<Scopes>,
    /// The thumbprint (`x5t#S256`) of the client certificate that its token is bound to (RFC 8705 §3.1).
    pub bound_to: Option<Arc<str>>,
    /// When that ends.
    pub expires: Option<SystemTime>,
}

impl Principal {
    /// What stays the same when a token is refreshed: pages and jobs are bound to this. The parts cannot run into
    /// each other.
    pub fn holder(&self) -> Vec<u8> {
        let mut holder = Vec::new();
        for part in [&*self.issuer, &*self.subject, self.client.as_deref().unwrap_or_default()] {
            holder.extend_from_slice(&(part.len() as u64).to_be_bytes());
            holder.extend_from_slice(part.as_bytes());
        }
        holder
    }
}

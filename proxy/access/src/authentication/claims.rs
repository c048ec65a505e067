//! What a token says, and the caller it makes.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fireguard_fhir::ResourceType;
use fireguard_fhir::base::Base;
use fireguard_fhir::interaction::Id;
use fireguard_fhir::smart::Scopes;
use serde_json::{Map, Value};

use super::rejection::Why;
use super::settings::IssuerSettings;
use crate::principal::Principal;

/// What a token says whose signature is good, or that its issuer has vouched for.
#[derive(Debug, Clone)]
pub(super) struct Claims(Value);

/// Resources that may stand for a user (SMART App Launch 2.2 §7.1).
const USERS: [ResourceType; 5] = [
    ResourceType::Patient,
    ResourceType::Person,
    ResourceType::Practitioner,
    ResourceType::PractitionerRole,
    ResourceType::RelatedPerson,
];

/// Other tokens of the same issuer, by what Keycloak and Cognito write into them: they are signed by the same key.
const OTHER_KINDS: [(&str, &[&str]); 2] =
    [("typ", &["ID", "Refresh", "Offline", "Logout"]), ("token_use", &["id", "refresh"])];

impl Claims {
    /// Those of a JSON object.
    pub(super) fn new(claims: Map<String, Value>) -> Self {
        Self(Value::Object(claims))
    }

    /// Checks what does not depend on a signature: issuer, audience, client, kind and time.
    ///
    /// # Errors
    /// The first that is wrong.
    pub(super) fn check(&self, settings: &IssuerSettings, now: SystemTime) -> Result<(), Why> {
        if self.text("iss") != Some(&settings.url) {
            return Err(Why::Issuer);
        }
        if !self.audience().any(|audience| settings.audience.contains(audience)) {
            return Err(Why::Audience);
        }
        let other =
            |(claim, kinds): &(&str, &[&str])| self.text(claim).is_some_and(|kind| kinds.contains(&kind));
        if OTHER_KINDS.iter().any(other) {
            return Err(Why::Kind);
        }
        let client = settings.clients.as_ref();
        if client.is_some_and(|known| !self.client().is_some_and(|client| known.contains(client))) {
            return Err(Why::Client);
        }
        self.check_time(settings.clock_skew, now)
    }

    /// Its time has come, and is not over.
    pub(super) fn check_time(&self, skew: Duration, now: SystemTime) -> Result<(), Why> {
        let ended = |end: SystemTime| end.checked_add(skew).is_some_and(|end| end <= now);
        if self.expires().is_none_or(ended) {
            return Err(Why::Expired);
        }
        for begin in ["nbf", "iat"] {
            match self.0.get(begin) {
                None | Some(Value::Null) => {}
                Some(at) if time(at).is_some_and(|at| at <= now + skew) => {}
                Some(_) => return Err(Why::Early),
            }
        }
        Ok(())
    }

    /// When it ends.
    pub(super) fn expires(&self) -> Option<SystemTime> {
        self.0.get("exp").and_then(time)
    }

    /// Says it is good (RFC 7662 §2.2).
    pub(super) fn is_active(&self) -> bool {
        self.0.get("active") == Some(&Value::Bool(true))
    }

    /// Puts the issuer in where introspection leaves it out (RFC 7662 §2.2): it was asked itself.
    pub(super) fn vouched_by(&mut self, issuer: &str) {
        if let Value::Object(claims) = &mut self.0 {
            claims.entry("iss").or_insert_with(|| issuer.into());
        }
    }

    /// The caller. URLs in it count where they are below one of the bases; others are of somebody else's server.
    ///
    /// # Errors
    /// It does not say whom it is about.
    pub(super) fn principal(&self, settings: &IssuerSettings, bases: &[&Base]) -> Result<Principal, Why> {
        let client = self.client();
        // What a program got for itself may name no user: then it is about the program.
        let subject =
            self.text("sub").or(client).filter(|subject| !subject.is_empty()).ok_or(Why::Subject)?;
        let reference = |pointer: &str| self.at(pointer).and_then(Value::as_str);
        let fhir_user = reference(&settings.claims.fhir_user).and_then(|text| user(text, bases));
        let patient = reference(&settings.claims.patient).and_then(|text| patient(text, bases));
        let own = || match &fhir_user {
            Some((ResourceType::Patient, id)) => Some(id.clone()),
            _ => None,
        };
        Ok(Principal {
            issuer: settings.url.clone(),
            subject: subject.into(),
            client: client.map(Into::into),
            roles: self.names(&settings.claims.roles).collect(),
            tenant: reference(&settings.claims.tenant).map(str::to_owned),
            patient: patient.or_else(own),
            fhir_user,
            purposes: self.names(&settings.claims.purpose).collect(),
            scopes: settings.smart.then(|| Scopes::parse(&self.scope())),
            bound_to: self.certificate()?,
            expires: self.expires(),
        })
    }

    /// Whether it names a user of somebody else's server, which counts for nothing.
    pub(super) fn names_a_foreign_user(&self, settings: &IssuerSettings, bases: &[&Base]) -> bool {
        let named = self.at(&settings.claims.fhir_user).and_then(Value::as_str);
        named.is_some_and(|text| user(text, bases).is_none())
    }

    /// The certificate that it is bound to (RFC 8705 §3.1).
    ///
    /// # Errors
    /// It is bound to something that nobody here can check.
    fn certificate(&self) -> Result<Option<Arc<str>>, Why> {
        let confirmation = match self.0.get("cnf") {
            None | Some(Value::Null) => return Ok(None),
            Some(confirmation) => confirmation.as_object().ok_or(Why::Confirmation)?,
        };
        match (confirmation.get("x5t#S256").and_then(Value::as_str), confirmation.len()) {
            (Some(thumbprint), 1) => Ok(Some(thumbprint.into())),
            _ => Err(Why::Confirmation),
        }
    }

    fn client(&self) -> Option<&str> {
        self.text("azp").or_else(|| self.text("client_id"))
    }

    /// One name or several.
    fn audience(&self) -> impl Iterator<Item = &str> {
        texts(self.0.get("aud"))
    }

    /// `scope` (RFC 9068 §2.2.3), or `scp` as a list.
    fn scope(&self) -> String {
        let claim = self.0.get("scope").or_else(|| self.0.get("scp"));
        texts(claim).collect::<Vec<_>>().join(" ")
    }

    /// Names in a list, or one; codings count by their code.
    fn names(&self, pointer: &str) -> impl Iterator<Item = String> {
        let (one, several) = match self.at(pointer) {
            Some(Value::Array(several)) => (None, several.as_slice()),
            one => (one, &[][..]),
        };
        let name = |value: &Value| value.as_str().or_else(|| value.get("code")?.as_str()).map(str::to_owned);
        one.into_iter().chain(several).filter_map(name)
    }

    fn at(&self, pointer: &str) -> Option<&Value> {
        self.0.pointer(pointer)
    }

    fn text(&self, claim: &str) -> Option<&str> {
        self.0.get(claim)?.as_str()
    }
}

/// A NumericDate (RFC 7519 §2), which may have a fraction.
fn time(value: &Value) -> Option<SystemTime> {
    let seconds = value.as_f64().filter(|seconds| *seconds >= 0.0)?;
    UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}

fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let (one, several) = match value {
        Some(Value::Array(several)) => (None, several.as_slice()),
        one => (one, &[][..]),
    };
    one.into_iter().chain(several).filter_map(Value::as_str)
}

/// `Practitioner/1`, or the same below a base.
fn user(text: &str, bases: &[&Base]) -> Option<(ResourceType, Id)> {
    let (resource_type, id) = relative(text, bases)?.split_once('/')?;
    let resource_type = ResourceType::parse(resource_type).filter(|known| USERS.contains(known))?;
    Some((resource_type, Id::parse(id)?))
}

/// `1`, `Patient/1`, or the same below a base.
fn patient(text: &str, bases: &[&Base]) -> Option<Id> {
    let text = relative(text, bases)?;
    Id::parse(text.strip_prefix("Patient/").unwrap_or(text))
}

/// What follows the base; what has none is relative already.
fn relative<'t>(text: &'t str, bases: &[&Base]) -> Option<&'t str> {
    if !text.contains("://") {
        return Some(text);
    }
    bases.iter().find_map(|base| base.strip(text)?.strip_prefix('/'))
}

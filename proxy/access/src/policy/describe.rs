//! Callers and resources as people describe them, in cases and to `policy explain`.

use std::collections::BTreeSet;

use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::{Head, Id, Request, parse};
use fireguard_fhir::smart::Scopes;
use serde::Deserialize;

use crate::decision::Resource;
use crate::principal::Principal;

/// A caller. What is left out, it has not.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Caller {
    /// The issuer of its token.
    pub issuer: Option<String>,
    /// `sub`.
    pub subject: Option<String>,
    /// The program that asks in its name.
    pub client: Option<String>,
    /// Its roles.
    pub roles: BTreeSet<String>,
    /// The organisation that it belongs to.
    pub tenant: Option<String>,
    /// `Practitioner/123`.
    pub fhir_user: Option<String>,
    /// The id of the patient in context.
    pub patient: Option<String>,
    /// What for.
    pub purposes: BTreeSet<String>,
    /// Its scopes, as a token has them; left out: it came in by a way that grants none, and policies decide alone.
    pub scopes: Option<String>,
}

/// A resource.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Described {
    /// Its type.
    #[serde(rename = "type")]
    pub ty: String,
    /// Its id.
    pub id: Option<String>,
    /// The patients in whose compartments it is.
    #[serde(default)]
    pub patients: Vec<String>,
    /// It refers to somebody as to a patient whom nobody can name.
    #[serde(default)]
    pub unnamed: bool,
    /// `meta.security`, as `system|code`.
    #[serde(default)]
    pub labels: BTreeSet<String>,
    /// `meta.tag`, as `system|code`.
    #[serde(default)]
    pub tags: BTreeSet<String>,
}

impl Caller {
    /// Of the claims of a token, where most issuers have them.
    ///
    /// # Errors
    /// They are no claims.
    pub fn of_claims(claims: &serde_json::Value) -> Result<Self, String> {
        if !claims.is_object() {
            return Err("the claims of a token are a JSON object".into());
        }
        let text =
            |names: &[&str]| names.iter().find_map(|name| claims.pointer(name)?.as_str().map(str::to_owned));
        let list = |pointer: &str| match claims.pointer(pointer) {
            Some(serde_json::Value::Array(items)) => {
                items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
            }
            Some(serde_json::Value::String(one)) => BTreeSet::from([one.clone()]),
            _ => BTreeSet::new(),
        };
        let scopes: Vec<_> = list("/scope").into_iter().collect();
        Ok(Self {
            issuer: text(&["/iss"]),
            subject: text(&["/sub"]),
            client: text(&["/azp", "/client_id"]),
            roles: list("/realm_access/roles"),
            tenant: text(&["/tenant"]),
            fhir_user: text(&["/fhirUser"]),
            patient: text(&["/patient"]),
            purposes: list("/extensions/ihe_iua/purpose_of_use"),
            scopes: Some(scopes.join(" ")),
        })
    }

    /// The principal.
    ///
    /// # Errors
    /// A value has not its form.
    pub fn principal(&self) -> Result<Principal, String> {
        let id = |text: &str| Id::parse(text.strip_prefix("Patient/").unwrap_or(text));
        let patient = self.patient.as_deref().map(|text| id(text).ok_or("patient: no id")).transpose()?;
        let fhir_user = self.fhir_user.as_deref().map(|text| {
            let mut parts = text.rsplit('/');
            let (last, ty) = (parts.next().and_then(Id::parse), parts.next().and_then(ResourceType::parse));
            ty.zip(last).ok_or("fhir_user: write Practitioner/123")
        });
        let fhir_user = fhir_user.transpose()?;
        let own = |(ty, id): &(ResourceType, Id)| (*ty == ResourceType::Patient).then(|| id.clone());
        Ok(Principal {
            issuer: self.issuer.as_deref().unwrap_or("https://issuer.example").into(),
            subject: self.subject.as_deref().unwrap_or("somebody").into(),
            client: self.client.as_deref().map(Into::into),
            roles: self.roles.clone(),
            tenant: self.tenant.clone(),
            patient: patient.or_else(|| fhir_user.as_ref().and_then(own)),
            fhir_user,
            purposes: self.purposes.clone(),
            scopes: self.scopes.as_deref().map(Scopes::parse),
            bound_to: None,
            expires: None,
        })
    }
}

impl Described {
    /// The resource.
    ///
    /// # Errors
    /// A value has not its form.
    pub fn resource(&self) -> Result<Resource, String> {
        let id = |text: &String| Id::parse(text).ok_or_else(|| "an id is not one".to_owned());
        Ok(Resource {
            resource_type: ResourceType::parse(&self.ty)
                .ok_or_else(|| format!("there is no type {:?}", self.ty))?,
            id: self.id.as_ref().map(id).transpose()?,
            patients: self.patients.iter().map(id).collect::<Result<_, _>>()?,
            unnamed: self.unnamed,
            labels: self.labels.clone(),
            tags: self.tags.clone(),
        })
    }
}

/// A request, of its line: `GET /Observation?code=x`.
///
/// # Errors
/// It is none.
pub fn request(line: &str) -> Result<Request, String> {
    let (method, target) = line.trim().split_once(' ').ok_or("a request is written GET /Patient/1")?;
    let target = target.trim();
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let content_type = match method {
        "PATCH" => Some("application/json-patch+json"),
        "POST" if path.ends_with("/_search") => Some("application/x-www-form-urlencoded"),
        "POST" | "PUT" => Some("application/fhir+json"),
        _ => None,
    };
    let head = Head { method, path, query, content_type, ..Head::default() };
    parse(&head).map_err(|refusal| refusal.message)
}

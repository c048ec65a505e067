//! Callers, requests and resources as policies see them (`policies/fhir.cedarschema`).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::SystemTime;

use cedar_policy::{Context, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression as Value};
use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::{Interaction, Request};

use super::schema;
use crate::decision::{Action, Resource};
use crate::principal::Principal;

/// A value that policies cannot be asked with. It means that nothing is permitted.
#[derive(Debug, Clone, thiserror::Error)]
#[error("policies cannot be asked: {0}")]
pub(super) struct NotAsked(String);

impl NotAsked {
    /// Why, without the value.
    pub(super) fn because(message: String) -> Self {
        Self(message)
    }

    /// The same of an error.
    pub(super) fn new(error: impl std::error::Error) -> Self {
        Self(error.to_string())
    }
}

/// The caller.
pub(super) fn caller(principal: &Principal) -> Result<Entity, NotAsked> {
    let mut attributes = HashMap::from([
        ("issuer".to_owned(), text(&principal.issuer)),
        ("subject".to_owned(), text(&principal.subject)),
    ]);
    let fhir_user = principal.fhir_user.as_ref().map(|(ty, id)| format!("{ty}/{id}"));
    for (name, value) in [
        ("client", principal.client.as_deref()),
        ("tenant", principal.tenant.as_deref()),
        ("fhirUser", fhir_user.as_deref()),
        ("patient", principal.patient.as_ref().map(|id| id.as_str())),
    ] {
        attributes.extend(value.map(|value| (name.to_owned(), text(value))));
    }
    let roles = principal.roles.iter().map(|role| uid("Role", role)).collect::<Result<_, _>>()?;
    // Two issuers may know one subject each by the same name.
    let name = format!("{}|{}", principal.issuer, principal.subject);
    Entity::new(uid("Caller", &name)?, attributes, roles).map_err(NotAsked::new)
}

/// The action, in its groups.
pub(super) fn action(action: &Action) -> Result<Entity, NotAsked> {
    let name = schema::name(action);
    let groups = schema::groups(name).iter().map(|group| uid("Action", group));
    Ok(Entity::new_no_attrs(uid("Action", name)?, groups.collect::<Result<_, _>>()?))
}

/// A resource of which nothing is known, or nothing but its type.
pub(super) fn any_resource(ty: Option<ResourceType>) -> Result<Entity, NotAsked> {
    Ok(Entity::new_no_attrs(uid("Resource", "")?, types(ty)?))
}

/// A resource.
pub(super) fn resource(resource: &Resource, tenant: Option<&str>) -> Result<Entity, NotAsked> {
    let set = |values: &BTreeSet<String>| Value::new_set(values.iter().map(|value| text(value)));
    let mut attributes = HashMap::from([
        ("patients".to_owned(), Value::new_set(resource.patients.iter().map(|id| text(id.as_str())))),
        ("unnamed".to_owned(), Value::new_bool(resource.unnamed)),
        ("labels".to_owned(), set(&resource.labels)),
        ("tags".to_owned(), set(&resource.tags)),
    ]);
    attributes.extend(resource.id.as_ref().map(|id| ("id".to_owned(), text(id.as_str()))));
    attributes.extend(tenant.map(|tenant| ("tenant".to_owned(), text(tenant))));
    let name = resource.id.as_ref().map(|id| format!("{}/{id}", resource.resource_type));
    let uid = uid("Resource", name.as_deref().unwrap_or_default())?;
    Entity::new(uid, attributes, types(Some(resource.resource_type))?).map_err(NotAsked::new)
}

/// How it is asked for.
pub(super) fn context(
    principal: &Principal,
    request: &Request,
    now: SystemTime,
) -> Result<Context, NotAsked> {
    let names = request.parameters.iter().map(|(name, _)| text(name));
    let code = Value::new_entity_uid(uid("Interaction", request.interaction.code())?);
    let mut pairs = vec![
        ("interaction".to_owned(), code),
        ("parameters".to_owned(), Value::new_set(names)),
        ("purposes".to_owned(), Value::new_set(principal.purposes.iter().map(|purpose| text(purpose)))),
        ("time".to_owned(), Value::new_datetime(humantime::format_rfc3339_millis(now).to_string())),
    ];
    if let Interaction::Operation { name, .. } = &request.interaction {
        pairs.push(("operation".to_owned(), text(name.as_str())));
    }
    Context::from_pairs(pairs).map_err(NotAsked::new)
}

/// The tenant that a resource belongs to, by its tag of this system. None: it has none, or several.
pub(super) fn tenant<'a>(resource: &'a Resource, system: Option<&str>) -> Option<&'a str> {
    let system = system?;
    let mut codes = resource.tags.iter().filter_map(|tag| tag.strip_prefix(system)?.strip_prefix('|'));
    let first = codes.next()?;
    codes.next().is_none().then_some(first)
}

fn types(ty: Option<ResourceType>) -> Result<HashSet<EntityUid>, NotAsked> {
    ty.map(|ty| uid("Type", ty.as_str())).into_iter().collect()
}

fn uid(ty: &str, id: &str) -> Result<EntityUid, NotAsked> {
    let ty: EntityTypeName = ty.parse().map_err(NotAsked::new)?;
    Ok(EntityUid::from_type_name_and_id(ty, EntityId::new(id)))
}

fn text(text: &str) -> Value {
    Value::new_string(text.to_owned())
}

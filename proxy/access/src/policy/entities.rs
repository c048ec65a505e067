//! Callers, requests and resources as policies see them (`policies/fhir.cedarschema`).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;
use std::time::SystemTime;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression as Value,
};
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

/// What policies are asked about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which<'r> {
    /// A resource of which nothing is known, or nothing but its type.
    Any(Option<ResourceType>),
    /// A resource, and the tenant that it belongs to.
    This(&'r Resource, Option<&'r str>),
}

/// Who asks, as policies see it that do not ask for its roles.
#[derive(Debug)]
pub(super) struct Caller(Entity);

/// What policies are asked with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asking<'a> {
    pub(super) principal: &'a Principal,
    pub(super) caller: &'a Caller,
    pub(super) action: &'a Action,
    pub(super) which: Which<'a>,
    pub(super) context: &'a Context,
    /// Whether to say in which groups all of them are.
    pub(super) groups: bool,
}

impl Caller {
    /// The caller.
    pub(super) fn new(principal: &Principal) -> Result<Self, NotAsked> {
        caller(principal, HashSet::new()).map(Self)
    }
}

impl Asking<'_> {
    /// In Cedar's words. Entities that have neither attributes nor groups are left out: Cedar takes them for such.
    pub(super) fn in_words(self) -> Result<(cedar_policy::Request, Entities), NotAsked> {
        let action = uid(Name::Action, schema::name(self.action))?;
        let which = self.which.uid()?;
        let mut entities = Vec::with_capacity(3);
        if self.groups {
            let roles = self.principal.roles.iter().map(|role| uid(Name::Role, role));
            entities.push(caller(self.principal, roles.collect::<Result<_, _>>()?)?);
            let groups =
                schema::groups(schema::name(self.action)).iter().map(|group| uid(Name::Action, group));
            entities.push(Entity::new_no_attrs(action.clone(), groups.collect::<Result<_, _>>()?));
        } else {
            entities.push(self.caller.0.clone());
        }
        entities.extend(self.which.entity(&which, self.groups)?);
        let caller = self.caller.0.uid();
        let request = cedar_policy::Request::new(caller, action, which, self.context.clone(), None);
        let entities = Entities::from_entities(entities, None).map_err(NotAsked::new)?;
        Ok((request.map_err(NotAsked::new)?, entities))
    }
}

impl Which<'_> {
    fn uid(self) -> Result<EntityUid, NotAsked> {
        let name = match self {
            Self::This(Resource { id: Some(id), resource_type, .. }, _) => format!("{resource_type}/{id}"),
            Self::This(Resource { id: None, .. }, _) | Self::Any(_) => String::new(),
        };
        uid(Name::Resource, &name)
    }

    /// None: it has neither attributes nor groups.
    fn entity(self, uid: &EntityUid, groups: bool) -> Result<Option<Entity>, NotAsked> {
        let of = |ty: Option<ResourceType>| types(ty.filter(|_| groups));
        let (resource, tenant) = match self {
            Self::Any(ty) => {
                return Ok(if groups { Some(Entity::new_no_attrs(uid.clone(), of(ty)?)) } else { None });
            }
            Self::This(resource, tenant) => (resource, tenant),
        };
        let set = |values: &BTreeSet<String>| Value::new_set(values.iter().map(|value| text(value)));
        let mut attributes = HashMap::from([
            ("patients".to_owned(), Value::new_set(resource.patients.iter().map(|id| text(id.as_str())))),
            ("unnamed".to_owned(), Value::new_bool(resource.unnamed)),
            ("labels".to_owned(), set(&resource.labels)),
            ("tags".to_owned(), set(&resource.tags)),
        ]);
        attributes.extend(resource.id.as_ref().map(|id| ("id".to_owned(), text(id.as_str()))));
        attributes.extend(tenant.map(|tenant| ("tenant".to_owned(), text(tenant))));
        let entity = Entity::new(uid.clone(), attributes, of(Some(resource.resource_type))?);
        entity.map(Some).map_err(NotAsked::new)
    }
}

/// How it is asked for, and when, if somebody wants to know: Cedar takes long to read a time.
pub(super) fn context(
    principal: &Principal,
    request: &Request,
    now: Option<SystemTime>,
) -> Result<Context, NotAsked> {
    let names = request.parameters.iter().map(|(name, _)| text(name));
    let code = Value::new_entity_uid(uid(Name::Interaction, request.interaction.code())?);
    let mut pairs = vec![
        ("interaction".to_owned(), code),
        ("parameters".to_owned(), Value::new_set(names)),
        ("purposes".to_owned(), Value::new_set(principal.purposes.iter().map(|purpose| text(purpose)))),
    ];
    if let Some(now) = now {
        let time = Value::new_datetime(humantime::format_rfc3339_millis(now).to_string());
        pairs.push(("time".to_owned(), time));
    }
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

fn caller(principal: &Principal, roles: HashSet<EntityUid>) -> Result<Entity, NotAsked> {
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
    // Two issuers may know one subject each by the same name.
    let name = format!("{}|{}", principal.issuer, principal.subject);
    Entity::new(uid(Name::Caller, &name)?, attributes, roles).map_err(NotAsked::new)
}

fn types(ty: Option<ResourceType>) -> Result<HashSet<EntityUid>, NotAsked> {
    ty.map(|ty| uid(Name::Type, ty.as_str())).into_iter().collect()
}

/// The types of entities in the schema.
#[derive(Debug, Clone, Copy)]
enum Name {
    Caller,
    Role,
    Action,
    Resource,
    Type,
    Interaction,
}

fn uid(name: Name, id: &str) -> Result<EntityUid, NotAsked> {
    // Cedar takes longer to parse one of these names than to compare two entities.
    static NAMES: LazyLock<Result<[EntityTypeName; 6], NotAsked>> = LazyLock::new(|| {
        let parsed = |name: &str| name.parse().map_err(NotAsked::new);
        Ok([
            parsed("Caller")?,
            parsed("Role")?,
            parsed("Action")?,
            parsed("Resource")?,
            parsed("Type")?,
            parsed("Interaction")?,
        ])
    });
    let names = NAMES.as_ref().map_err(Clone::clone)?;
    let name = names.get(name as usize).ok_or_else(|| NotAsked::because("no such type".into()))?;
    Ok(EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id)))
}

fn text(text: &str) -> Value {
    Value::new_string(text.to_owned())
}

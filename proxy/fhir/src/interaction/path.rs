//! The path below the base, decoded once and split (design §6).

use super::{Id, OperationName, OperationScope, Refusal, refusal::shown};
use crate::ResourceType;

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Base,
    Metadata,
    SystemHistory,
    SystemSearch,
    Operation { scope: OperationScope, name: OperationName },
    Type { ty: ResourceType },
    TypeHistory { ty: ResourceType },
    TypeSearch { ty: ResourceType },
    Instance { ty: ResourceType, id: Id },
    InstanceHistory { ty: ResourceType, id: Id },
    Version { ty: ResourceType, id: Id, version: Id },
    Compartment { compartment: ResourceType, id: Id, ty: Option<ResourceType> },
    CompartmentSearch { compartment: ResourceType, id: Id, ty: Option<ResourceType> },
}

impl Route {
    /// Reads the path as it came after the route's prefix.
    pub(super) fn parse(path: &str) -> Result<Self, Refusal> {
        let segments = segments(path)?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments[..] {
            [] => return Ok(Self::Base),
            ["metadata"] => return Ok(Self::Metadata),
            ["_history"] => return Ok(Self::SystemHistory),
            ["_search"] => return Ok(Self::SystemSearch),
            [name] if name.starts_with('$') => return operation(OperationScope::System, name),
            _ => {}
        }
        let ty = ResourceType::parse(segments[0]).ok_or_else(|| {
            Refusal::no_route(format!("`{}` is not an R4 resource type", shown(segments[0])))
        })?;
        let id = |text: &str| {
            Id::parse(text)
                .ok_or_else(|| Refusal::invalid("an id has 1 to 64 letters, digits, `-` and `.`".to_owned()))
        };
        match segments[1..] {
            [] => Ok(Self::Type { ty }),
            ["_history"] => Ok(Self::TypeHistory { ty }),
            ["_search"] => Ok(Self::TypeSearch { ty }),
            [name] if name.starts_with('$') => operation(OperationScope::Type { ty }, name),
            [instance] => Ok(Self::Instance { ty, id: id(instance)? }),
            [instance, "_history"] => Ok(Self::InstanceHistory { ty, id: id(instance)? }),
            [instance, "_history", version] => {
                Ok(Self::Version { ty, id: id(instance)?, version: id(version)? })
            }
            [instance, name] if name.starts_with('$') => {
                operation(OperationScope::Instance { ty, id: id(instance)? }, name)
            }
            [instance, members] => {
                let (compartment, ty) = compartment(ty, members)?;
                Ok(Self::Compartment { compartment, id: id(instance)?, ty })
            }
            [instance, members, "_search"] => {
                let (compartment, ty) = compartment(ty, members)?;
                Ok(Self::CompartmentSearch { compartment, id: id(instance)?, ty })
            }
            _ => Err(no_route()),
        }
    }
}

fn operation(scope: OperationScope, name: &str) -> Result<Route, Refusal> {
    let name = OperationName::parse(name)
        .ok_or_else(|| Refusal::no_route(format!("`{}` is not the name of an operation", shown(name))))?;
    Ok(Route::Operation { scope, name })
}

/// The five compartments of R4 (compartmentdefinition.html), and whom of their members a search is for.
fn compartment(owner: ResourceType, members: &str) -> Result<(ResourceType, Option<ResourceType>), Refusal> {
    use ResourceType::{Device, Encounter, Patient, Practitioner, RelatedPerson};
    if !matches!(owner, Device | Encounter | Patient | Practitioner | RelatedPerson) {
        return Err(no_route());
    }
    match (members, ResourceType::parse(members)) {
        ("*", _) => Ok((owner, None)),
        (_, Some(ty)) => Ok((owner, Some(ty))),
        (_, None) => Err(Refusal::no_route(format!("`{}` is not an R4 resource type", shown(members)))),
    }
}

fn no_route() -> Refusal {
    Refusal::no_route("FHIR R4 has no such path")
}

/// Splits and decodes. Servers behind us collapse, strip and decode what they like, so nothing that two of
/// them could read differently passes.
fn segments(path: &str) -> Result<Vec<String>, Refusal> {
    if path.is_empty() || path == "/" {
        return Ok(Vec::new());
    }
    let path = path.strip_prefix('/').ok_or_else(|| Refusal::invalid("a path starts with `/`"))?;
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/').map(segment).collect()
}

fn segment(raw: &str) -> Result<String, Refusal> {
    let mut segment = String::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if unreserved(byte) || matches!(byte, b'$' | b'*') {
            segment.push(char::from(byte));
            continue;
        }
        if byte != b'%' {
            return Err(Refusal::invalid("the path has a character that FHIR paths do not have"));
        }
        let decoded = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok()).and_then(hex_byte);
        let Some(decoded) = decoded.filter(|byte| unreserved(*byte)) else {
            return Err(Refusal::invalid(
                "only letters, digits, `-`, `.`, `_` and `~` may be percent-encoded in a path",
            ));
        };
        segment.push(char::from(decoded));
        rest = &tail[2..];
    }
    match segment.as_str() {
        "" => Err(Refusal::invalid("the path has an empty segment")),
        "." | ".." => Err(Refusal::invalid("the path has a dot segment")),
        _ => Ok(segment),
    }
}

fn hex_byte(hex: &str) -> Option<u8> {
    let digits = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    if digits { u8::from_str_radix(hex, 16).ok() } else { None }
}

//! Search parameters that touch other resources than those searched for (R4 search.html §3.1.1.3–5).

use std::collections::BTreeSet;

use fireguard_fhir::ResourceType;
use fireguard_fhir::interaction::Refusal;
use fireguard_fhir::outcome::IssueCode;
use fireguard_fhir::parameters::{Parameters, split_name};
use fireguard_fhir::r4::{Targets, reference_targets, search_parameter};

/// One parameter that touches resources of other types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// What for.
    pub used: Use,
    /// Which.
    pub touches: Touched,
}

/// What a search does with resources that it was not asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// It shows them.
    Shown,
    /// It finds by them without showing them, so it tells of them by what it finds.
    Looked,
    /// The same, by `_has` on what is searched for, and by a plain parameter: `_has:Type:reference:name`.
    Has {
        /// What refers to it.
        resource_type: ResourceType,
        /// By which parameter.
        reference: String,
        /// What is searched for there.
        name: String,
    },
}

/// Resources of which types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    /// Of whatever type: nobody can tell.
    Any,
    /// Of these.
    Types(BTreeSet<ResourceType>),
}

/// Every join among the parameters of a search for resources of this type; none: of any.
///
/// # Errors
/// 400: one has not the form that R4 gives it.
pub fn joins(ty: Option<ResourceType>, parameters: &Parameters) -> Result<Vec<Join>, Refusal> {
    let mut found = Vec::new();
    for (name, value) in parameters.iter() {
        match split_name(name).0 {
            "_include" => found.push(shown(included(value)?)),
            "_revinclude" => found.push(shown(including(value)?)),
            "_sort" => {
                for key in value.split(',').map(|key| key.trim().trim_start_matches('-')) {
                    if key.contains(['.', ':']) {
                        found.push(looked(Touched::Any));
                    }
                }
            }
            "_list" => found.push(looked(one(ResourceType::List))),
            // They may say anything.
            "_filter" | "_query" | "_contained" | "_containedType" => found.push(looked(Touched::Any)),
            _ => by_name(ty, name, 0, &mut found)?,
        }
    }
    Ok(found)
}

/// `_has` and chains may nest this deep.
const DEEPEST: usize = 8;

/// What the name of a parameter touches: chains and `_has`.
fn by_name(ty: Option<ResourceType>, name: &str, depth: usize, found: &mut Vec<Join>) -> Result<(), Refusal> {
    if depth > DEEPEST {
        return Err(Refusal::new(400, IssueCode::TooCostly, "a chain of parameters is too long"));
    }
    if split_name(name).0 == "_has" {
        let mut parts = name.splitn(4, ':').skip(1);
        let (Some(source), Some(reference), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(malformed("`_has` is written `_has:Type:reference:parameter`"));
        };
        let source = ResourceType::parse(source).ok_or_else(|| malformed("`_has` names no type of R4"))?;
        let plain = depth == 0 && !rest.contains('.') && split_name(rest).0 != "_has";
        let used = if plain {
            Use::Has { resource_type: source, reference: reference.to_owned(), name: rest.to_owned() }
        } else {
            Use::Looked
        };
        found.push(Join { used, touches: one(source) });
        return by_name(Some(source), rest, depth + 1, found);
    }
    let Some((hop, rest)) = name.split_once('.') else { return Ok(()) };
    let (parameter, target) = split_name(hop);
    let targets = match (target, ty) {
        (Some(target), _) => ResourceType::parse(target).map(|target| BTreeSet::from([target])),
        (None, Some(ty)) => reference_targets(ty, parameter).and_then(|targets| untyped(targets, rest)),
        (None, None) => None,
    };
    let Some(targets) = targets else {
        found.push(looked(Touched::Any));
        return Ok(());
    };
    found.push(looked(Touched::Types(targets.clone())));
    for target in targets {
        by_name(Some(target), rest, depth + 1, found)?;
    }
    Ok(())
}

/// The types that a chain without one leads to: those that have the parameter behind it. None: any.
fn untyped(targets: Targets, rest: &str) -> Option<BTreeSet<ResourceType>> {
    let Targets::Of(types) = targets else { return None };
    let next = rest.split([':', '.']).next().unwrap_or_default();
    let having: BTreeSet<_> =
        types.iter().copied().filter(|ty| next == "_has" || search_parameter(*ty, next).is_some()).collect();
    Some(if having.is_empty() { types.iter().copied().collect() } else { having })
}

/// `_include=Type:parameter[:Target]`: what it leads to, and where it starts, which may be included itself.
fn included(value: &str) -> Result<Touched, Refusal> {
    let Some(Included { source, parameter, target }) = parts(value)? else { return Ok(Touched::Any) };
    let mut types = BTreeSet::from([source]);
    match (target, reference_targets(source, parameter)) {
        (Some(target), _) => {
            types.insert(target);
        }
        (None, Some(Targets::Of(targets))) => types.extend(targets),
        (None, Some(Targets::Any) | None) => return Ok(Touched::Any),
    }
    Ok(Touched::Types(types))
}

/// `_revinclude=Type:parameter[:Target]`: resources of that type.
fn including(value: &str) -> Result<Touched, Refusal> {
    Ok(parts(value)?.map_or(Touched::Any, |included| one(included.source)))
}

/// The value of `_include` or `_revinclude`.
struct Included<'a> {
    source: ResourceType,
    parameter: &'a str,
    target: Option<ResourceType>,
}

/// None: everything.
fn parts(value: &str) -> Result<Option<Included<'_>>, Refusal> {
    let malformed =
        || malformed("`_include` and `_revinclude` are written `Type:parameter`, or `Type:parameter:Type`");
    if value == "*" {
        return Ok(None);
    }
    let mut parts = value.split(':');
    let source = parts.next().and_then(ResourceType::parse).ok_or_else(malformed)?;
    let parameter = parts.next().filter(|name| !name.is_empty()).ok_or_else(malformed)?;
    let target = parts.next().filter(|target| !target.is_empty());
    let target = target.map(|target| ResourceType::parse(target).ok_or_else(malformed)).transpose()?;
    if parts.next().is_some() {
        return Err(malformed());
    }
    Ok(Some(Included { source, parameter, target }))
}

fn shown(touches: Touched) -> Join {
    Join { used: Use::Shown, touches }
}

fn looked(touches: Touched) -> Join {
    Join { used: Use::Looked, touches }
}

fn one(ty: ResourceType) -> Touched {
    Touched::Types(BTreeSet::from([ty]))
}

fn malformed(message: &'static str) -> Refusal {
    Refusal::new(400, IssueCode::Invalid, message)
}

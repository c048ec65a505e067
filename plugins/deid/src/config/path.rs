//! Paths of rules, checked name by name against R4's type table.

use std::collections::BTreeSet;

use fireguard_sdk::fhir::r4::{Element, ResourceType, TypeId};

use super::source::{nearest, shown};
use crate::rules::{Method, Scope, Selection};

/// Types that hold nothing but dates: shifting them leaves nothing in clear.
const DATES: [&str; 5] = ["date", "dateTime", "instant", "Period", "Timing"];

/// A path, and the types that the nodes it selects may have.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) scope: Scope,
    pub(super) selection: Selection,
    ends: Vec<TypeId>,
}

/// Reads a path: `Type`, `Type.name.name`, `nodesByType('Type')`, `nodesByType('Type').name`, the latter
/// two also with a resource type before them. Or says what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Path, String> {
    let text = text.trim();
    let Some((prefix, node_type, names)) = split(text) else { return Err(not_supported(text)) };
    if let Some(node_type) = node_type {
        let scope = if prefix.is_empty() { Scope::Any } else { resource(prefix, names)? };
        return nodes_by_type(scope, node_type, names);
    }
    let scope = resource(prefix, names)?;
    let mut types = match scope {
        Scope::Type(ty) => vec![TypeId::of_resource(ty)],
        Scope::Any => ["Resource", "DomainResource"].into_iter().filter_map(TypeId::of_name).collect(),
    };
    let first = names.split('.').next().unwrap_or_default();
    if scope == Scope::Any && !names.is_empty() && elements(&types, first).is_empty() {
        types = ResourceType::ALL.into_iter().map(TypeId::of_resource).collect();
    }
    let (names, ends) = walk(types, prefix, names)?;
    Ok(Path { scope, selection: Selection::Path(names), ends })
}

impl Path {
    /// Whether a list of values that stay makes sense with this method, for what this path selects.
    pub(super) fn accepts_list(&self, method: Method) -> Result<(), String> {
        if method != Method::Keep {
            return Err("`only` belongs to the method `keep`: it lists the values that stay".to_owned());
        }
        let is_text = |ty: &TypeId| {
            let other =
                matches!(ty.name(), "boolean" | "decimal" | "integer" | "positiveInt" | "unsignedInt");
            (ty.is_primitive() || ty.elements().len() == 0) && !other
        };
        match self.ends.iter().find(|ty| !is_text(ty)) {
            Some(other) => Err(format!("`only` lists texts, and a `{}` is none", other.name())),
            None => Ok(()),
        }
    }

    /// Whether a method does something to everything that this path selects. A node it does nothing to
    /// would be covered all the same, and stay in clear.
    pub(super) fn accepts(&self, method: Method) -> Result<(), String> {
        if method != Method::DateShift {
            return Ok(());
        }
        let mut others: Vec<_> = self.ends.iter().map(|ty| ty.name()).collect();
        others.retain(|name| !DATES.contains(name));
        others.dedup();
        match others.as_slice() {
            [] => Ok(()),
            names => Err(format!(
                "dateShift does nothing to `{}`: it is for date, dateTime, instant, Period and Timing; `nodesByType('dateTime')` selects the dates in other types",
                names.join("`, `")
            )),
        }
    }
}

/// Splits a path into what stands before `nodesByType`, its argument, and the dotted names after; or, where
/// there is none, into the first name and the rest.
fn split(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    if plain(text) {
        let (first, rest) = text.split_once('.').unwrap_or((text, ""));
        let empty = text.split('.').any(str::is_empty);
        return (!empty).then_some((first, None, rest));
    }
    let (prefix, rest) = text.split_once("nodesByType(")?;
    let quote = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let (node_type, rest) = rest[1..].split_once(quote)?;
    let rest = rest.strip_prefix(')')?;
    let prefix = if prefix.is_empty() { prefix } else { prefix.strip_suffix('.')? };
    let names = if rest.is_empty() { rest } else { rest.strip_prefix('.')? };
    let fits =
        plain(prefix) && !prefix.contains('.') && plain(names) && !node_type.is_empty() && plain(node_type);
    let empty = !names.is_empty() && names.split('.').any(str::is_empty);
    (fits && !empty).then_some((prefix, Some(node_type), names))
}

fn not_supported(text: &str) -> String {
    if text.is_empty() {
        "the path is empty".to_owned()
    } else if text.contains("nodesByName") {
        "nodesByName is not supported in this version: name the elements by their paths".to_owned()
    } else if text.contains('|') {
        "a rule has one path: make a rule of each part of the union".to_owned()
    } else if text.contains(" as ") || text.contains(" is ") || text.contains("ofType(") {
        "choosing among the types of an element is not supported in this version: a rule for a choice element covers all its types".to_owned()
    } else if text.replacen("nodesByType(", "", 1).contains('(') {
        "FHIRPath functions and predicates are not supported in this version: a path is names joined by dots"
            .to_owned()
    } else {
        "this is not a path: write `Type.element.element`, `nodesByType('Type')` or `nodesByType('Type').element`"
            .to_owned()
    }
}

/// The resource type that a path starts with.
fn resource(name: &str, names: &str) -> Result<Scope, String> {
    if matches!(name, "Resource" | "DomainResource") {
        return Ok(Scope::Any);
    }
    if let Some(ty) = ResourceType::parse(name) {
        return Ok(Scope::Type(ty));
    }
    let name = shown(name);
    if TypeId::of_name(&name).is_some() {
        let rest = if names.is_empty() { String::new() } else { format!(".{names}") };
        return Err(format!(
            "`{name}` is a data type, not a resource type: write `nodesByType('{name}'){rest}`"
        ));
    }
    match nearest(&name, ResourceType::ALL.iter().map(|ty| ty.as_str())) {
        Some(near) => Err(format!("unknown resource type `{name}`: did you mean `{near}`?")),
        None => Err(format!("a path starts with a resource type or `Resource`, and `{name}` is none")),
    }
}

fn nodes_by_type(scope: Scope, name: &str, names: &str) -> Result<Path, String> {
    let Some(ty) = TypeId::of_name(name) else {
        let known = data_types();
        let name = shown(name);
        return Err(match nearest(&name, known.iter().copied()) {
            Some(near) => format!("unknown type `{name}`: did you mean `{near}`?"),
            None => format!("unknown type `{name}`"),
        });
    };
    if ty.is_resource() {
        return match ResourceType::parse(name) {
            Some(nested) if scope == Scope::Any && names.is_empty() => {
                Ok(Path { scope, selection: Selection::Nested(nested), ends: vec![ty] })
            }
            _ => Err(format!(
                "`{name}` is a resource type: write `{name}.element`, it also applies to nested resources"
            )),
        };
    }
    let (names, ends) = walk(vec![ty], name, names)?;
    Ok(Path { scope, selection: Selection::NodesByType(ty.name(), names), ends })
}

/// Follows dotted names from types that stand for `start`.
fn walk(
    mut types: Vec<TypeId>,
    start: &str,
    names: &str,
) -> Result<(Vec<&'static str>, Vec<TypeId>), String> {
    let mut path: Vec<&'static str> = Vec::new();
    // What leads to the element, for messages.
    let at = |path: &[&str]| [&[start], path].concat().join(".");
    for name in names.split('.').filter(|name| !name.is_empty()) {
        if !path.is_empty() && types.iter().any(|ty| ty.is_resource()) {
            return Err(format!(
                "`{}` holds a resource, and a path does not lead into another resource: write a rule for the type of that resource",
                at(&path)
            ));
        }
        let found = elements(&types, name);
        let Some(first) = found.first() else { return Err(no_element(&types, &at(&path), name)) };
        path.push(first.definition_name);
        types = found.iter().map(|element| element.ty).collect();
        types.sort_unstable();
        types.dedup();
    }
    Ok((path, types))
}

fn elements(types: &[TypeId], name: &str) -> Vec<Element> {
    types.iter().flat_map(|ty| ty.elements()).filter(|element| element.definition_name == name).collect()
}

fn no_element(types: &[TypeId], at: &str, name: &str) -> String {
    let mut all = types.iter().flat_map(|ty| ty.elements());
    if let Some(choice) = all.find(|element| element.json_name == name) {
        return format!(
            "`{at}` has no element `{name}`: the choice element is called `{}`, and a rule for it covers all its types",
            choice.definition_name
        );
    }
    let known: BTreeSet<_> =
        types.iter().flat_map(|ty| ty.elements()).map(|element| element.definition_name).collect();
    let name = shown(name);
    match nearest(&name, known) {
        Some(near) => format!("`{at}` has no element `{name}`: did you mean `{near}`?"),
        None => format!("`{at}` has no element `{name}`"),
    }
}

/// Names of the types that elements have.
fn data_types() -> BTreeSet<&'static str> {
    let mut seen: BTreeSet<_> = ResourceType::ALL.into_iter().map(TypeId::of_resource).collect();
    let mut open: Vec<_> = seen.iter().copied().collect();
    while let Some(ty) = open.pop() {
        open.extend(ty.elements().map(|element| element.ty).filter(|ty| seen.insert(*ty)));
    }
    seen.into_iter().filter(|ty| !ty.is_resource()).map(TypeId::name).collect()
}

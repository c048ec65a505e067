//! Whose resources are, told a second time from the whole tree: slowly, and as the rules are written.

use std::collections::BTreeSet;

use fireguard_access::decision::Resource;
use fireguard_access::resource::{Found, FoundEntry, Unclear};
use fireguard_fhir::interaction::Id;
use fireguard_fhir::{ResourceType, json, r4};
use serde_json::{Map, Value};

/// Both say the same of a text, as a resource and as an entry of a Bundle.
pub fn agrees(text: &[u8]) {
    let sound = json::check(text).is_ok();
    let (resource, entry) = (Found::of(text), FoundEntry::of(text));
    let unsound = |unclear: Option<Unclear>| matches!(unclear, Some(Unclear::Json(_)));
    assert_eq!(unsound(entry.clone().err()), !sound, "{}", String::from_utf8_lossy(text));
    let first = FoundEntry::first(&[text, b"}"].concat());
    if !sound {
        assert!(resource.is_err());
        return;
    }
    let Ok(tree) = serde_json::from_slice::<Value>(text) else { return };
    if let (Some((found, length)), Value::Object(_)) = (first, &tree) {
        assert_eq!((found, length), (entry.clone(), text.trim_ascii_end().len()));
    }

    let told = match &tree {
        Value::Object(members) => Told::default().of_resource(members),
        _ => None,
    };
    same(resource.ok(), told, text);

    let mut told = Told::default();
    told.around(&tree);
    let modes = told.modes.clone();
    let (found, mode) = match entry {
        Ok(FoundEntry { resource, mode }) => (Some(resource), mode),
        Err(_) => (None, None),
    };
    let told = told.finish();
    assert_eq!(found.is_some(), told.is_some(), "{}", String::from_utf8_lossy(text));
    let (Some(found), Some(told)) = (found, told) else { return };
    assert_eq!(found.is_some(), !told.is_empty());
    if found.is_some() {
        same(found, Some(told), text);
    }
    assert_eq!(mode.is_some(), !modes.is_empty());
    assert!(mode.is_none_or(|mode| modes.contains(&mode)));
}

/// A tree may not keep the order of members, nor then that of resources.
fn same(found: Option<Found>, told: Option<Vec<Resource>>, text: &[u8]) {
    let sorted = |resources: Vec<Resource>| {
        let mut all: Vec<_> = resources.iter().map(|resource| format!("{resource:?}")).collect();
        all.sort();
        all
    };
    let found = found.map(|found| sorted(found.all().cloned().collect()));
    assert_eq!(found, told.map(sorted), "{}", String::from_utf8_lossy(text));
}

#[derive(Default)]
struct Told {
    owners: Vec<Owner>,
    modes: Vec<String>,
    unclear: bool,
}

#[derive(Default)]
struct Owner {
    resource_type: Option<ResourceType>,
    id: Option<Id>,
    patients: Vec<(Vec<String>, Id)>,
    unnamed: Vec<Vec<String>>,
    labels: BTreeSet<String>,
    tags: BTreeSet<String>,
    container: Option<usize>,
}

impl Told {
    fn of_resource(mut self, members: &Map<String, Value>) -> Option<Vec<Resource>> {
        self.resource(members, None);
        self.finish()
    }

    /// None: nobody can say.
    fn finish(self) -> Option<Vec<Resource>> {
        let mut resources: Vec<Resource> = Vec::new();
        for owner in self.owners {
            let container = owner.container.map(|container| resources[container].clone());
            resources.push(owner.finish(container)?);
        }
        (!self.unclear).then_some(resources)
    }

    /// Around the resource of an entry.
    fn around(&mut self, value: &Value) {
        match value {
            Value::Array(items) => {
                items
                    .iter()
                    .filter(|item| item.is_object() || item.is_array())
                    .for_each(|item| self.around(item));
            }
            Value::Object(members) => {
                for (name, value) in members {
                    match (name.as_str(), value) {
                        ("resource" | "outcome", Value::Object(inner))
                            if inner.contains_key("resourceType") =>
                        {
                            self.resource(inner, None);
                        }
                        ("resource" | "resourceType", _) => self.unclear = true,
                        (_, Value::Object(_) | Value::Array(_)) => self.around(value),
                        ("mode", Value::String(mode)) => self.modes.push(mode.clone()),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }

    fn resource(&mut self, members: &Map<String, Value>, container: Option<usize>) {
        self.owners.push(Owner { container, ..Owner::default() });
        self.members(members, self.owners.len() - 1, &[]);
    }

    fn members(&mut self, members: &Map<String, Value>, owner: usize, path: &[String]) {
        for (name, value) in members {
            match (name.as_str(), value) {
                ("resourceType", _) if path.is_empty() => {
                    self.owners[owner].resource_type = value.as_str().and_then(ResourceType::parse);
                    self.unclear |= self.owners[owner].resource_type.is_none();
                }
                ("id", _) if path.is_empty() => {
                    self.owners[owner].id = value.as_str().and_then(Id::parse);
                    self.unclear |= self.owners[owner].id.is_none();
                }
                ("reference", Value::String(reference)) => self.owners[owner].refers(path, reference),
                ("resource" | "outcome", Value::Object(inner)) if inner.contains_key("resourceType") => {
                    self.resource(inner, None);
                }
                (_, Value::String(_)) => {}
                _ => {
                    self.unclear |= name == "resourceType";
                    self.below(value, owner, &[path, std::slice::from_ref(name)].concat());
                }
            }
        }
    }

    /// A value at this path.
    fn below(&mut self, value: &Value, owner: usize, path: &[String]) {
        match value {
            Value::Object(members) => {
                self.owners[owner].logical(path, members);
                self.members(members, owner, path);
            }
            Value::Array(items) => {
                for item in items {
                    match item {
                        Value::Object(members) if is(path, "contained") => {
                            self.resource(members, Some(owner))
                        }
                        Value::Object(coding) if is(path, "meta.security") => {
                            self.owners[owner].labels.insert(token(coding));
                        }
                        Value::Object(coding) if is(path, "meta.tag") => {
                            self.owners[owner].tags.insert(token(coding));
                        }
                        _ => self.below(item, owner, path),
                    }
                }
            }
            _ => {}
        }
    }
}

impl Owner {
    fn refers(&mut self, path: &[String], reference: &str) {
        let within = reference.starts_with('#');
        match patient(reference) {
            Some(Some(id)) => self.patients.push((path.to_vec(), id)),
            Some(None) => {}
            None if within && self.container.is_some() => {}
            None => self.unnamed.push(path.to_vec()),
        }
    }

    fn logical(&mut self, path: &[String], members: &Map<String, Value>) {
        let leads = ResourceType::ALL.into_iter().any(|ty| leads(ty, path));
        let other = members.get("type").and_then(Value::as_str).is_some_and(|ty| ty != "Patient");
        if leads && !other && !members.contains_key("reference") && members.contains_key("identifier") {
            self.unnamed.push(path.to_vec());
        }
    }

    fn finish(self, container: Option<Resource>) -> Option<Resource> {
        let resource_type = self.resource_type?;
        // Of a type in nobody's compartment, every reference counts.
        let anywhere = r4::patient_references(resource_type).is_empty();
        let counts = |path: &[String]| anywhere || leads(resource_type, path);
        let mut patients: BTreeSet<Id> =
            self.patients.into_iter().filter(|(path, _)| counts(path)).map(|(_, id)| id).collect();
        let mut unnamed = self.unnamed.iter().any(|path| counts(path));
        match container {
            Some(container) if patients.is_empty() && !unnamed => {
                (patients, unnamed) = (container.patients, container.unnamed);
            }
            None if resource_type == ResourceType::Patient => {
                (patients, unnamed) = (self.id.iter().cloned().collect(), self.id.is_none());
            }
            _ => {}
        }
        let (labels, tags) = (self.labels, self.tags);
        Some(Resource { resource_type, id: self.id, patients, unnamed, labels, tags })
    }
}

fn leads(ty: ResourceType, path: &[String]) -> bool {
    r4::patient_references(ty).iter().any(|known| is(path, known))
}

fn is(path: &[String], known: &str) -> bool {
    known.split('.').eq(path.iter().map(String::as_str))
}

fn token(coding: &Map<String, Value>) -> String {
    let text = |name| coding.get(name).and_then(Value::as_str).unwrap_or_default();
    format!("{}|{}", text("system"), text("code"))
}

/// A patient, or what is none. None: nobody can tell.
fn patient(reference: &str) -> Option<Option<Id>> {
    if reference.starts_with('#') {
        return None;
    }
    let relative = !reference.contains(':') && !reference.starts_with(['/', '?']);
    let path = reference.split(['?', '#']).next()?;
    let mut parts: Vec<&str> = path.split('/').collect();
    if parts.len() >= 4 && parts[parts.len() - 2] == "_history" {
        parts.truncate(parts.len() - 2);
    }
    let [.., ty, id] = parts[..] else { return None };
    let (ty, id) = (ResourceType::parse(ty)?, Id::parse(id)?);
    match ty {
        ResourceType::Patient if relative && parts.len() == 2 => Some(Some(id)),
        ResourceType::Patient => None,
        _ => Some(None),
    }
}

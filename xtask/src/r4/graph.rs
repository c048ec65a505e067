//! The element graph: every data type, resource and backbone element with the elements it holds.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Error,
    definitions::{Definitions, list, text},
};

/// A type that owns elements, in the order in which types get their numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Resource(String),
    /// `DomainResource`, and `Resource`: the type of elements that hold any resource.
    AbstractResource(String),
    Primitive(String),
    Complex(String),
    /// An element with elements of its own, by its path.
    Backbone(String),
}

#[derive(Debug)]
pub(super) struct Element {
    /// The name in the definition: `value[x]` without its brackets for `valueQuantity`.
    pub(super) definition_name: String,
    pub(super) key: Key,
    pub(super) many: bool,
}

#[derive(Debug, Default)]
pub(super) struct Type {
    /// FHIR's name: `BackboneElement` or `Element` where the type has none of its own.
    pub(super) name: String,
    /// By JSON name.
    pub(super) elements: BTreeMap<String, Element>,
}

pub(super) struct Graph {
    pub(super) types: BTreeMap<Key, Type>,
}

/// FHIRPath's own string: ids of elements, `Extension.url`.
const SYSTEM_STRING: &str = "System.String";

impl Graph {
    pub(super) fn build(definitions: &Definitions) -> Result<Self, Error> {
        let mut keys = BTreeMap::new();
        for (name, structure) in &definitions.structures {
            if let Some(key) = named_key(definitions, name, structure) {
                keys.insert(name.as_str(), key);
            }
        }
        let system = Key::Primitive(SYSTEM_STRING.into());
        let mut types = BTreeMap::from([(system, Type { name: SYSTEM_STRING.into(), ..Type::default() })]);
        for (name, key) in &keys {
            types.insert(key.clone(), Type { name: (*name).to_owned(), ..Type::default() });
            Builder { definitions, keys: &keys, types: &mut types, root: name, root_key: key }.build()?;
        }
        Ok(Self { types })
    }

    pub(super) fn resources(&self) -> impl Iterator<Item = &str> {
        self.types.keys().filter_map(|key| match key {
            Key::Resource(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The type at the end of a path of JSON names.
    pub(super) fn resolve(&self, resource: &str, path: &str) -> Option<&Type> {
        let mut at = self.types.get(&Key::Resource(resource.into()))?;
        for name in path.split('.') {
            at = self.types.get(&at.elements.get(name)?.key)?;
        }
        Some(at)
    }
}

fn named_key(definitions: &Definitions, name: &str, structure: &Value) -> Option<Key> {
    let name = name.to_owned();
    match structure["kind"].as_str()? {
        "primitive-type" => Some(Key::Primitive(name)),
        // Narrative's XHTML is a primitive in JSON.
        "complex-type" if name == "xhtml" => Some(Key::Primitive(name)),
        "complex-type" => Some(Key::Complex(name)),
        "resource" if structure["abstract"] == true => Some(Key::AbstractResource(name)),
        "resource" => definitions.is_r4(&format!("{name}.id")).then_some(Key::Resource(name)),
        _ => None,
    }
}

struct Builder<'a> {
    definitions: &'a Definitions,
    keys: &'a BTreeMap<&'a str, Key>,
    types: &'a mut BTreeMap<Key, Type>,
    root: &'a str,
    root_key: &'a Key,
}

impl Builder<'_> {
    fn build(mut self) -> Result<(), Error> {
        let definitions = self.definitions;
        let snapshot = &definitions.structures[self.root]["snapshot"]["element"];
        let mut elements = BTreeMap::new();
        for element in list(snapshot).iter().skip(1) {
            elements.insert(text(&element["path"])?, element);
        }
        let prefix = format!("{}.", self.root);
        let listed = definitions.data_elements.range(prefix.clone()..);
        for (path, element) in listed.take_while(|(path, _)| path.starts_with(&prefix)) {
            // HL7's own definition of the element is the one that counts.
            elements.insert(path, element);
        }
        let containers = self.containers(&elements);
        for (path, element) in elements {
            let Some((parent, name)) = path.rsplit_once('.') else { continue };
            let primitive_value = matches!(self.root_key, Key::Primitive(_)) && name == "value";
            let unwanted = element["max"] == "0" || primitive_value;
            if !unwanted && containers.contains(parent) && self.is_r4(path, element, &containers) {
                self.add(parent, path, name, element)?;
            }
        }
        Ok(())
    }

    /// The paths that own elements and belong to R4, the root among them.
    fn containers(&self, elements: &BTreeMap<&str, &Value>) -> BTreeSet<String> {
        let mut containers = BTreeSet::from([self.root.to_owned()]);
        for path in elements.keys().filter(|path| self.definitions.is_r4(path)) {
            let mut path = *path;
            while let Some((parent, _)) = path.rsplit_once('.') {
                containers.insert(parent.to_owned());
                path = parent;
            }
        }
        containers
    }

    fn is_r4(&self, path: &str, element: &Value, containers: &BTreeSet<String>) -> bool {
        let inherited = element["base"]["path"].as_str().is_some_and(|base| self.definitions.is_r4(base));
        let refers = element.get("contentReference").is_some();
        self.definitions.is_r4(path) || inherited || refers || containers.contains(path)
    }

    fn add(&mut self, parent: &str, path: &str, name: &str, element: &Value) -> Result<(), Error> {
        let parent = self.owner(parent);
        let many = element["max"] != "1";
        if let Some(reference) = element["contentReference"].as_str() {
            let key = self.owner(reference.trim_start_matches('#'));
            return self.insert(parent, name.to_owned(), Element { definition_name: name.into(), key, many });
        }
        let types = list(&element["type"]);
        let Some(definition_name) = name.strip_suffix("[x]") else {
            let [only] = types else {
                return Err(Error::Definition(format!("{path} has {} types", types.len())));
            };
            let key = self.key(path, only)?;
            return self.insert(parent, name.to_owned(), Element { definition_name: name.into(), key, many });
        };
        for choice in types {
            let code = text(&choice["code"])?;
            let json_name = format!("{definition_name}{}{}", code[..1].to_uppercase(), &code[1..]);
            let key = self.key(path, choice)?;
            let element = Element { definition_name: definition_name.into(), key, many };
            self.insert(parent.clone(), json_name, element)?;
        }
        Ok(())
    }

    fn insert(&mut self, parent: Key, json_name: String, element: Element) -> Result<(), Error> {
        let Some(owner) = self.types.get_mut(&parent) else {
            return Err(Error::Definition(format!("{parent:?} comes after its elements")));
        };
        owner.elements.insert(json_name, element);
        Ok(())
    }

    /// The type that owns the elements below a path.
    fn owner(&self, path: &str) -> Key {
        if path == self.root { self.root_key.clone() } else { Key::Backbone(path.to_owned()) }
    }

    fn key(&mut self, path: &str, ty: &Value) -> Result<Key, Error> {
        let code = text(&ty["code"])?;
        if code.starts_with("http://hl7.org/fhirpath/") {
            // The definitions give R4's `Resource.id` as a string; every R4 model has it as an id.
            let resource = matches!(self.root_key, Key::Resource(_) | Key::AbstractResource(_));
            let id = resource && path.matches('.').count() == 1;
            return Ok(Key::Primitive(if id { "id" } else { SYSTEM_STRING }.into()));
        }
        if matches!(code, "BackboneElement" | "Element") {
            let key = Key::Backbone(path.to_owned());
            self.types.insert(key.clone(), Type { name: code.to_owned(), ..Type::default() });
            return Ok(key);
        }
        self.keys.get(code).cloned().ok_or_else(|| Error::Definition(format!("{path}: unknown type {code}")))
    }
}

//! Finding what identifies people. By shape, not by a type table: what it finds must not depend on the
//! code that it is used to test.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::{Map, Value};

use super::{Kind, Marker};

/// Their names, addresses, numbers and identifiers are public.
const NOT_PEOPLE: [&str; 5] = ["Organization", "Location", "Endpoint", "HealthcareService", "InsurancePlan"];
/// A Reference to one of them may show a name.
const PEOPLE: [&str; 4] = ["Patient", "Person", "Practitioner", "RelatedPerson"];
const NAME_EXTENSIONS: [&str; 4] = [
    "/patient-mothersMaidenName",
    "/humanname-own-name",
    "/humanname-partner-name",
    "/humanname-fathers-family",
];
/// Shorter names occur inside other things by chance.
const SHORTEST_NAME: usize = 4;
const SHORTEST_IDENTIFIER: usize = 4;

/// The markers of these resources or Bundles, each text once.
pub(super) fn collect<'a>(resources: impl IntoIterator<Item = &'a Value>) -> Vec<Marker> {
    let mut collector = Collector::default();
    for resource in resources {
        collector.visit(resource, "");
    }
    collector.finish()
}

#[derive(Debug, Default)]
struct Collector {
    /// The type of the first resource that has a text, by kind and text.
    found: BTreeMap<(Kind, String), String>,
    /// Words of codes, of what they mean, and of member names, in lower case: no evidence of a person.
    ordinary: HashSet<String>,
    /// Name parts that are markers unless they are ordinary words.
    name_parts: BTreeSet<(String, String)>,
}

impl Collector {
    fn visit(&mut self, value: &Value, resource_type: &str) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.visit(item, resource_type)),
            Value::Object(members) => self.visit_object(members, resource_type),
            Value::String(text) => {
                if let Some(host) = internal_host(text) {
                    self.add(Kind::InternalHost, host, resource_type);
                }
            }
            _ => {}
        }
    }

    fn visit_object(&mut self, members: &Map<String, Value>, resource_type: &str) {
        let resource_type = members.get("resourceType").and_then(Value::as_str).unwrap_or(resource_type);
        if resource_type == "CapabilityStatement" {
            // A server's words about itself.
            return members.values().for_each(|member| self.learn_all(member));
        }
        self.learn_ordinary_words(members, resource_type);
        self.take_loose_names(members, resource_type);
        for (name, member) in members {
            if !NOT_PEOPLE.contains(&resource_type) {
                self.take(name, member, resource_type);
            }
            self.visit(member, resource_type);
        }
    }

    fn take(&mut self, name: &str, member: &Value, resource_type: &str) {
        let objects = || one_or_many(member).filter_map(Value::as_object);
        let string = member.as_str().unwrap_or_default();
        match name {
            "name" if resource_type == "FamilyMemberHistory" => self.take_words(string, resource_type),
            "name" => objects().for_each(|name| self.take_name(name, resource_type)),
            "authorString" => self.take_words(string, resource_type),
            "telecom" => {
                for value in objects().filter_map(|contact| text(contact, "value")) {
                    self.add(Kind::Telecom, value, resource_type);
                }
            }
            "address" => {
                let lines = objects().filter_map(|address| address.get("line")).flat_map(one_or_many);
                for line in lines.filter_map(Value::as_str) {
                    self.add(Kind::AddressLine, line, resource_type);
                }
            }
            "identifier" | "masterIdentifier" => {
                for value in objects().filter_map(|identifier| text(identifier, "value")) {
                    self.add_identifier(value, resource_type);
                }
            }
            "subscriberId" => self.add_identifier(string, resource_type),
            "author" | "asserter" | "performer" | "recorder" | "requester" => {
                let bare = objects().filter(|reference| !reference.contains_key("reference"));
                for display in bare.filter_map(|reference| text(reference, "display")) {
                    self.take_words(display, resource_type);
                }
            }
            // A year or a month alone is everywhere.
            "birthDate" | "bornDate" if string.len() == "1931-07-09".len() => {
                self.add(Kind::BirthDate, string, resource_type);
            }
            _ => {}
        }
    }

    /// A HumanName; other types call other things `name`, but none has these members.
    fn take_name(&mut self, name: &Map<String, Value>, resource_type: &str) {
        let parts = |member: &str| {
            let values = name.get(member).into_iter().flat_map(one_or_many);
            values.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
        };
        let (given, family) = (parts("given"), parts("family"));
        for part in given.iter().chain(&family).chain(&parts("text")) {
            self.take_words(part, resource_type);
        }
        if let (Some(given), Some(family)) = (given.first(), family.first()) {
            self.add(Kind::Name, &format!("{given} {family}"), resource_type);
        }
    }

    /// Each word of a text that is nothing but somebody's name.
    fn take_words(&mut self, text: &str, resource_type: &str) {
        for word in text.split_whitespace() {
            let word = word.trim_matches(|c: char| !c.is_alphanumeric());
            if word.chars().count() >= SHORTEST_NAME {
                self.name_parts.insert((word.to_owned(), resource_type.to_owned()));
            }
        }
    }

    /// What a Reference to a person shows, and the extensions that hold a name.
    fn take_loose_names(&mut self, members: &Map<String, Value>, resource_type: &str) {
        let to_person = text(members, "reference").is_some_and(|to| {
            PEOPLE.iter().any(|kind| to.strip_prefix(kind).is_some_and(|id| id.starts_with(['/', '?'])))
        });
        if let Some(display) = text(members, "display").filter(|_| to_person) {
            self.take_words(display, resource_type);
        }
        let holds_name =
            text(members, "url").is_some_and(|url| NAME_EXTENSIONS.iter().any(|name| url.ends_with(name)));
        if let Some(value) = text(members, "valueString").filter(|_| holds_name) {
            self.take_words(value, resource_type);
        }
    }

    fn learn_ordinary_words(&mut self, members: &Map<String, Value>, resource_type: &str) {
        // Not the text beside a coding: that is where people type names.
        let coded = members.contains_key("code") && members.contains_key("system");
        for (name, member) in members {
            self.learn(name);
            let means_something = match name.as_str() {
                "code" | "display" => coded,
                "name" | "alias" => NOT_PEOPLE.contains(&resource_type),
                "system" => member.as_str().and_then(internal_host).is_none(),
                "resourceType" | "status" | "unit" => true,
                _ => false,
            };
            if let Some(text) = member.as_str().filter(|_| means_something) {
                self.learn(text);
            }
        }
    }

    fn learn_all(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.learn(text),
            Value::Array(items) => items.iter().for_each(|item| self.learn_all(item)),
            Value::Object(members) => members.values().for_each(|member| self.learn_all(member)),
            _ => {}
        }
    }

    fn learn(&mut self, text: &str) {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() >= SHORTEST_NAME);
        self.ordinary.extend(words.map(str::to_lowercase));
    }

    fn add_identifier(&mut self, value: &str, resource_type: &str) {
        if value.len() >= SHORTEST_IDENTIFIER {
            self.add(Kind::Identifier, value, resource_type);
        }
    }

    fn add(&mut self, kind: Kind, text: &str, resource_type: &str) {
        let text = text.trim();
        if !text.is_empty() {
            self.found.entry((kind, text.to_owned())).or_insert_with(|| resource_type.to_owned());
        }
    }

    fn finish(mut self) -> Vec<Marker> {
        for (part, resource_type) in std::mem::take(&mut self.name_parts) {
            if !self.ordinary.contains(&part.to_lowercase()) {
                self.add(Kind::Name, &part, &resource_type);
            }
        }
        let marker = |((kind, text), resource_type)| Marker { kind, text, resource_type };
        self.found.into_iter().map(marker).collect()
    }
}

/// The host of an address in a network of one's own (RFC 1918, and the names reserved for it).
fn internal_host(text: &str) -> Option<&str> {
    let host = text.split_once("://")?.1.split(['/', ':', '?', '#']).next()?;
    let reserved = [".internal", ".local", ".lan", ".home.arpa"].iter().any(|name| host.ends_with(name));
    let private = host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_private());
    (reserved || private).then_some(host)
}

fn one_or_many(value: &Value) -> impl Iterator<Item = &Value> {
    match value {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    }
    .iter()
}

fn text<'a>(object: &'a Map<String, Value>, member: &str) -> Option<&'a str> {
    object.get(member).and_then(Value::as_str)
}

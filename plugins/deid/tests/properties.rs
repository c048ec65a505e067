//! Generated resources under generated rules, against a second implementation over trees.
//!
//! The second one works the way the original describes itself: rules one after the other, in file order,
//! each closing what it touches. It knows nothing of automata.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fmt::Write as _;

use common::{applied, load, rules};
use fireguard_sdk::fhir::r4::{Element, ResourceType, TypeId};
use fireguard_sdk::testing::TestHost;
use fireguard_sdk::{Host, Problem};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const TYPES: [ResourceType; 6] = [
    ResourceType::Patient,
    ResourceType::Observation,
    ResourceType::Bundle,
    ResourceType::Condition,
    ResourceType::Questionnaire,
    ResourceType::Parameters,
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn equals_rule_after_rule(seed in any::<u64>()) {
        let mut random = Random(seed);
        let list = generate_rules(&mut random);
        let host = TestHost::new();
        let mut engine = load(&to_text(&list)).unwrap();
        for _ in 0..4 {
            let ty = TYPES[random.below(TYPES.len())];
            let mut marker = 0;
            let resource = generate(&mut random, TypeId::of_resource(ty), 0, &mut marker);
            let text = write(&mut random, &resource);
            let verdict = engine.process(&host, std::slice::from_ref(&text)).remove(0);
            let output = applied(&verdict, &text);
            let mut actual: Value = serde_json::from_slice(&output).unwrap();
            let mut expected = Tree::of_resource(&resource).expect("of a known type");
            expected.apply_all(&list);
            let mut left = Vec::new();
            let expected = expected.into_value(&host, &mut left).unwrap_or_default();
            strip_labels(&mut actual);
            let difference = difference("", &expected, &actual);
            prop_assert!(difference.is_none(), "{}\n{:?}\n{}", difference.unwrap(), list, resource);
            // Markers are unlike anything else: what was redacted or hashed is nowhere.
            let output = actual.to_string();
            for number in 0..marker {
                let text = format!("zq{number}qz");
                prop_assert_eq!(output.contains(&text), left.contains(&text), "{:?} {}\n{}", list, text, resource);
            }
        }
    }
}

#[derive(Debug, Clone)]
struct TestRule {
    scope: Option<ResourceType>,
    by_type: Option<&'static str>,
    names: Vec<&'static str>,
    method: &'static str,
}

impl TestRule {
    fn path(&self) -> String {
        let mut path = match (self.scope, self.by_type) {
            (Some(ty), None) => ty.to_string(),
            (None, None) => "Resource".to_owned(),
            (None, Some(by_type)) => format!("nodesByType('{by_type}')"),
            (Some(ty), Some(by_type)) => format!("{ty}.nodesByType('{by_type}')"),
        };
        for name in &self.names {
            let _ = write!(path, ".{name}");
        }
        path
    }
}

fn to_text(list: &[TestRule]) -> String {
    let paths: Vec<_> = list.iter().map(|rule| (rule.path(), rule.method)).collect();
    let list: Vec<_> = paths.iter().map(|(path, method)| (path.as_str(), *method)).collect();
    rules(&list, json!({}))
}

/// Rules of random paths, without those that the loader finds dead.
fn generate_rules(random: &mut Random) -> Vec<TestRule> {
    let count = 1 + random.below(8);
    let mut list: Vec<TestRule> = (0..count).map(|_| generate_rule(random)).collect();
    let problems: Vec<Problem> = load(&to_text(&list)).err().unwrap_or_default();
    let dead: Vec<usize> =
        problems.iter().map(|problem| problem.pointer.split('/').nth(2).unwrap().parse().unwrap()).collect();
    assert!(
        problems.iter().all(|problem| problem.message.contains("can never apply")),
        "{list:?} {problems:#?}"
    );
    let mut at = 0;
    list.retain(|_| {
        at += 1;
        !dead.contains(&(at - 1))
    });
    list
}

fn generate_rule(random: &mut Random) -> TestRule {
    let method = ["keep", "redact", "redact", "cryptoHash"][random.below(4)];
    let resource = TYPES[random.below(TYPES.len())];
    let mut ty = TypeId::of_resource(resource);
    let mut names = Vec::new();
    let mut by_type = None;
    let steps = random.below(4);
    for _ in 0..steps {
        let elements: Vec<Element> = ty.elements().collect();
        let element = elements[random.below(elements.len())];
        names.push(element.definition_name);
        ty = element.ty;
        if ty.is_resource() {
            break;
        }
        if !matches!(ty.name(), "System.String" | "BackboneElement" | "Element") && random.below(3) == 0 {
            by_type = Some(ty.name());
            names.clear();
        }
        if ty.elements().len() == 0 {
            break;
        }
    }
    let scope = match (by_type, names.is_empty()) {
        (Some(_), _) if random.below(3) > 0 => None,
        (None, true) if random.below(2) == 0 => None,
        _ => Some(resource),
    };
    TestRule { scope, by_type, names, method }
}

/// A resource, or a value of another type, with a marker in every string.
fn generate(random: &mut Random, ty: TypeId, depth: usize, marker: &mut usize) -> Value {
    let mut object = Map::new();
    if ty.is_resource() {
        object.insert("resourceType".into(), ty.name().into());
    }
    let elements: Vec<Element> = ty.elements().collect();
    let wanted = if depth > 4 { 1 } else { 1 + random.below(6) };
    for _ in 0..wanted {
        let element = elements[random.below(elements.len())];
        // Labels are added there; what is compared are the rules.
        let sibling = format!("_{}", element.json_name);
        let present = object.contains_key(element.json_name) || object.contains_key(&sibling);
        if element.definition_name == "meta" || present {
            continue;
        }
        if element.ty.name() == "Resource" && depth > 3 {
            continue;
        }
        if element.ty.is_primitive() || element.ty.name() == "System.String" {
            let count = if element.many { 1 + random.below(3) } else { 1 };
            let value = |random: &mut Random, marker: &mut usize| match (ty.name(), element.json_name) {
                // Nothing else stays there.
                ("SampledData", "data") => json!("1.5 -2 E"),
                _ => primitive(random, element.ty, marker),
            };
            let values: Vec<Value> = (0..count).map(|_| value(random, marker)).collect();
            let has_sibling = random.below(5) == 0 && element.ty.is_primitive();
            if has_sibling {
                let siblings: Vec<Value> = (0..count)
                    .map(|_| json!({"id": string(marker), "extension": [{"url": string(marker), "valueString": string(marker)}]}))
                    .collect();
                object.insert(sibling, many(element.many, siblings));
            }
            if !has_sibling || random.below(3) > 0 {
                object.insert(element.json_name.into(), many(element.many, values));
            }
        } else if depth < 6 {
            let count = if element.many { 1 + random.below(2) } else { 1 };
            let mut value = || {
                let ty = match element.ty.name() {
                    "Resource" => TypeId::of_resource(TYPES[random.below(TYPES.len())]),
                    _ => element.ty,
                };
                generate(random, ty, depth + 1, marker)
            };
            let values = (0..count).map(|_| value()).collect();
            object.insert(element.json_name.into(), many(element.many, values));
        }
    }
    if random.below(4) == 0 {
        object.insert("unknownToR4".into(), json!({"x": [string(marker)]}));
    }
    if object.is_empty() {
        object.insert("id".into(), string(marker));
    }
    Value::Object(object)
}

fn many(many: bool, mut values: Vec<Value>) -> Value {
    if many { Value::Array(values) } else { values.remove(0) }
}

fn primitive(random: &mut Random, ty: TypeId, marker: &mut usize) -> Value {
    match ty.name() {
        "boolean" => Value::Bool(random.below(2) == 0),
        "decimal" | "integer" | "positiveInt" | "unsignedInt" => json!(random.below(1000)),
        _ => string(marker),
    }
}

fn string(marker: &mut usize) -> Value {
    *marker += 1;
    format!("zq{}qz", *marker - 1).into()
}

/// Writes JSON with spaces, and with escapes where none is needed.
fn write(random: &mut Random, value: &Value) -> Vec<u8> {
    fn name(random: &mut Random, name: &str, out: &mut String) {
        out.push('"');
        for character in name.chars() {
            if random.below(12) == 0 {
                let _ = write!(out, "\\u{:04X}", character as u32);
            } else {
                out.push(character);
            }
        }
        out.push('"');
    }
    fn any(random: &mut Random, value: &Value, out: &mut String) {
        let space = ["", "", "", " ", "\n\t"];
        out.push_str(space[random.below(5)]);
        match value {
            Value::Object(members) => {
                out.push('{');
                for (at, (key, value)) in members.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    out.push_str(space[random.below(5)]);
                    name(random, key, out);
                    out.push_str(space[random.below(5)]);
                    out.push(':');
                    any(random, value, out);
                }
                out.push('}');
            }
            Value::Array(elements) => {
                out.push('[');
                for (at, value) in elements.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    any(random, value, out);
                }
                out.push(']');
            }
            Value::String(text) => name(random, text, out),
            other => {
                let _ = write!(out, "{other}");
            }
        }
        out.push_str(space[random.below(5)]);
    }
    let mut out = String::new();
    any(random, value, &mut out);
    out.into_bytes()
}

/// A node of a resource, as the original sees it: a value, children by name, and whether a rule closed it.
#[derive(Debug)]
struct Tree {
    ty: TypeId,
    name: &'static str,
    json_name: &'static str,
    many: bool,
    value: Option<Value>,
    reference: bool,
    children: Vec<Tree>,
    closed: Option<&'static str>,
}

impl Tree {
    fn of_resource(value: &Value) -> Option<Self> {
        let ty = ResourceType::parse(value["resourceType"].as_str()?)?;
        let mut tree = Self::new(TypeId::of_resource(ty), "", "", false);
        tree.add_members(value);
        Some(tree)
    }

    fn new(ty: TypeId, name: &'static str, json_name: &'static str, many: bool) -> Self {
        Self { ty, name, json_name, many, value: None, reference: false, children: Vec::new(), closed: None }
    }

    fn add_members(&mut self, value: &Value) {
        let object = value.as_object().unwrap();
        for element in self.ty.elements() {
            let values = as_many(object.get(element.json_name));
            let siblings = as_many(object.get(&format!("_{}", element.json_name)));
            for at in 0..values.len().max(siblings.len()) {
                let mut ty = element.ty;
                if ty.name() == "Resource" {
                    ty = TypeId::of_resource(
                        ResourceType::parse(values[at]["resourceType"].as_str().unwrap()).unwrap(),
                    );
                }
                let mut child = Self::new(ty, element.definition_name, element.json_name, element.many);
                if ty.is_primitive() || ty.name() == "System.String" {
                    child.value = values.get(at).cloned();
                    child.reference = element.definition_name == "reference" && self.ty.name() == "Reference";
                    if let Some(sibling) = siblings.get(at) {
                        child.add_members(sibling);
                    }
                } else {
                    child.add_members(&values[at]);
                }
                self.children.push(child);
            }
        }
    }

    /// Runs the rules over this resource, then over those inside it.
    fn apply_all(&mut self, list: &[TestRule]) {
        let own = ResourceType::parse(self.ty.name()).unwrap();
        for rule in list.iter().filter(|rule| rule.scope.is_none_or(|scope| scope == own)) {
            match rule.by_type {
                None => self.select(&rule.names, rule.method),
                Some(by_type) => self.select_by_type(by_type, &rule.names, rule.method),
            }
        }
        self.for_nested(&mut |nested| nested.apply_all(list));
    }

    fn select(&mut self, names: &[&str], method: &'static str) {
        match names {
            [] => self.process(method),
            [name, rest @ ..] => {
                for child in self.children.iter_mut().filter(|child| child.name == *name) {
                    child.select(rest, method);
                }
            }
        }
    }

    fn select_by_type(&mut self, ty: &str, names: &[&str], method: &'static str) {
        for child in self.children.iter_mut().filter(|child| !child.ty.is_resource()) {
            if child.ty.name() == ty {
                child.select(names, method);
            }
            child.select_by_type(ty, names, method);
        }
    }

    fn process(&mut self, method: &'static str) {
        if self.closed.is_some() {
            return;
        }
        self.closed = Some(method);
        for child in self.children.iter_mut().filter(|child| !child.ty.is_resource()) {
            child.process(method);
        }
    }

    fn for_nested(&mut self, visit: &mut dyn FnMut(&mut Tree)) {
        for child in &mut self.children {
            if child.ty.is_resource() {
                visit(child);
            } else {
                child.for_nested(visit);
            }
        }
    }

    /// What is left. `left` collects the strings that stay in clear.
    fn into_value(self, host: &TestHost, left: &mut Vec<String>) -> Option<Value> {
        let mut object = Map::new();
        if self.ty.is_resource() {
            object.insert("resourceType".into(), self.ty.name().into());
        }
        let mut lists: Vec<Property> = Vec::new();
        for mut child in self.children {
            let (name, many) = (child.json_name, child.many);
            let primitive = child.ty.is_primitive() || child.ty.name() == "System.String";
            let value = child.value.take().and_then(|value| child.leaf(value, host, left));
            let rest = child.into_value(host, left);
            let (value, sibling) = if primitive { (value, rest) } else { (rest, None) };
            match lists.iter_mut().find(|property| property.name == name) {
                Some(property) => {
                    property.values.push(value);
                    property.siblings.push(sibling);
                }
                None => lists.push(Property { name, many, values: vec![value], siblings: vec![sibling] }),
            }
        }
        for Property { name, many, values, siblings } in lists {
            put(&mut object, name.to_owned(), many, values, false);
            put(&mut object, format!("_{name}"), many, siblings, true);
        }
        (!object.is_empty()).then_some(Value::Object(object))
    }

    fn leaf(&self, value: Value, host: &TestHost, left: &mut Vec<String>) -> Option<Value> {
        match self.closed {
            Some("redact") => None,
            Some("cryptoHash") => {
                let text = match &value {
                    Value::Bool(true) => "True".to_owned(),
                    Value::Bool(false) => "False".to_owned(),
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                host.tokens("", &[text]).unwrap().pop().map(Value::String)
            }
            _ => {
                left.extend(value.as_str().map(str::to_owned));
                Some(value)
            }
        }
    }
}

/// What is left of a property.
struct Property {
    name: &'static str,
    many: bool,
    values: Vec<Option<Value>>,
    siblings: Vec<Option<Value>>,
}

fn as_many(value: Option<&Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(values)) => values.clone(),
        Some(value) => vec![value.clone()],
        None => Vec::new(),
    }
}

/// Puts what is left of a property. Of siblings the places count, of other values they do not: whether a
/// value goes depends on its place in the structure here, so all of an array go or none.
fn put(object: &mut Map<String, Value>, name: String, many: bool, values: Vec<Option<Value>>, places: bool) {
    if values.iter().all(Option::is_none) {
        return;
    }
    let mut values: Vec<Value> = if places {
        values.into_iter().map(Option::unwrap_or_default).collect()
    } else {
        values.into_iter().flatten().collect()
    };
    object.insert(name, if many { Value::Array(values) } else { values.remove(0) });
}

/// The first place where two values differ.
fn difference(path: &str, expected: &Value, actual: &Value) -> Option<String> {
    match (expected, actual) {
        (Value::Object(left), Value::Object(right)) => {
            let names = left.keys().chain(right.keys());
            names.into_iter().find_map(|name| match (left.get(name), right.get(name)) {
                (Some(left), Some(right)) => difference(&format!("{path}.{name}"), left, right),
                (left, right) => Some(format!("{path}.{name}: expected {left:?}, got {right:?}")),
            })
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            left.iter().zip(right).find_map(|(left, right)| difference(path, left, right))
        }
        _ => (expected != actual).then(|| format!("{path}: expected {expected}, got {actual}")),
    }
}

fn strip_labels(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.contains_key("resourceType") {
                members.remove("meta");
            }
            members.values_mut().for_each(strip_labels);
        }
        Value::Array(elements) => elements.iter_mut().for_each(strip_labels),
        _ => {}
    }
}

/// Random numbers from a seed (splitmix64).
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

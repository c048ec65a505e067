//! The peer of the de-identification plugin: a native serde_json tree in which the same places are changed.
//!
//! Which places is found once, by comparing a resource with what the plugin made of it. So the peer matches no
//! rules, which flatters it, and hashes what the plugin hashes. What it writes must equal what the plugin wrote.

use std::collections::HashMap;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

/// What is done to one resource.
#[derive(Debug, Default)]
pub(super) struct Recipe(Vec<Edit>);

#[derive(Debug)]
struct Edit {
    /// JSON Pointer of the object or array that is changed.
    parent: String,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Remove(String),
    Set(String, Value),
    /// A part of the string at this key becomes its token.
    Hash {
        key: String,
        start: usize,
        end: usize,
    },
    SetItem(usize, Value),
}

/// Hashes as the host does for the plugin: once for each value of a batch.
pub(super) struct Tokens {
    mac: Hmac<Sha256>,
    known: HashMap<String, String>,
}

impl Tokens {
    /// Under this key; none, if it is no key.
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        Some(Self { mac: Hmac::new_from_slice(key).ok()?, known: HashMap::new() })
    }

    /// Another batch begins.
    pub(super) fn forget(&mut self) {
        self.known.clear();
    }

    fn token(&mut self, value: &str) -> &str {
        if !self.known.contains_key(value) {
            let mut mac = self.mac.clone();
            mac.update(value.as_bytes());
            let digest = mac.finalize().into_bytes();
            let text: String = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect();
            self.known.insert(value.to_owned(), text);
        }
        self.known.get(value).map_or("", String::as_str)
    }
}

impl Recipe {
    /// What leads from one resource to the other.
    pub(super) fn between(before: &Value, after: &Value) -> Self {
        let mut recipe = Self::default();
        recipe.compare("", before, after);
        recipe
    }

    /// Parses, changes, writes. None: the resource is not the one that the recipe was made for.
    pub(super) fn cook(&self, resource: &[u8], tokens: &mut Tokens) -> Option<Vec<u8>> {
        let mut value: Value = serde_json::from_slice(resource).ok()?;
        for edit in &self.0 {
            let parent = value.pointer_mut(&edit.parent)?;
            match &edit.step {
                Step::Remove(key) => drop(parent.as_object_mut()?.remove(key)),
                Step::Set(key, new) => drop(parent.as_object_mut()?.insert(key.clone(), new.clone())),
                Step::SetItem(at, new) => parent.as_array_mut()?.get_mut(*at)?.clone_from(new),
                Step::Hash { key, start, end } => {
                    let Value::String(text) = parent.get_mut(key.as_str())? else { return None };
                    let token = tokens.token(text.get(*start..*end)?).to_owned();
                    text.replace_range(*start..*end, &token);
                }
            }
        }
        serde_json::to_vec(&value).ok()
    }

    fn compare(&mut self, at: &str, before: &Value, after: &Value) {
        match (before, after) {
            (Value::Object(before), Value::Object(after)) => {
                for (key, old) in before {
                    match after.get(key) {
                        None => self.push(at, Step::Remove(key.clone())),
                        Some(new) if new == old => {}
                        Some(new) => match (hashed(old, new), alike(old, new)) {
                            (Some((start, end)), _) => {
                                self.push(at, Step::Hash { key: key.clone(), start, end });
                            }
                            (None, true) => self.compare(&format!("{at}/{key}"), old, new),
                            (None, false) => self.push(at, Step::Set(key.clone(), new.clone())),
                        },
                    }
                }
                for (key, new) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
                    self.push(at, Step::Set(key.clone(), new.clone()));
                }
            }
            (Value::Array(before), Value::Array(after)) => {
                for (place, (old, new)) in before.iter().zip(after).enumerate() {
                    if alike(old, new) {
                        self.compare(&format!("{at}/{place}"), old, new);
                    } else if old != new {
                        self.push(at, Step::SetItem(place, new.clone()));
                    }
                }
            }
            _ => {}
        }
    }

    fn push(&mut self, parent: &str, step: Step) {
        self.0.push(Edit { parent: parent.to_owned(), step });
    }
}

/// Both have members of their own to be compared.
fn alike(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(_), Value::Object(_)) => true,
        (Value::Array(old), Value::Array(new)) => old.len() == new.len(),
        _ => false,
    }
}

/// The part of the old text whose place is taken by a token of 64 digits.
fn hashed(old: &Value, new: &Value) -> Option<(usize, usize)> {
    let (old, new) = (old.as_str()?, new.as_str()?);
    let start = old.rfind('/').map_or(0, |slash| slash + 1);
    let token = new.strip_prefix(&old[..start])?;
    let is_token = token.len() == 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_token.then_some((start, old.len()))
}

fn digit(nibble: u8) -> char {
    char::from(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_recipe_leads_from_one_to_the_other() {
        let mut tokens = Tokens::new(b"a key of some bytes").unwrap();
        let (id, reference) = (tokens.token("7").to_owned(), format!("Patient/{}", tokens.token("8")));
        let before =
            json!({"id": "7", "name": [1], "a": {"b": [{"c": 1}, {"reference": "Patient/8"}]}, "n": 1});
        let after =
            json!({"id": id, "a": {"b": [{"c": 2}, {"reference": reference}]}, "n": 1, "meta": {"x": 1}});
        let recipe = Recipe::between(&before, &after);
        let cooked = recipe.cook(before.to_string().as_bytes(), &mut tokens).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&cooked).unwrap(), after);
    }
}

//! Where the entries of a Bundle and their resources stand in its bytes, and the Bundle written again with others in
//! their places. What is not replaced or cut out keeps every byte.

use std::ops::Range;

use crate::json;
use crate::json::scan::{Interest, Scanner, Sink};

/// Where one entry stands, from brace to brace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryPlace {
    /// The whole entry.
    pub entry: Range<usize>,
    /// Its resource, if it has one.
    pub resource: Option<Range<usize>>,
}

/// What becomes of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// It stays as it is.
    Keep,
    /// These bytes take the place of its resource; without one it stays.
    Resource(&'a [u8]),
    /// It is left out, with what separated it from the others.
    Cut,
}

/// Finds the entries of a whole Bundle, in order.
///
/// # Errors
/// It is no sound JSON.
pub fn entries(bundle: &[u8]) -> Result<Vec<EntryPlace>, json::Error> {
    let mut finder = Finder::default();
    let mut scanner = Scanner::new(Place::Root, true);
    scanner.feed(bundle, &mut finder)?;
    scanner.finish()?;
    Ok(finder.entries)
}

/// Writes a Bundle again. `places` are those of [`entries`], with what becomes of each.
#[must_use]
pub fn rebuild<'a>(bundle: &[u8], places: impl IntoIterator<Item = (&'a EntryPlace, Change<'a>)>) -> Vec<u8> {
    let mut out = Vec::with_capacity(bundle.len());
    let (mut at, mut kept, mut cut) = (0, false, false);
    for (EntryPlace { entry, resource }, change) in places {
        let before = &bundle[at..entry.start];
        at = entry.end;
        if change == Change::Cut {
            // What stands before the first entry is the list's, not the entry's.
            if !kept && !cut {
                out.extend_from_slice(before);
            }
            cut = true;
            continue;
        }
        if kept || !cut {
            out.extend_from_slice(before);
        }
        kept = true;
        match (change, resource) {
            (Change::Resource(bytes), Some(resource)) => {
                out.extend_from_slice(&bundle[entry.start..resource.start]);
                out.extend_from_slice(bytes);
                out.extend_from_slice(&bundle[resource.end..entry.end]);
            }
            _ => out.extend_from_slice(&bundle[entry.clone()]),
        }
    }
    out.extend_from_slice(&bundle[at..]);
    out
}

#[derive(Default)]
struct Finder {
    offset: usize,
    begun: usize,
    resource_begun: usize,
    resource: Option<Range<usize>>,
    entries: Vec<EntryPlace>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Entries,
    Entry,
    Resource,
    Other,
}

impl Sink for Finder {
    type State = Place;

    fn member(&mut self, parent: Place, key: &[u8]) -> Place {
        match (parent, key) {
            (Place::Root, b"entry") => Place::Entries,
            (Place::Entry, b"resource") => Place::Resource,
            _ => Place::Other,
        }
    }

    fn element(&mut self, parent: Place) -> Place {
        if parent == Place::Entries { Place::Entry } else { Place::Other }
    }

    fn interest(&self, place: Place) -> Interest {
        if matches!(place, Place::Entry | Place::Resource) { Interest::Extent } else { Interest::None }
    }

    fn copy(&mut self, bytes: &[u8]) {
        self.offset += bytes.len();
    }

    fn text(&mut self, _: Place, raw: &[u8], _: bool) {
        self.offset += raw.len();
    }

    fn begin(&mut self, place: Place) {
        match place {
            Place::Entry => (self.begun, self.resource) = (self.offset, None),
            _ => self.resource_begun = self.offset,
        }
    }

    fn end(&mut self, place: Place) {
        match place {
            Place::Entry => self
                .entries
                .push(EntryPlace { entry: self.begun..self.offset, resource: self.resource.take() }),
            _ => self.resource = Some(self.resource_begun..self.offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// JSON of any kind, with odd numbers and texts.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            Just(json!(1.50)),
            Just(json!("entry")),
            Just(json!("a\"\\\n]}{[")),
            any::<i32>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c]|entry|resource", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn object() -> impl Strategy<Value = Value> {
        prop::collection::btree_map("[a-d]|entry", value(), 0..4)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
    }

    /// A Bundle, laid out in one of two ways.
    fn bundle() -> impl Strategy<Value = (Value, bool)> {
        let entry = (object(), prop::option::of(object())).prop_map(|(mut entry, resource)| {
            if let Some(resource) = resource {
                entry["resource"] = resource;
            }
            entry
        });
        (object(), prop::collection::vec(entry, 0..6), any::<bool>()).prop_map(
            |(mut bundle, entries, wide)| {
                bundle["entry"] = entries.into();
                (bundle, wide)
            },
        )
    }

    fn write(value: &Value, wide: bool) -> Vec<u8> {
        if wide { serde_json::to_vec_pretty(value).unwrap() } else { serde_json::to_vec(value).unwrap() }
    }

    proptest! {
        #[test]
        fn what_is_kept_keeps_every_byte((bundle, wide) in bundle()) {
            let text = write(&bundle, wide);
            let places = entries(&text).unwrap();
            prop_assert_eq!(places.len(), bundle["entry"].as_array().unwrap().len());
            let again = rebuild(&text, places.iter().map(|place| (place, Change::Keep)));
            prop_assert_eq!(again, text);
        }

        #[test]
        fn changes_are_those_of_the_model(
            (bundle, wide) in bundle(),
            changes in prop::collection::vec(0..3_u8, 6),
            other in object(),
        ) {
            let text = write(&bundle, wide);
            let places = entries(&text).unwrap();
            let other_text = write(&other, !wide);
            let change = |number: &u8| match number {
                0 => Change::Keep,
                1 => Change::Resource(&other_text),
                _ => Change::Cut,
            };
            let again = rebuild(&text, places.iter().zip(changes.iter().map(change)));
            let mut model = bundle;
            let entries = model["entry"].as_array_mut().unwrap();
            let mut number = 0;
            entries.retain_mut(|entry| {
                let change = changes[number];
                number += 1;
                if change == 1 && entry["resource"].is_object() {
                    entry["resource"] = other.clone();
                }
                if entry["resource"].is_null() {
                    entry.as_object_mut().unwrap().remove("resource");
                }
                change != 2
            });
            prop_assert_eq!(serde_json::from_slice::<Value>(&again).unwrap(), model);
        }
    }

    #[test]
    fn cutting_takes_separators_along() {
        let text = br#"{"entry" : [ {"n":1} , {"n":2},{"n":3} ], "x":1}"#;
        let places = entries(text).unwrap();
        for (cut, expected) in [
            ([true, false, false], r#"{"entry" : [ {"n":2},{"n":3} ], "x":1}"#),
            ([false, true, false], r#"{"entry" : [ {"n":1},{"n":3} ], "x":1}"#),
            ([false, false, true], r#"{"entry" : [ {"n":1} , {"n":2} ], "x":1}"#),
            ([true, true, true], r#"{"entry" : [  ], "x":1}"#),
        ] {
            let change = |cut: bool| if cut { Change::Cut } else { Change::Keep };
            let again = rebuild(text, places.iter().zip(cut.map(change)));
            assert_eq!(String::from_utf8(again).unwrap(), expected);
        }
    }
}

//! What identifies people in a set of resources, and a search for it in answers that should not.

mod collect;

use aho_corasick::{AhoCorasick, BuildError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// What a marker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A given or family name of at least four letters that means nothing else in the data, or a given and
    /// a family name together.
    Name,
    /// A telephone number, an e-mail address or the like.
    Telecom,
    /// A line of an address.
    AddressLine,
    /// The value of an Identifier.
    Identifier,
    /// A full date of birth.
    BirthDate,
    /// A host in a hospital's own network, in an address.
    InternalHost,
}

/// A text that identifies somebody.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Marker {
    /// What it is.
    pub kind: Kind,
    /// The text.
    pub text: String,
    /// The type of the first resource that has it.
    pub resource_type: String,
}

/// A marker in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<'a> {
    /// The marker.
    pub marker: &'a Marker,
    /// The JSON Pointer of the string that holds it, `#base64` after it if it was encoded there.
    pub place: String,
}

/// The markers of a set of resources.
#[derive(Debug)]
pub struct Markers {
    markers: Vec<Marker>,
    search: AhoCorasick,
}

impl Markers {
    /// Collects what identifies people in these resources or Bundles, and hosts that nobody outside has to
    /// know. Organizations, their addresses and their identifiers are not people and are left out.
    ///
    /// # Errors
    /// There are too many markers to search for: beyond any data set that fits a test.
    pub fn of<'a>(resources: impl IntoIterator<Item = &'a Value>) -> Result<Self, BuildError> {
        let markers = collect::collect(resources);
        let search =
            AhoCorasick::builder().ascii_case_insensitive(true).build(markers.iter().map(|m| &m.text))?;
        Ok(Self { markers, search })
    }

    /// All markers.
    pub fn all(&self) -> &[Marker] {
        &self.markers
    }

    /// The markers in a text: whole words, in any case of letters.
    pub fn find_in_text(&self, text: &str) -> Vec<&Marker> {
        let hits = self.search.find_overlapping_iter(text);
        hits.filter(|hit| is_whole(text, hit.start(), hit.end()))
            .map(|hit| &self.markers[hit.pattern().as_usize()])
            .collect()
    }

    /// The markers in the strings and member names of a JSON value; strings that are base64 of a text are
    /// searched decoded too, because attachments hold names as well.
    pub fn find_in_json(&self, value: &Value) -> Vec<Found<'_>> {
        let mut found = Vec::new();
        self.search_value(value, &mut String::new(), &mut found);
        found
    }

    fn search_value<'a>(&'a self, value: &Value, pointer: &mut String, found: &mut Vec<Found<'a>>) {
        let end = pointer.len();
        match value {
            Value::String(text) => {
                self.search_string(text, pointer, found);
                if let Some(decoded) = decoded(text) {
                    self.search_string(&decoded, &format!("{pointer}#base64"), found);
                }
            }
            Value::Array(items) => {
                for (place, item) in items.iter().enumerate() {
                    pointer.push_str(&format!("/{place}"));
                    self.search_value(item, pointer, found);
                    pointer.truncate(end);
                }
            }
            Value::Object(members) => {
                for (name, member) in members {
                    pointer.push_str(&format!("/{}", name.replace('~', "~0").replace('/', "~1")));
                    self.search_string(name, pointer, found);
                    self.search_value(member, pointer, found);
                    pointer.truncate(end);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn search_string<'a>(&'a self, text: &str, place: &str, found: &mut Vec<Found<'a>>) {
        let hits = self.find_in_text(text).into_iter();
        found.extend(hits.map(|marker| Found { marker, place: place.to_owned() }));
    }
}

/// Whether no letter or digit touches the hit: `Ross` is not in `across`.
fn is_whole(text: &str, start: usize, end: usize) -> bool {
    let touches = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    !touches(text[..start].chars().next_back()) && !touches(text[end..].chars().next())
}

/// The text behind base64; none: it is no base64, or of something else.
fn decoded(text: &str) -> Option<String> {
    if text.len() < 8 || !text.len().is_multiple_of(4) {
        return None;
    }
    String::from_utf8(STANDARD.decode(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn markers() -> Markers {
        let patient = json!({
            "resourceType": "Patient",
            "identifier": [{"system": "urn:x", "value": "MRN-001"}],
            "name": [{"family": "Quorvath", "given": ["Price", "Al"]}],
            "telecom": [{"system": "phone", "value": "(555) 010-0199"}],
            "address": [{"line": ["7 Nowhere Lane"], "city": "Testville"}],
            "birthDate": "1931-07-09",
        });
        let item = json!({
            "resourceType": "ChargeItem",
            "code": {"coding": [{"system": "urn:x", "code": "p", "display": "List price"}]},
        });
        Markers::of([&patient, &item]).unwrap()
    }

    #[test]
    fn markers_are_found_whole_and_in_any_case() {
        let markers = markers();
        for (text, hits) in [
            ("Seen: QUORVATH, (555) 010-0199.", 2),
            ("quorvath@mail.example", 1),
            ("Quorvathian, 11931-07-09", 0),
            ("Price Quorvath", 2),
            ("the price of al", 0),
            ("born 1931-07-09 at 7 nowhere lane, MRN-001", 3),
        ] {
            assert_eq!(markers.find_in_text(text).len(), hits, "{text}");
        }
    }

    #[test]
    fn places_are_pointers_and_base64_is_searched() {
        let data = STANDARD.encode("Discharged: Quorvath");
        let answer = json!({"entry": [{"resource": {"content": [{"data": data}], "a/b": "x Quorvath"}}]});
        let markers = markers();
        let found = markers.find_in_json(&answer);
        let places: Vec<_> = found.iter().map(|found| found.place.as_str()).collect();
        assert_eq!(places, ["/entry/0/resource/content/0/data#base64", "/entry/0/resource/a~1b"]);
        assert!(found.iter().all(|found| found.marker.text == "Quorvath"));
    }
}

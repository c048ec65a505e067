//! Elements that a caller does not see.

use std::collections::BTreeSet;

use fireguard_fhir::json::{self, Appender, Key, Kind, Slot, Step, Value, Visitor};

/// Says of a resource that something of it is missing, so that nobody takes it for whole
/// (R4 valueset-observation-value: SUBSETTED).
const SUBSETTED: &[u8] =
    br#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}"#;

/// Takes elements out of a resource (or what holds one) and of those within it, each by its own type, and marks those that lost one.
/// None: there was nothing to take. `drop` names them as `Patient.telecom` or `*.note`, at the top of the resource.
///
/// # Errors
/// It is not valid JSON.
pub fn without(resource: &[u8], drop: &BTreeSet<String>) -> Result<Option<Vec<u8>>, json::Error> {
    if drop.is_empty() {
        return Ok(None);
    }
    let mut dropper = Dropper { drop, open: Vec::new(), dropped: false };
    // An entry of a Bundle is none, and holds one.
    let is_resource = json::member(resource, "resourceType").is_some();
    let place = if is_resource { dropper.begin(resource) } else { Place::Other };
    let rewrite = json::rewrite(resource, place, &mut dropper)?;
    Ok((dropper.dropped && !rewrite.is_unchanged()).then(|| rewrite.apply(resource)))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Resource,
    Meta,
    Tags,
    Other,
}

struct Dropper<'d> {
    drop: &'d BTreeSet<String>,
    /// The resources around this place, the innermost last.
    open: Vec<Open>,
    dropped: bool,
}

struct Open {
    resource_type: String,
    dropped: bool,
    meta: Option<Slot>,
    tags: Option<Slot>,
}

impl Dropper<'_> {
    fn begin(&mut self, text: &[u8]) -> Place {
        let resource_type = json::resource_type_of(text).unwrap_or_default().into_owned();
        self.open.push(Open { resource_type, dropped: false, meta: None, tags: None });
        Place::Resource
    }

    fn drops(&self, name: &str) -> bool {
        // The id and extensions of a primitive go with it.
        let name = name.strip_prefix('_').unwrap_or(name);
        let named = |of: &str| self.drop.contains(&format!("{of}.{name}"));
        let kept = matches!(name, "resourceType" | "id" | "meta");
        !kept && (self.open.last().is_some_and(|open| named(&open.resource_type)) || named("*"))
    }

    fn enter(&mut self, value: &Value<'_>) -> Step<Place> {
        if value.kind() == Kind::Object && value.member("resourceType").is_some() {
            return Step::Enter(self.begin(value.raw()));
        }
        Step::Enter(Place::Other)
    }
}

impl Visitor for Dropper<'_> {
    type State = Place;

    fn member(&mut self, within: Place, key: &Key<'_>, value: &Value<'_>, _: &mut Vec<u8>) -> Step<Place> {
        match within {
            Place::Resource if self.drops(&key.name()) => {
                self.dropped = true;
                if let Some(open) = self.open.last_mut() {
                    open.dropped = true;
                }
                Step::Drop
            }
            Place::Resource if key.is("meta") && value.kind() == Kind::Object => Step::Enter(Place::Meta),
            Place::Meta if key.is("tag") && value.kind() == Kind::Array => Step::Enter(Place::Tags),
            _ => self.enter(value),
        }
    }

    fn element(&mut self, within: Place, _: usize, value: &Value<'_>, _: &mut Vec<u8>) -> Step<Place> {
        if within == Place::Tags { Step::Keep } else { self.enter(value) }
    }

    fn leave(&mut self, within: Place, end: Slot, append: &mut Appender<'_>) {
        match within {
            Place::Tags => {
                if let Some(open) = self.open.last_mut() {
                    open.tags = Some(end);
                }
            }
            Place::Meta => {
                if let Some(open) = self.open.last_mut() {
                    open.meta = Some(end);
                }
            }
            Place::Resource => {
                let Some(Open { dropped: true, meta, tags, .. }) = self.open.pop() else { return };
                // The innermost place there is for a tag.
                let (slot, before, after) = match (tags, meta) {
                    (Some(tags), _) => (tags, "", ""),
                    (None, Some(meta)) => (meta, "\"tag\":[", "]"),
                    (None, None) => (end, "\"meta\":{\"tag\":[", "]}"),
                };
                append.append(slot, |out| {
                    out.extend_from_slice(before.as_bytes());
                    out.extend_from_slice(SUBSETTED);
                    out.extend_from_slice(after.as_bytes());
                });
            }
            Place::Other => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_go_and_what_lost_one_says_so() {
        let tag = std::str::from_utf8(SUBSETTED).unwrap();
        let drop: BTreeSet<String> =
            ["Patient.telecom", "*.note", "Patient.birthDate", "*.id"].map(str::to_owned).into();
        for (text, expected) in [
            (r#"{"resourceType":"Patient","id":"a"}"#.to_owned(), None),
            (
                r#"{"resourceType":"Patient","id":"a","telecom":[{"value":"1"}],"active":true}"#.to_owned(),
                Some(format!(r#"{{"resourceType":"Patient","id":"a","active":true,"meta":{{"tag":[{tag}]}}}}"#)),
            ),
            (
                r#"{"resourceType":"Patient","meta":{"versionId":"1"},"birthDate":"1970","_birthDate":{"id":"x"}}"#.to_owned(),
                Some(format!(r#"{{"resourceType":"Patient","meta":{{"versionId":"1","tag":[{tag}]}}}}"#)),
            ),
            (
                r#"{"resourceType":"Observation","meta":{"tag":[{"code":"t"}]},"note":[{"text":"x"}],"telecom":1}"#.to_owned(),
                Some(format!(r#"{{"resourceType":"Observation","meta":{{"tag":[{{"code":"t"}},{tag}]}},"telecom":1}}"#)),
            ),
            (
                r#"{"entry":[{"resource":{"resourceType":"Patient","telecom":[1]}}],"resourceType":"Bundle"}"#.to_owned(),
                Some(format!(r#"{{"entry":[{{"resource":{{"resourceType":"Patient","meta":{{"tag":[{tag}]}}}}}}],"resourceType":"Bundle"}}"#)),
            ),
        ] {
            let got = without(text.as_bytes(), &drop).unwrap().map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!(got, expected, "{text}");
        }
    }
}

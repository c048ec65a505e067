//! A map as FHIR R4's ConceptMap, in JSON. What would change the meaning and is not understood is refused.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::MapFault;
use super::table::{Builder, Row, Table};

/// A ConceptMap, read.
#[derive(Debug)]
pub(super) struct ConceptMap {
    /// Its canonical URL, by which others may name it.
    pub(super) url: Option<String>,
    pub(super) table: Table,
    /// By source system.
    pub(super) unmapped: HashMap<String, Unmapped>,
}

/// What a code is translated to that is in the system, and not in the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unmapped {
    /// Itself, in this system.
    Provided { system: String },
    /// Always this.
    Fixed { system: String, code: String, display: Option<String> },
    /// What the map of this URL says.
    Other { url: String, pointer: String },
}

#[derive(Deserialize)]
struct Resource {
    #[serde(rename = "resourceType")]
    resource_type: String,
    url: Option<String>,
    #[serde(rename = "modifierExtension")]
    modifier: Option<IgnoredAny>,
    #[serde(default)]
    group: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    source: Option<String>,
    target: Option<String>,
    #[serde(default)]
    element: Vec<Element>,
    unmapped: Option<Rest>,
}

#[derive(Deserialize)]
struct Element {
    code: Option<String>,
    #[serde(default)]
    target: Vec<To>,
}

#[derive(Deserialize)]
struct To {
    code: Option<String>,
    display: Option<String>,
    equivalence: Option<String>,
    #[serde(rename = "dependsOn")]
    depends_on: Option<IgnoredAny>,
    product: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Rest {
    mode: String,
    code: Option<String>,
    display: Option<String>,
    url: Option<String>,
}

/// Reads a map.
///
/// # Errors
/// What is wrong first, with its line or its pointer.
pub(super) fn read(bytes: &[u8]) -> Result<ConceptMap, MapFault> {
    let resource: Resource = serde_json::from_slice(bytes).map_err(|error| {
        // The message may quote a value of the wrong type; those of a map are no patient's.
        MapFault::at_line(error.line() as u64, error.to_string())
    })?;
    let wrong = |pointer: &str, message: &str| Err(MapFault::at_pointer(pointer, message));
    if resource.resource_type != "ConceptMap" {
        return wrong("/resourceType", "it is to be ConceptMap");
    }
    if resource.modifier.is_some() {
        return wrong("/modifierExtension", "a map with modifier extensions is not understood");
    }
    let mut builder = Builder::default();
    let mut unmapped = HashMap::new();
    for (index, group) in resource.group.iter().enumerate() {
        let place = format!("/group/{index}");
        let Some(source) = &group.source else {
            return wrong(&format!("{place}/source"), "a group needs the system that it translates from");
        };
        for (index, element) in group.element.iter().enumerate() {
            rows(
                &mut builder,
                source,
                group.target.as_deref(),
                element,
                &format!("{place}/element/{index}"),
            )?;
        }
        if let Some(rest) = &group.unmapped {
            let rest = rest_of(rest, group.target.as_deref(), &format!("{place}/unmapped"))?;
            if unmapped.insert(source.clone(), rest).is_some() {
                return wrong(
                    &format!("{place}/unmapped"),
                    "another group of the same source says this already",
                );
            }
        }
    }
    Ok(ConceptMap { url: resource.url, table: builder.finish(), unmapped })
}

fn rows(
    builder: &mut Builder,
    system: &str,
    target_system: Option<&str>,
    element: &Element,
    place: &str,
) -> Result<(), MapFault> {
    let Some(code) = element.code.as_deref().filter(|code| !code.is_empty()) else {
        return Err(MapFault::at_pointer(&format!("{place}/code"), "an element needs its code"));
    };
    for (index, to) in element.target.iter().enumerate() {
        let wrong = |name: &str, message: &str| {
            Err(MapFault::at_pointer(&format!("{place}/target/{index}{name}"), message))
        };
        let Some(equivalence) = to.equivalence.as_deref() else {
            return wrong("/equivalence", "R4 wants to know how far this is the same");
        };
        if to.depends_on.is_some() {
            return wrong("/dependsOn", "a translation that depends on other elements is not understood");
        }
        if to.product.is_some() {
            return wrong("/product", "a translation with further products is not understood");
        }
        let nothing = matches!(equivalence, "unmatched" | "disjoint");
        let target_code = to.code.as_deref().unwrap_or_default();
        if target_code.is_empty() && !nothing {
            return wrong("/code", "a target needs its code, unless it is unmatched");
        }
        if target_system.is_none() && !nothing {
            return wrong("", "the group needs the system that it translates to");
        }
        let display = to.display.as_deref().unwrap_or_default();
        let target_system = target_system.unwrap_or_default();
        let row = Row { system, code, target_system, target_code, display, equivalence };
        builder.row(row).map_err(|fault| {
            MapFault::at_pointer(&format!("{place}/target/{index}/equivalence"), &fault.to_string())
        })?;
    }
    Ok(())
}

fn rest_of(rest: &Rest, target: Option<&str>, place: &str) -> Result<Unmapped, MapFault> {
    let wrong = |name: &str, message: &str| Err(MapFault::at_pointer(&format!("{place}/{name}"), message));
    let system = || {
        let message = "the group needs the system that it translates to";
        target.map(str::to_owned).ok_or_else(|| MapFault::at_pointer(place, message))
    };
    match (rest.mode.as_str(), &rest.code, &rest.url) {
        ("provided", None, None) => Ok(Unmapped::Provided { system: system()? }),
        ("fixed", Some(code), None) => {
            Ok(Unmapped::Fixed { system: system()?, code: code.clone(), display: rest.display.clone() })
        }
        ("fixed", None, _) => wrong("code", "the mode fixed needs a code"),
        ("other-map", None, Some(url)) => {
            Ok(Unmapped::Other { url: url.clone(), pointer: format!("{place}/url") })
        }
        ("other-map", _, None) => wrong("url", "the mode other-map needs the URL of a map"),
        ("provided" | "fixed" | "other-map", ..) => {
            wrong("mode", "code goes with the mode fixed, and url with other-map")
        }
        _ => wrong("mode", "a mode is provided, fixed or other-map"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn map() -> Value {
        json!({
            "resourceType": "ConceptMap", "url": "http://example.org/map", "status": "active",
            "group": [{
                "source": "s", "target": "t",
                "element": [
                    {"code": "1", "target": [
                        {"code": "a", "display": "A", "equivalence": "equal"},
                        {"code": "b", "equivalence": "wider"},
                    ]},
                    {"code": "2", "target": [{"equivalence": "unmatched"}]},
                    {"code": "3"},
                ],
                "unmapped": {"mode": "fixed", "code": "other", "display": "Other"},
            }],
        })
    }

    #[test]
    fn a_map_is_read() {
        let map = read(map().to_string().as_bytes()).unwrap();
        let found =
            |code| map.table.find("s", code).map(|t| t.map(|t| (t.code, t.display, t.equivalence)).collect());
        assert_eq!(found("1"), Some(vec![("a", Some("A"), "equal"), ("b", None, "wider")]));
        assert_eq!(found("2"), Some(vec![]));
        assert_eq!(found("3"), None, "no target: it is not mapped");
        let (system, code, display) = ("t".to_owned(), "other".to_owned(), Some("Other".to_owned()));
        assert_eq!(map.unmapped["s"], Unmapped::Fixed { system, code, display });
        assert_eq!(map.url.as_deref(), Some("http://example.org/map"));
    }

    #[test]
    fn faults_have_a_place() {
        let cases = [
            ("/resourceType", json!("Patient"), "/resourceType"),
            ("/modifierExtension", json!([]), "/modifierExtension"),
            ("/group/0/source", Value::Null, "/group/0/source"),
            ("/group/0/target", Value::Null, "/group/0/element/0/target/0"),
            ("/group/0/element/0/code", Value::Null, "/group/0/element/0/code"),
            ("/group/0/element/0/target/1/code", json!(""), "/group/0/element/0/target/1/code"),
            (
                "/group/0/element/0/target/1/equivalence",
                Value::Null,
                "/group/0/element/0/target/1/equivalence",
            ),
            (
                "/group/0/element/0/target/1/equivalence",
                json!("=="),
                "/group/0/element/0/target/1/equivalence",
            ),
            ("/group/0/element/0/target/1/dependsOn", json!([{}]), "/group/0/element/0/target/1/dependsOn"),
            ("/group/0/element/0/target/1/product", json!([{}]), "/group/0/element/0/target/1/product"),
            ("/group/0/unmapped/mode", json!("none"), "/group/0/unmapped/mode"),
            ("/group/0/unmapped/code", Value::Null, "/group/0/unmapped/code"),
            ("/group/0/unmapped/url", json!("http://x"), "/group/0/unmapped/mode"),
            ("/group/0/unmapped", json!({"mode": "other-map"}), "/group/0/unmapped/url"),
        ];
        for (at, value, expected) in cases {
            let mut map = map();
            let (parent, name) = at.rsplit_once('/').unwrap();
            map.pointer_mut(parent).unwrap()[name] = value;
            assert_eq!(read(map.to_string().as_bytes()).unwrap_err().pointer, expected, "{at}");
        }
        let twice = r#"{"resourceType": "ConceptMap", "url": "a", "url": "b"}"#;
        assert!(read(twice.as_bytes()).unwrap_err().message.contains("duplicate field"));
        assert_eq!(read(b"{\n\n\"group\": 7}").unwrap_err().line, 3);
    }

    proptest! {
        #[test]
        fn anything_may_be_read(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }
}

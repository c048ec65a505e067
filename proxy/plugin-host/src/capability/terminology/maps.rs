//! The maps of a grant, and questions to them.

use std::collections::BTreeMap;
use std::path::Path;

use super::concept_map::Unmapped;
use super::table::{Table, Target};
use super::{MapFault, concept_map, csv};
use crate::spec::NamedFile;

/// Maps by the names that the configuration gives them.
#[derive(Debug)]
pub(super) struct Maps {
    by_name: BTreeMap<String, usize>,
    maps: Vec<Map>,
}

#[derive(Debug)]
struct Map {
    table: Table,
    /// By source system.
    rest: Vec<(String, Rest)>,
}

/// [`Unmapped`], with the place of the other map.
#[derive(Debug)]
enum Rest {
    Provided { system: String },
    Fixed { system: String, code: String, display: Option<String> },
    Other(usize),
}

/// One match, and how it was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) target: Target<'a>,
    /// The mode of `unmapped` that gave it.
    pub(super) unmapped: Option<&'static str>,
}

impl Maps {
    /// Reads the files: ConceptMap resources (`.json`) and tables (`.csv`).
    ///
    /// # Errors
    /// The path of the file that is wrong, and what is.
    pub(super) fn read(files: &[NamedFile]) -> Result<Self, (String, MapFault)> {
        let mut by_name = BTreeMap::new();
        let mut read = Vec::with_capacity(files.len());
        for file in files {
            let wrong = |fault: MapFault| (file.path.clone(), fault);
            let extension = Path::new(&file.path).extension().and_then(|extension| extension.to_str());
            let one = match extension {
                Some("json") => {
                    concept_map::read(&file.content).map(|map| (map.url, map.table, map.unmapped))
                }
                Some("csv") => csv::read(&file.content).map(|table| (None, table, Default::default())),
                _ => Err(MapFault::whole("a map is a ConceptMap (.json) or a table (.csv)")),
            };
            by_name.insert(file.name.clone(), read.len());
            read.push((&file.path, one.map_err(wrong)?));
        }
        let urls: Vec<Option<String>> = read.iter().map(|(_, (url, ..))| url.clone()).collect();
        let other = |unmapped: Unmapped| {
            Ok(match unmapped {
                Unmapped::Provided { system } => Rest::Provided { system },
                Unmapped::Fixed { system, code, display } => Rest::Fixed { system, code, display },
                Unmapped::Other { url, pointer } => {
                    let place = urls.iter().position(|known| known.as_deref() == Some(&*url));
                    Rest::Other(place.ok_or_else(|| {
                        MapFault::at_pointer(&pointer, "no map of this URL is granted to the plugin")
                    })?)
                }
            })
        };
        let mut maps = Vec::with_capacity(read.len());
        for (path, (_, table, unmapped)) in read {
            let rest = unmapped.into_iter().map(|(system, unmapped)| Ok((system, other(unmapped)?)));
            let rest = rest.collect::<Result<_, _>>().map_err(|fault| (path.clone(), fault))?;
            maps.push(Map { table, rest });
        }
        Ok(Self { by_name, maps })
    }

    /// The place of a map.
    pub(super) fn named(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Its names, for messages.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// What a code is translated to, in the map's order.
    pub(super) fn translate<'a>(&'a self, map: usize, system: &str, code: &'a str) -> Vec<Found<'a>> {
        let mut place = map;
        // Maps may name each other in a circle: none is asked twice.
        for _ in 0..self.maps.len() {
            let Some(map) = self.maps.get(place) else { break };
            if let Some(targets) = map.table.find(system, code) {
                return targets.map(|target| Found { target, unmapped: None }).collect();
            }
            // How far it is the same, R4 does not say.
            let equivalence = "relatedto";
            let found = |system: &'a str, code: &'a str, display: Option<&'a str>, mode: &'static str| {
                vec![Found { target: Target { system, code, display, equivalence }, unmapped: Some(mode) }]
            };
            match map.rest.iter().find(|(of, _)| of == system).map(|(_, rest)| rest) {
                None => break,
                Some(Rest::Provided { system }) => return found(system, code, None, "provided"),
                Some(Rest::Fixed { system, code, display }) => {
                    return found(system, code, display.as_deref(), "fixed");
                }
                Some(Rest::Other(other)) => place = *other,
            }
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn file(name: &str, path: &str, content: String) -> NamedFile {
        NamedFile { name: name.to_owned(), path: path.to_owned(), content: content.into() }
    }

    fn map(url: &str, code: &str, unmapped: Value) -> String {
        let target = json!([{"code": format!("{code}'"), "equivalence": "equal"}]);
        let mut group = json!({"source": "s", "target": "t", "element": [{"code": code, "target": target}]});
        if !unmapped.is_null() {
            group["unmapped"] = unmapped;
        }
        json!({"resourceType": "ConceptMap", "url": url, "group": [group]}).to_string()
    }

    #[test]
    fn what_a_map_does_not_know_goes_by_its_rule() {
        let to = |url: &str| json!({"mode": "other-map", "url": url});
        let csv = "system,code,target_system,target_code,display,equivalence\ns,0,t,0',,\n";
        let files = [
            file("table", "table.csv", csv.to_owned()),
            file("none", "none.json", map("u:none", "1", Value::Null)),
            file("provided", "p.json", map("u:provided", "2", json!({"mode": "provided"}))),
            file(
                "fixed",
                "f.json",
                map("u:fixed", "3", json!({"mode": "fixed", "code": "x", "display": "X"})),
            ),
            file("chain", "c.json", map("u:chain", "4", to("u:provided"))),
            file("circle", "d.json", map("u:circle", "5", to("u:back"))),
            file("back", "e.json", map("u:back", "6", to("u:circle"))),
        ];
        let maps = Maps::read(&files).unwrap();
        let one = |name: &str, system: &str, code: &'static str| {
            let found = maps.translate(maps.named(name).unwrap(), system, code);
            found
                .first()
                .map(|found| (found.target.code.to_owned(), found.target.display.is_some(), found.unmapped))
        };
        let some = |code: &str, unmapped| Some((code.to_owned(), unmapped == Some("fixed"), unmapped));
        for (name, code, expected) in [
            ("table", "0", some("0'", None)),
            ("table", "1", None),
            ("none", "1", some("1'", None)),
            ("none", "2", None),
            ("provided", "9", some("9", Some("provided"))),
            ("fixed", "9", some("x", Some("fixed"))),
            ("chain", "4", some("4'", None)),
            ("chain", "2", some("2'", None)),
            ("chain", "9", some("9", Some("provided"))),
            ("circle", "6", some("6'", None)),
            ("circle", "9", None),
        ] {
            assert_eq!(one(name, "s", code), expected, "{name} {code}");
            assert_eq!(one(name, "other", code), None, "{name} {code}");
        }
        assert_eq!(maps.named("unknown"), None);
    }

    #[test]
    fn faults_name_the_file() {
        let other = map("u", "1", json!({"mode": "other-map", "url": "u:unknown"}));
        for (path, content, expected) in [
            ("maps/a.json", other, "/group/0/unmapped/url"),
            ("maps/a.xml", String::new(), ""),
            ("maps/a.csv", "system\n".to_owned(), ""),
        ] {
            let (found, fault) = Maps::read(&[file("a", path, content)]).unwrap_err();
            assert_eq!((found.as_str(), fault.pointer.as_str()), (path, expected));
        }
    }
}

//! A plugin of a megabyte, as those become that bring parsers along: for benchmarks.
//!
//! It leaves out resources of types that a file names, which may be written in whatever its name says: TOML, CSV, XML,
//! Markdown, or an address with a query.

#![forbid(unsafe_code)]

use aho_corasick::AhoCorasick;
use fireguard_sdk::{
    Direction, Exchange, File, Host, Interest, Item, Plan, Plugin, Problem, Resources, Settings, Verdict,
};

/// The plugin.
#[derive(Debug)]
pub struct LeaveOut {
    types: AhoCorasick,
}

impl Plugin for LeaveOut {
    fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>> {
        settings.refuse_unknown(&[])?;
        let read = settings.files.iter().map(|file| types(file).map_err(|why| wrong(file, why)));
        let types = read.collect::<Result<Vec<_>, _>>().map_err(|problem| vec![problem])?.concat();
        let types = AhoCorasick::new(types)
            .map_err(|error| vec![Problem { message: error.to_string(), ..Problem::default() }])?;
        Ok((Self { types }, Plan::new([Interest::resources([Direction::ToClient])])))
    }
}

impl Resources for LeaveOut {
    fn resources(&mut self, _: &dyn Host, _: &Exchange, _: Direction, items: &[Item]) -> Vec<Verdict> {
        let named = |content: &[u8]| {
            let resource: serde_json::Value = serde_json::from_slice(content).unwrap_or_default();
            resource["resourceType"].as_str().is_some_and(|one| self.types.is_match(one))
        };
        items.iter().map(|item| if named(&item.content) { Verdict::Drop } else { Verdict::Keep }).collect()
    }
}

/// The types that a file names.
fn types(file: &File) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(&file.content).map_err(|error| error.to_string())?;
    let list = |value: serde_json::Value| {
        serde_json::from_value(value["types"].clone()).map_err(|error| error.to_string())
    };
    match file.path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "toml" => list(toml::from_str(text).map_err(|error| error.to_string())?),
        "tml" => {
            let document: toml_edit::DocumentMut =
                text.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
            let types = document.get("types").and_then(toml_edit::Item::as_array);
            Ok(types.into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect())
        }
        "csv" => {
            let mut rows = csv::Reader::from_reader(text.as_bytes());
            let first = |row: csv::StringRecord| row.get(0).unwrap_or_default().to_owned();
            rows.records().map(|row| row.map(first).map_err(|error| error.to_string())).collect()
        }
        "xml" => {
            let mut reader = quick_xml::Reader::from_str(text);
            let mut types = Vec::new();
            loop {
                match reader.read_event().map_err(|error| error.to_string())? {
                    quick_xml::events::Event::Empty(element) => {
                        types.push(element.name().into_inner().to_owned());
                    }
                    quick_xml::events::Event::Eof => return Ok(types),
                    _ => {}
                }
            }
        }
        "md" => {
            let piece = |event| match event {
                pulldown_cmark::Event::Text(text) => Some(text.into_string()),
                _ => None,
            };
            Ok(pulldown_cmark::Parser::new(text).filter_map(piece).collect())
        }
        _ => {
            let address = url::Url::parse(text.trim()).map_err(|error| error.to_string())?;
            Ok(address
                .query_pairs()
                .filter(|(name, _)| name == "type")
                .map(|(_, one)| one.into_owned())
                .collect())
        }
    }
}

fn wrong(file: &File, message: String) -> Problem {
    Problem { file: Some(file.name.clone()), message, ..Problem::default() }
}

fireguard_sdk::export!(LeaveOut: Resources);

//! The file under the reader: parsed, with places for messages.

use fireguard_sdk::{File, Problem};
use jsonc_parser::ast::{Object, ObjectPropName, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

/// A file and what was found wrong with it so far.
#[derive(Debug)]
pub(super) struct Source<'f> {
    name: &'f str,
    text: &'f str,
    problems: Vec<Problem>,
}

impl<'f> Source<'f> {
    pub(super) fn new(file: &'f File) -> Result<Self, Vec<Problem>> {
        let mut source = Self { name: &file.name, text: "", problems: Vec::new() };
        match std::str::from_utf8(&file.content) {
            Ok(text) => {
                source.text = text.strip_prefix('\u{feff}').unwrap_or(text);
                Ok(source)
            }
            Err(error) => {
                source.text = std::str::from_utf8(&file.content[..error.valid_up_to()]).unwrap_or_default();
                source.problem_at(source.text.len(), "", "this is not UTF-8 text");
                Err(source.problems)
            }
        }
    }

    pub(super) fn parse(&mut self) -> Result<Value<'f>, Vec<Problem>> {
        let options = ParseOptions {
            allow_comments: true,
            allow_trailing_commas: true,
            allow_loose_object_property_names: false,
            allow_missing_commas: false,
            allow_single_quoted_strings: false,
            allow_hexadecimal_numbers: false,
            allow_unary_plus_numbers: false,
            allow_bare_decimal_point_numbers: false,
            allow_non_finite_numbers: false,
            allow_extended_string_escapes: false,
        };
        let fault = match parse_to_ast(self.text, &CollectOptions::default(), &options) {
            Ok(result) => match result.value {
                Some(value) => return Ok(value),
                None => (self.text.len(), "the file is empty".to_owned()),
            },
            Err(error) => (error.range().start, format!("not valid JSON: {}", error.kind())),
        };
        self.problem_at(fault.0, "", fault.1);
        Err(std::mem::take(&mut self.problems))
    }

    /// Notes a problem with a part of the file.
    pub(super) fn problem(&mut self, part: &impl Ranged, pointer: &str, message: impl Into<String>) {
        self.problem_at(part.start(), pointer, message);
    }

    /// Notes a problem at an offset.
    pub(super) fn problem_at(&mut self, offset: usize, pointer: &str, message: impl Into<String>) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let column = before[line_start..].chars().count() + 1;
        self.problems.push(Problem {
            file: Some(self.name.to_owned()),
            line: self.line(offset),
            column: u32::try_from(column).unwrap_or(u32::MAX),
            pointer: pointer.to_owned(),
            message: message.into(),
        });
    }

    /// The line of an offset, counted from one.
    pub(super) fn line(&self, offset: usize) -> u32 {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        u32::try_from(before.iter().filter(|byte| **byte == b'\n').count() + 1).unwrap_or(u32::MAX)
    }

    /// Notes a name that is none of those known.
    pub(super) fn unknown(&mut self, name: &ObjectPropName<'_>, pointer: &str, what: &str, known: &[&str]) {
        self.problem(name, pointer, unknown_name(what, name.as_str(), known));
    }

    /// Notes members whose name another member before them has.
    pub(super) fn refuse_duplicates(&mut self, object: &Object<'_>, pointer: &dyn Fn() -> String) {
        for (index, member) in object.properties.iter().enumerate() {
            let name = member.name.as_str();
            if object.properties[..index].iter().any(|other| other.name.as_str() == name) {
                let pointer = format!("{}/{}", pointer(), escape(name));
                self.problem(&member.name, &pointer, format!("the member `{}` is here twice", shown(name)));
            }
        }
    }

    pub(super) fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// The outcome of reading, problems in file order.
    pub(super) fn finish<T>(mut self, value: T) -> Result<T, Vec<Problem>> {
        if self.problems.is_empty() {
            return Ok(value);
        }
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        Err(self.problems)
    }
}

/// A reference token of a JSON Pointer (RFC 6901 §3).
pub(super) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Says that a name is unknown, and which known one was probably meant.
pub(super) fn unknown_name(what: &str, name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("unknown {what} `{}`: did you mean `{near}`?", shown(name)),
        None => format!("unknown {what} `{}`: there are `{}`", shown(name), known.join("`, `")),
    }
}

/// The known name that is closest to a mistyped one, if one is close.
pub(super) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let name = name.to_lowercase();
    known
        .into_iter()
        .map(|known| (strsim::osa_distance(&name, &known.to_lowercase()), known))
        .filter(|(distance, known)| *distance <= known.len().max(3) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// A name from the file, cut to a length that a message can carry.
pub(super) fn shown(name: &str) -> String {
    const LIMIT: usize = 80;
    if name.chars().count() <= LIMIT {
        return name.to_owned();
    }
    name.chars().take(LIMIT).chain(['…']).collect()
}

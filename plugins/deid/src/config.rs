//! Reads Microsoft's anonymizer configuration, and refuses whatever it would not honour.
//!
//! The original tool ignores what it does not understand: a misspelt path or member there means that data
//! stay in clear. Here every such case is a problem with its place in the file, and all problems are told at
//! once.

mod dead;
mod parameters;
mod path;
mod source;

use std::borrow::Cow;

use fireguard_sdk::{File, Problem};
use jsonc_parser::ast::{Array, Object, ObjectProp, Value};
use jsonc_parser::common::Ranged;

use crate::rules::{Method, Pattern, Rule, Rules};
use source::Source;

/// Methods of the original tool that this version does not have.
const OTHER_METHODS: [&str; 4] = ["encrypt", "substitute", "perturb", "generalize"];

/// Reads a configuration file: JSON with a byte order mark, comments and trailing commas allowed.
///
/// # Errors
/// Everything in the file that would not be honoured.
pub fn read(file: &File) -> Result<Rules, Vec<Problem>> {
    let mut source = Source::new(file)?;
    let value = source.parse()?;
    let mut rules = Rules::default();
    let mut places = Vec::new();
    match &value {
        Value::Object(root) => read_root(root, &mut rules, &mut places, &mut source),
        other => source.problem(other, "", "the configuration has to be a JSON object"),
    }
    // Only what was understood as a whole can be checked as a whole.
    if source.is_clean() {
        let dead;
        (rules, dead) = dead::find(rules);
        for (rule, covering) in dead {
            let (offset, index) = places[rule];
            let lines: Vec<_> =
                covering.iter().map(|rule| source.line(places[*rule].0).to_string()).collect();
            let message = match lines.as_slice() {
                [] => "this rule can never apply: R4 has nothing that it selects".to_owned(),
                lines => format!(
                    "this rule can never apply: what it selects is covered by rules above it (line {}); put it before them or take it out",
                    lines.join(", ")
                ),
            };
            source.problem_at(offset, &format!("/fhirPathRules/{index}/path"), message);
        }
    }
    source.finish(rules)
}

fn read_root(
    root: &Object<'_>,
    rules: &mut Rules,
    places: &mut Vec<(usize, usize)>,
    source: &mut Source<'_>,
) {
    source.refuse_duplicates(root, &String::new);
    for member in &root.properties {
        let name = member.name.as_str();
        let pointer = format!("/{}", source::escape(name));
        match name {
            "fhirVersion" => read_version(member, source),
            "processingErrors" => read_processing_errors(member, source),
            "fhirPathRules" => match &member.value {
                Value::Array(array) => read_rules(array, rules, places, source),
                other => source.problem(other, &pointer, "fhirPathRules has to be an array of rules"),
            },
            "parameters" => match &member.value {
                Value::Object(object) => rules.parameters = parameters::read(object, source),
                other => source.problem(other, &pointer, "parameters has to be an object"),
            },
            "processingError" => {
                source.problem(
                    &member.name,
                    &pointer,
                    "unknown member `processingError`: it is `processingErrors`",
                );
            }
            _ => source.unknown(
                &member.name,
                &pointer,
                "member",
                &["fhirVersion", "processingErrors", "fhirPathRules", "parameters"],
            ),
        }
    }
    if root.get("fhirPathRules").is_none() {
        source.problem(root, "", "there is no `fhirPathRules`, the array of rules");
    }
}

fn read_version(member: &ObjectProp<'_>, source: &mut Source<'_>) {
    let version = member.value.as_string_lit().map(|literal| literal.value.as_ref());
    if !version.is_some_and(|version| version.is_empty() || version.eq_ignore_ascii_case("R4")) {
        source.problem(&member.value, "/fhirVersion", "fhirVersion has to be \"R4\" or empty");
    }
}

fn read_processing_errors(member: &ObjectProp<'_>, source: &mut Source<'_>) {
    let choice = member.value.as_string_lit().map(|literal| literal.value.as_ref());
    if !choice.is_some_and(|choice| choice.eq_ignore_ascii_case("raise")) {
        source.problem(
            &member.value,
            "/processingErrors",
            "processingErrors has to be \"raise\": a resource that cannot be processed is refused; \"skip\" is not supported",
        );
    }
}

fn read_rules(
    array: &Array<'_>,
    rules: &mut Rules,
    places: &mut Vec<(usize, usize)>,
    source: &mut Source<'_>,
) {
    for (index, element) in array.elements.iter().enumerate() {
        let Value::Object(object) = element else {
            let message = "a rule has to be an object with `path` and `method`";
            source.problem(element, &pointer(index, ""), message);
            continue;
        };
        if let Some(rule) = read_rule(object, index, source) {
            places.push((object.get("path").map_or(object.start(), |path| path.value.start()), index));
            rules.list.push(rule);
        }
    }
}

/// The place of a rule or of one of its members. Every instance reads the rules, and hardly ever needs it.
fn pointer(index: usize, member: &str) -> String {
    match member {
        "" => format!("/fhirPathRules/{index}"),
        member => format!("/fhirPathRules/{index}/{}", source::escape(member)),
    }
}

fn read_rule(object: &Object<'_>, index: usize, source: &mut Source<'_>) -> Option<Rule> {
    source.refuse_duplicates(object, &|| pointer(index, ""));
    for member in &object.properties {
        let name = member.name.as_str();
        if !matches!(name, "path" | "method" | "only") {
            source.unknown(&member.name, &pointer(index, name), "member", &["path", "method", "only"]);
        }
    }
    let path = required(object, "path", index, source).and_then(|(path, place)| {
        let problem = |message| source.problem_at(place, &pointer(index, "path"), message);
        path::parse(&path).map_err(problem).ok()
    });
    let method = required(object, "method", index, source).and_then(|(name, place)| {
        let found = Method::NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name));
        if found.is_none() {
            let message = if let Some(other) = OTHER_METHODS.iter().find(|m| m.eq_ignore_ascii_case(&name)) {
                format!("the method `{other}` is not supported in this version")
            } else {
                let known: Vec<_> = Method::NAMES.iter().map(|(known, _)| *known).collect();
                source::unknown_name("method", &name, &known)
            };
            source.problem_at(place, &pointer(index, "method"), message);
        }
        found.map(|(_, method)| *method)
    });
    let only = match object.get("only") {
        Some(member) => read_only(member, &pointer(index, "only"), source),
        None => Vec::new(),
    };
    let (path, method) = (path?, method?);
    if let Some(member) = object.get("only")
        && let Err(message) = path.accepts_list(method)
    {
        source.problem(&member.name, &pointer(index, "only"), message);
    }
    if let Err(message) = path.accepts(method) {
        let place = object.get("method").map_or(object.start(), |method| method.value.start());
        source.problem_at(place, &pointer(index, "method"), message);
    }
    Some(Rule { scope: path.scope, selection: path.selection, method, only })
}

/// The values that a rule lets stay; a star at the end stands for whatever follows.
fn read_only(member: &ObjectProp<'_>, pointer: &str, source: &mut Source<'_>) -> Vec<Pattern> {
    let Value::Array(array) = &member.value else {
        source.problem(&member.value, pointer, "`only` has to be an array of strings");
        return Vec::new();
    };
    if array.elements.is_empty() {
        source.problem(array, pointer, "`only` lists nothing: to let no value stay, redact");
    }
    let mut only = Vec::new();
    for (index, element) in array.elements.iter().enumerate() {
        let text = element.as_string_lit().map(|literal| literal.value.as_ref()).unwrap_or_default();
        match text.strip_suffix('*') {
            None if !text.is_empty() && !text.contains('*') => only.push(Pattern::Exact(text.to_owned())),
            Some(start) if !start.is_empty() && !start.contains('*') => {
                only.push(Pattern::Prefix(start.to_owned()));
            }
            _ => source.problem(
                element,
                &format!("{pointer}/{index}"),
                "this has to be a string, with `*` nowhere but at the end and not alone: \"http://loinc.org\" or \"http://hl7.org/fhir/*\"",
            ),
        }
    }
    only
}

/// A member that has to be there and has to be a string, and where its value starts.
fn required<'a>(
    object: &Object<'a>,
    name: &str,
    index: usize,
    source: &mut Source<'_>,
) -> Option<(Cow<'a, str>, usize)> {
    match object.get(name) {
        Some(ObjectProp { value: Value::StringLit(literal), .. }) => {
            Some((literal.value.clone(), literal.start()))
        }
        Some(member) => {
            let message = format!("`{name}` has to be a string");
            source.problem(&member.value, &pointer(index, name), message);
            None
        }
        None => {
            source.problem(object, &pointer(index, ""), format!("this rule has no `{name}`"));
            None
        }
    }
}

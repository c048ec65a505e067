//! `parameters`: the switches of `redact`, and much that belongs elsewhere.

use jsonc_parser::ast::{Object, ObjectProp, Value};

use super::source::{Source, escape};
use crate::rules::Parameters;

const KNOWN: [&str; 10] = [
    "dateShiftKey",
    "dateShiftScope",
    "dateShiftFixedOffsetInDays",
    "cryptoHashKey",
    "encryptKey",
    "enablePartialAgesForRedact",
    "enablePartialDatesForRedact",
    "enablePartialZipCodesForRedact",
    "restrictedZipCodeTabulationAreas",
    "customSettings",
];

pub(super) fn read(object: &Object<'_>, source: &mut Source<'_>) -> Parameters {
    source.refuse_duplicates(object, &|| "/parameters".to_owned());
    let mut parameters = Parameters::default();
    for member in &object.properties {
        let name = member.name.as_str();
        let pointer = format!("/parameters/{}", escape(name));
        match name {
            "dateShiftKey" | "cryptoHashKey" | "encryptKey" => refuse_key(member, &pointer, source),
            "dateShiftScope" => refuse_other_scope(member, &pointer, source),
            "dateShiftFixedOffsetInDays" => source.problem(
                &member.value,
                &pointer,
                "a fixed offset is not supported: every patient has an offset of its own, from the host's key",
            ),
            "enablePartialAgesForRedact" => parameters.partial_ages = flag(member, &pointer, source),
            "enablePartialDatesForRedact" => parameters.partial_dates = flag(member, &pointer, source),
            "enablePartialZipCodesForRedact" => parameters.partial_zip_codes = flag(member, &pointer, source),
            "restrictedZipCodeTabulationAreas" => {
                parameters.restricted_zip_areas = areas(member, &pointer, source);
            }
            "customSettings" => match &member.value {
                Value::NullKeyword(_) => {}
                Value::Object(settings) if settings.properties.is_empty() => {}
                other => source.problem(other, &pointer, "there are no custom methods to take customSettings"),
            },
            _ => source.unknown(&member.name, &pointer, "parameter", &KNOWN),
        }
    }
    parameters
}

fn refuse_key(member: &ObjectProp<'_>, pointer: &str, source: &mut Source<'_>) {
    let empty = match &member.value {
        Value::NullKeyword(_) => true,
        Value::StringLit(literal) => literal.value.is_empty(),
        _ => false,
    };
    if !empty {
        source.problem(
            &member.value,
            pointer,
            "keys do not belong in this file: the host keeps the key; leave this empty and grant one in `[plugins.<name>.grants.pseudonym]`",
        );
    }
}

fn refuse_other_scope(member: &ObjectProp<'_>, pointer: &str, source: &mut Source<'_>) {
    let scope = member.value.as_string_lit().map(|literal| literal.value.as_ref());
    if !scope.is_some_and(|scope| scope.eq_ignore_ascii_case("resource")) {
        source.problem(
            &member.value,
            pointer,
            "dateShiftScope has to be \"resource\": there are no files or folders here, and dates move per patient",
        );
    }
}

fn flag(member: &ObjectProp<'_>, pointer: &str, source: &mut Source<'_>) -> bool {
    match &member.value {
        Value::BooleanLit(literal) => literal.value,
        other => {
            source.problem(other, pointer, format!("`{}` has to be true or false", member.name.as_str()));
            false
        }
    }
}

fn areas(member: &ObjectProp<'_>, pointer: &str, source: &mut Source<'_>) -> Vec<String> {
    let Value::Array(array) = &member.value else {
        source.problem(&member.value, pointer, "this has to be an array of strings such as \"036\"");
        return Vec::new();
    };
    let mut areas = Vec::new();
    for (index, element) in array.elements.iter().enumerate() {
        match element {
            // An empty one would be the start of every postal code.
            Value::StringLit(literal) if !literal.value.is_empty() => areas.push(literal.value.to_string()),
            other => {
                source.problem(
                    other,
                    &format!("{pointer}/{index}"),
                    "an area has to be a string such as \"036\"",
                );
            }
        }
    }
    areas
}

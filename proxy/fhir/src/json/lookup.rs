//! Looking up one member without walking the rest.

use std::borrow::Cow;

use super::lex::{Kind, Lexer};
use super::rewrite::{Key, Value, bounded};

/// The first member of this name in the object that `text` starts with, at its top level.
///
/// It reads up to that member and no further. So it is for a text that is, or will be, checked as a whole:
/// it does not tell whether another member of that name follows. `None` also stands for what is not an
/// object or not valid so far.
#[must_use]
pub fn member<'a>(text: &'a [u8], name: &str) -> Option<Value<'a>> {
    bounded(text).ok()?;
    let mut lexer = Lexer::lenient(text);
    let kind = lexer.kind().ok().filter(|kind| *kind == Kind::Object)?;
    let mut more = lexer.open(kind).ok()?;
    while more {
        let (entry, print) = lexer.key().ok()?;
        let key = Key::new(text, entry, print);
        let start = lexer.at();
        let kind = lexer.kind().ok()?;
        let found = key.is(name);
        let container = matches!(kind, Kind::Object | Kind::Array);
        if found && container {
            return Some(Value::new(kind, &text[start..]));
        }
        lexer.value(kind).ok()?;
        if found {
            return Some(Value::new(kind, &text[start..lexer.at()]));
        }
        more = lexer.comma(Kind::Object).ok()?;
    }
    None
}

/// The value that a text starts with, without what follows it.
pub(super) fn first_value(text: &[u8]) -> Option<&[u8]> {
    let mut lexer = Lexer::lenient(text);
    lexer.value(lexer.kind().ok()?).ok()?;
    Some(&text[..lexer.at()])
}

/// The `resourceType` of a resource, read as [`member`] does.
///
/// ```
/// use fireguard_fhir::json::resource_type_of;
///
/// assert_eq!(resource_type_of(br#"{ "id": "1", "resourceType": "Patient" }"#).as_deref(), Some("Patient"));
/// assert_eq!(resource_type_of(b"[]"), None);
/// ```
#[must_use]
pub fn resource_type_of(resource: &[u8]) -> Option<Cow<'_, str>> {
    member(resource, "resourceType")?.string()
}

//! Names that come from outside and are kept only when they have the right form.

use std::fmt;

/// An id or a version id: `[A-Za-z0-9\-.]{1,64}` (R4 datatypes.html#id), but not `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(String);

impl Id {
    /// `None` when the text is no id.
    pub fn parse(text: &str) -> Option<Self> {
        Self::is(text).then(|| Self(text.to_owned()))
    }

    /// Whether the text is an id.
    pub fn is(text: &str) -> bool {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        let dots = matches!(text, "." | "..");
        (1..=64).contains(&text.len()) && text.bytes().all(allowed) && !dots
    }

    /// The version that an entity tag names: `W/"3"`, and as some clients send it `"3"` or `3`.
    pub fn from_etag(tag: &str) -> Option<Self> {
        let tag = tag.trim_matches([' ', '\t']);
        let tag = tag.strip_prefix("W/").filter(|rest| rest.starts_with('"')).unwrap_or(tag);
        let inside = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        Self::parse(inside.unwrap_or(tag))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an operation with its dollar sign.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationName(String);

impl OperationName {
    /// `None` when it does not start with a dollar sign and a letter, has other characters than letters,
    /// digits, `-`, `_` and `.`, or is longer than 64.
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.strip_prefix('$')?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let starts = name.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
        (starts && text.len() <= 64 && name.bytes().all(allowed)).then(|| Self(text.to_owned()))
    }

    /// The name with its dollar sign.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OperationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        for text in ["1", "a-b.c", "...", "A", &"x".repeat(64)] {
            assert_eq!(Id::parse(text).unwrap().as_str(), text);
        }
        for text in ["", ".", "..", "a_b", "a b", "ä", "a/b", "$x", "*", &"x".repeat(65)] {
            assert_eq!(Id::parse(text), None, "{text}");
        }
    }

    #[test]
    fn entity_tags() {
        for text in ["W/\"3\"", "\"3\"", "3", " W/\"3\" "] {
            assert_eq!(Id::from_etag(text), Id::parse("3"), "{text}");
        }
        for text in ["", "*", "W/3", "W/\"\"", "\"3", "3\"", "w/\"3\"", "W/\"1\", W/\"2\"", "\"a b\""] {
            assert_eq!(Id::from_etag(text), None, "{text}");
        }
    }

    #[test]
    fn operation_names() {
        for text in ["$everything", "$validate-code", "$hapi.fhir.merge", "$x"] {
            assert_eq!(OperationName::parse(text).unwrap().as_str(), text);
        }
        for text in ["everything", "$", "$-x", "$1", "$a b", "$a$b", "$ä", &format!("${}", "x".repeat(64))] {
            assert_eq!(OperationName::parse(text), None, "{text}");
        }
    }
}

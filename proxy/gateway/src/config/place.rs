//! Where a setting stands in the file.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// Where the value of the setting with these names stands; none if it is left out.
pub fn place(text: &str, names: &[&str]) -> Option<Range<usize>> {
    walk(text, names).1
}

/// The line (from 1) in which the setting is named, or the nearest table around it that is written.
pub fn line(text: &str, names: &[&str]) -> Option<usize> {
    let at = walk(text, names).0?.start;
    Some(text.get(..at)?.matches('\n').count() + 1)
}

/// The innermost name that is there, and the value if all of them are.
fn walk(text: &str, names: &[&str]) -> (Option<Range<usize>>, Option<Range<usize>>) {
    let Ok(parsed) = DeTable::parse(text) else { return (None, None) };
    let mut table = parsed.get_ref();
    let mut named = None;
    for (depth, name) in names.iter().enumerate() {
        let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref() == name) else { break };
        named = Some(key.span());
        if depth + 1 == names.len() {
            return (named, Some(value.span()));
        }
        let DeValue::Table(inner) = value.get_ref() else { break };
        table = inner;
    }
    (named, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_what_is_around_them() {
        let text =
            "log = { level = \"info\" }\n[upstreams.hapi]\nurl = \"http://h\"\n[routes]\nfhir.path = \"/\"\n";
        for (names, value, expected) in [
            (&["upstreams", "hapi", "url"][..], Some("\"http://h\""), Some(3)),
            (&["upstreams", "hapi", "concurrency", "most"], None, Some(2)),
            (&["upstreams", "other", "url"], None, Some(2)),
            (&["log", "level"], Some("\"info\""), Some(1)),
            (&["log", "level", "deeper"], None, Some(1)),
            (&["routes", "fhir", "path"], Some("\"/\""), Some(5)),
            (&["limits", "drain"], None, None),
        ] {
            assert_eq!(place(text, names).map(|span| &text[span]), value, "{names:?}");
            assert_eq!(line(text, names), expected, "{names:?}");
        }
    }
}

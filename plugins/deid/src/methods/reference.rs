//! Literal references: which part of one is the id.

use fireguard_sdk::fhir::r4::ResourceType;

/// A reference, split so that `before + hash of id + after` can take its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reference<'t> {
    /// What precedes the id: `Patient/`, `#`, `urn:uuid:`, or nothing when the shape is not known and the
    /// whole text counts as the id.
    pub(crate) before: &'t str,
    /// The id; of a resource on another server its address, which may be internal or tell a name.
    pub(crate) id: &'t str,
    /// `/_history/3`, or nothing.
    pub(crate) after: &'t str,
    /// The resource type that the text names.
    pub(crate) ty: Option<ResourceType>,
    /// The text without the version.
    pub(crate) target: &'t str,
}

impl<'t> Reference<'t> {
    /// Takes a reference apart.
    pub(crate) fn parse(text: &'t str) -> Self {
        let whole = Self { before: "", id: text, after: "", ty: None, target: text };
        let prefixed = |length: usize| {
            let (before, id) = text.split_at(length);
            Self { before, id, after: "", ty: None, target: text }
        };
        if text.starts_with('#') {
            return prefixed(1);
        }
        if let Some(uuid) = text.strip_prefix("urn:uuid:") {
            return if is_uuid(uuid) { prefixed(9) } else { whole };
        }
        if let Some(oid) = text.strip_prefix("urn:oid:") {
            return if is_oid(oid) { prefixed(8) } else { whole };
        }
        Self::of_resource(text).unwrap_or(whole)
    }

    /// `[http://server/base/]Type/id[/_history/version]`
    fn of_resource(text: &'t str) -> Option<Self> {
        let (mut to_id, mut version) = (text, None);
        let mut last = split_last(text)?;
        if let Some((path, "_history")) = split_last(last.0) {
            (to_id, version) = (path, Some(last.1));
            last = split_last(path)?;
        }
        let (to_type, id) = last;
        if !is_id(id) || !version.is_none_or(is_version) {
            return None;
        }
        let (base, ty) = match to_type.bytes().rposition(|byte| byte == b'/') {
            Some(slash) => to_type.split_at(slash + 1),
            None => ("", to_type),
        };
        let ty = ResourceType::parse(ty)?;
        (base.is_empty() || is_base(base)).then(|| Self {
            before: &to_id[base.len()..to_id.len() - id.len()],
            id: if base.is_empty() { id } else { to_id },
            after: &text[to_id.len()..],
            ty: Some(ty),
            target: to_id,
        })
    }
}

/// What is before and after the last slash.
fn split_last(text: &str) -> Option<(&str, &str)> {
    let slash = text.bytes().rposition(|byte| byte == b'/')?;
    Some((&text[..slash], &text[slash + 1..]))
}

fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

/// A number, as servers count. Clients may have written anything.
fn is_version(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The characters that the original allows in a server's address; there is no hyphen among them.
fn is_base(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'\\' | b'/' | b'.' | b':' | b'%' | b'$');
    rest.is_some_and(|rest| rest.bytes().all(allowed))
}

fn is_uuid(text: &str) -> bool {
    let groups = text.split('-').map(str::len);
    groups.eq([8, 4, 4, 4, 12]) && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}

fn is_oid(text: &str) -> bool {
    text.split('.').all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_id() {
        for (text, before, id, after) in [
            ("Patient/p-1", "Patient/", "p-1", ""),
            ("Patient/p.1/_history/3", "Patient/", "p.1", "/_history/3"),
            (
                "https://fhir.example.org:80/r4/Patient/1",
                "Patient/",
                "https://fhir.example.org:80/r4/Patient/1",
                "",
            ),
            (
                "http://example.org/Observation/a/_history/2",
                "Observation/",
                "http://example.org/Observation/a",
                "/_history/2",
            ),
            ("#p1", "#", "p1", ""),
            ("#", "#", "", ""),
            ("urn:oid:1.2.3", "urn:oid:", "1.2.3", ""),
            (
                "urn:uuid:C757873D-EC9A-4326-A141-556F43239520",
                "urn:uuid:",
                "C757873D-EC9A-4326-A141-556F43239520",
                "",
            ),
        ] {
            let reference = Reference::parse(text);
            assert_eq!((reference.before, reference.id, reference.after), (before, id, after), "{text}");
            assert_eq!(format!("{}{after}", reference.target), text);
        }
    }

    #[test]
    fn other_shapes_are_all_id() {
        for text in [
            "",
            "034AB16",
            "Patient",
            "Patient/",
            "Patient/a_b",
            "Patient/é",
            "Unknown/1",
            "patient/1",
            "/Patient/1",
            "x/Patient/1",
            "https://fhir-prod.example.org/Patient/1",
            "ftp://example.org/Patient/1",
            "Patient/1/_history/",
            "Patient/1/_history/2/",
            "Patient/1/_history/miller",
            "Patient?identifier=http://h/mrn|123",
            "Patient/1?x=1",
            "Patient/1#p",
            "urn:uuid:1",
            "urn:oid:a",
            "Patient/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            assert_eq!(
                Reference::parse(text),
                Reference { before: "", id: text, after: "", ty: None, target: text },
                "{text}"
            );
        }
    }
}

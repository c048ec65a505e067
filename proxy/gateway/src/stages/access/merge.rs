//! What a writer may not take away from a resource, put back into the version it writes.

use std::collections::BTreeSet;

use fireguard_access::decision::Resource;
use fireguard_fhir::json::{Error, Tree};
use fireguard_fhir::marks;

/// Whether somebody was shown this with something left out: written back, that would be gone.
pub(super) fn is_marked(resource: &Resource) -> bool {
    let mark = |label: &String| marks::is_mark(label.rsplit('|').next().unwrap_or_default());
    resource.tags.iter().chain(&resource.labels).any(mark)
}

/// What is put back.
pub(super) struct Kept<'a> {
    /// Security labels, as `system|code`.
    pub(super) labels: BTreeSet<&'a String>,
    /// Elements at the top of the resource.
    pub(super) elements: BTreeSet<&'a str>,
}

impl Kept<'_> {
    /// The new version with what of the stored one is kept. None: that changes nothing.
    ///
    /// # Errors
    /// One of them is not valid JSON.
    pub(super) fn put_back(&self, stored: &[u8], new: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        if self.labels.is_empty() && self.elements.is_empty() {
            return Ok(None);
        }
        let (stored, mut new) = (Tree::parse(stored)?, Tree::parse(new)?);
        for name in &self.elements {
            // The id and extensions of a primitive go with it.
            for name in [(*name).to_owned(), format!("_{name}")] {
                match stored.get(&name) {
                    Some(value) => new.set(&name, value.clone()),
                    None if stored.get(name.trim_start_matches('_')).is_some() => _ = new.take(&name),
                    None => {}
                }
            }
        }
        let labels = stored.get("meta").and_then(|meta| meta.get("security")).map_or(&[][..], Tree::elements);
        let lost: Vec<_> =
            labels.iter().filter(|label| self.labels.contains(&named(label))).cloned().collect();
        if !lost.is_empty() {
            if new.get("meta").is_none() {
                new.set("meta", Tree::Object(Vec::new()));
            }
            if let Some(meta) = new.get_mut("meta") {
                let mut all = meta.get("security").map_or(&[][..], Tree::elements).to_vec();
                all.extend(lost);
                meta.set("security", Tree::Array(all));
            }
        }
        Ok(Some(new.to_bytes()))
    }
}

/// As `system|code`.
fn named(coding: &Tree) -> String {
    let part = |name: &str| coding.get(name).and_then(Tree::as_text).unwrap_or_default();
    format!("{}|{}", part("system"), part("code"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back() {
        let stored = r#"{"meta":{"security":[{"system":"s","code":"R"},{"system":"s","code":"V"}]},
            "birthDate":"2000","_birthDate":{"id":"b"},"name":[{"family":"x"}],"value":1.50}"#;
        for (labels, elements, new, expected) in [
            (
                &[][..],
                &["birthDate"][..],
                r#"{"a":1.0}"#,
                r#"{"a":1.0,"birthDate":"2000","_birthDate":{"id":"b"}}"#,
            ),
            (
                &[],
                &["birthDate"],
                r#"{"birthDate":"1999","a":1}"#,
                r#"{"birthDate":"2000","a":1,"_birthDate":{"id":"b"}}"#,
            ),
            (&[], &["name"], r#"{"_name":[null]}"#, r#"{"name":[{"family":"x"}]}"#),
            (&[], &["value"], "{}", r#"{"value":1.50}"#),
            (&[], &["note"], r#"{"note":[1]}"#, r#"{"note":[1]}"#),
            (&["s|R"], &[], "{}", r#"{"meta":{"security":[{"system":"s","code":"R"}]}}"#),
            (
                &["s|R"],
                &[],
                r#"{"meta":{"tag":[],"security":[{"code":"N"}]}}"#,
                r#"{"meta":{"tag":[],"security":[{"code":"N"},{"system":"s","code":"R"}]}}"#,
            ),
        ] {
            let labels: Vec<String> = labels.iter().map(|label: &&str| (*label).to_owned()).collect();
            let kept = Kept { labels: labels.iter().collect(), elements: elements.iter().copied().collect() };
            let merged = kept.put_back(stored.as_bytes(), new.as_bytes()).unwrap().unwrap();
            assert_eq!(String::from_utf8(merged).unwrap(), expected, "{new}");
        }
        let nothing = Kept { labels: BTreeSet::new(), elements: BTreeSet::new() };
        assert_eq!(nothing.put_back(b"{}", b"{}").unwrap(), None);
    }
}

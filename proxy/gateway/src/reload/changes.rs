//! What differs between two configurations, for the log: names of settings, never their values.

use std::collections::BTreeSet;
use std::fmt;

use toml::{Table, Value};

use crate::config::Tls;

/// Names of settings that differ.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes(BTreeSet<String>);

impl Changes {
    /// Between two texts that can be read.
    pub(super) fn between(before: &str, after: &str) -> Self {
        let mut changes = Self::default();
        if let (Ok(before), Ok(after)) = (before.parse(), after.parse()) {
            changes.tables("", &before, &after);
        }
        changes
    }

    /// What the files of the certificate hold.
    pub(super) fn files(&mut self, before: Option<&Tls>, after: Option<&Tls>) {
        let same = match (before, after) {
            (Some(before), Some(after)) => {
                before.certificate == after.certificate
                    && before.key.expose() == after.key.expose()
                    && before.clients == after.clients
            }
            (None, None) => true,
            _ => false,
        };
        if !same {
            self.name("server.tls".to_owned());
        }
    }

    /// One more: what this setting stands for.
    pub(super) fn name(&mut self, setting: String) {
        self.0.insert(setting);
    }

    fn tables(&mut self, path: &str, before: &Table, after: &Table) {
        for name in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            match (before.get(name), after.get(name)) {
                (Some(Value::Table(before)), Some(Value::Table(after))) => self.tables(&path, before, after),
                (before, after) if before != after => {
                    self.0.insert(path);
                }
                _ => {}
            }
        }
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(String::as_str).collect();
        f.write_str(&names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_named_without_their_values() {
        let before = "[limits]\ndrain = \"1s\"\nconnect = \"2s\"\n[routes.a]\npath = \"/a\"\n";
        for (after, expected) in [
            (before, ""),
            ("# words\n[routes]\na = { path = \"/a\" }\n[limits]\nconnect = \"2s\"\ndrain = \"1s\"\n", ""),
            ("[limits]\ndrain = \"2s\"\nconnect = \"2s\"\n[routes.a]\npath = \"/a\"\n", "limits.drain"),
            ("[limits]\ndrain = \"1s\"\n[routes.a]\npath = \"/b\"\n", "limits.connect, routes.a.path"),
            ("[routes.a]\npath = \"/a\"\n[routes.b]\npath = \"/b\"\n", "limits, routes.b"),
        ] {
            assert_eq!(Changes::between(before, after).to_string(), expected, "{after}");
        }
    }
}

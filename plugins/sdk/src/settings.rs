//! How a plugin reads its settings.

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use crate::json::{self, Step};
use crate::{File, Problem, Settings};

impl Settings {
    /// The file of this name.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&File> {
        self.files.iter().find(|file| file.name == name)
    }

    /// Reads the settings into a type of the plugin's own, lists and tables in it included. Give the type
    /// `#[serde(deny_unknown_fields)]`, so that a misspelt name is refused.
    ///
    /// ```
    /// # use fireguard_sdk::Settings;
    /// #[derive(serde::Deserialize)]
    /// #[serde(deny_unknown_fields)]
    /// struct Codes {
    ///     codes: Vec<String>,
    /// }
    ///
    /// let settings = Settings { json: r#"{"codes": ["R", 5]}"#.to_owned(), files: Vec::new() };
    /// let problems = settings.read::<Codes>().err().unwrap_or_default();
    /// assert_eq!(problems[0].pointer, "/codes/1");
    /// assert_eq!(problems[0].message, "invalid type: integer `5`, expected a string");
    /// ```
    ///
    /// # Errors
    /// The first thing that does not fit, with its place.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Vec<Problem>> {
        let mut json = serde_json::Deserializer::from_str(&self.json);
        serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let pointer = pointer(error.path());
            let error = error.into_inner();
            // Line and column would be those of a text that the operator has never seen.
            let place = format!(" at line {} column {}", error.line(), error.column());
            let message = error.to_string();
            let message = message.strip_suffix(&place).unwrap_or(&message).to_owned();
            vec![Problem { pointer, message, ..Problem::default() }]
        })
    }

    /// Refuses settings that the plugin does not know; for plugins that read them without [`Settings::read`].
    ///
    /// # Errors
    /// A problem for each member of the settings that `known` does not name, or one if they are no object.
    pub fn refuse_unknown(&self, known: &[&str]) -> Result<(), Vec<Problem>> {
        let mut problems = Vec::new();
        let mut meet = |path: &str, _: &json::Value<'_>, _: &mut Vec<u8>| {
            // A path writes `\.` and `\\` for the dots and backslashes of a name.
            let name = path.replace("\\.", ".").replace("\\\\", "\\");
            if !known.contains(&name.as_str()) {
                let pointer = format!("/{}", escaped(&name));
                let message = match known {
                    [] => format!("unknown setting `{name}`: this plugin has none"),
                    _ => format!("unknown setting `{name}`: there are `{}`", known.join("`, `")),
                };
                problems.push(Problem { pointer, message, ..Problem::default() });
            }
            Step::Keep
        };
        let text = self.json.as_bytes();
        let object = text.trim_ascii_start().first() == Some(&b'{');
        match json::transform(text, &mut meet) {
            Ok(_) if object && problems.is_empty() => Ok(()),
            Ok(_) if object => Err(problems),
            Ok(_) => Err(vec![Problem::of_settings("the settings have to be a JSON object")]),
            Err(error) => Err(vec![Problem::of_settings(format!("the settings: {error}"))]),
        }
    }
}

/// A JSON Pointer (RFC 6901).
fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", escaped(key))),
            Segment::Enum { variant } => pointer.push_str(&format!("/{}", escaped(variant))),
            Segment::Unknown => break,
        }
    }
    pointer
}

/// A name as a JSON Pointer writes it.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Sample {
        codes: Vec<String>,
        #[serde(default)]
        limits: BTreeMap<String, u8>,
    }

    #[test]
    fn what_does_not_fit_has_a_place() {
        for (json, pointer, message) in [
            (r#"{"codes": ["R", 5]}"#, "/codes/1", "invalid type: integer `5`, expected a string"),
            (r#"{"codes": "R"}"#, "/codes", "invalid type: string \"R\", expected a sequence"),
            (r#"{"codes": [], "code": []}"#, "/code", "unknown field `code`, expected `codes` or `limits`"),
            (
                r#"{"codes": [], "limits": {"a/b": 300}}"#,
                "/limits/a~1b",
                "invalid value: integer `300`, expected u8",
            ),
            (r#"{"codes": [], "codes": []}"#, "", "duplicate field `codes`"),
            ("{}", "", "missing field `codes`"),
        ] {
            let settings = Settings { json: json.to_owned(), files: Vec::new() };
            let problems = settings.read::<Sample>().unwrap_err();
            let [problem] = &problems[..] else { panic!("{problems:?}") };
            assert_eq!((problem.pointer.as_str(), problem.message.as_str()), (pointer, message), "{json}");
        }
        let settings = Settings { json: r#"{"codes": ["R", "V"]}"#.to_owned(), files: Vec::new() };
        assert_eq!(settings.read::<Sample>().unwrap().codes, ["R", "V"]);
    }

    fn refused(json: &str, known: &[&str]) -> Vec<(String, String)> {
        let settings = Settings { json: json.to_owned(), files: Vec::new() };
        let problems = settings.refuse_unknown(known).err().unwrap_or_default();
        problems.into_iter().map(|problem| (problem.pointer, problem.message)).collect()
    }

    #[test]
    fn refuses_unknown_settings() {
        assert_eq!(refused("{}", &[]), []);
        assert_eq!(refused(" {\"a\": {\"b\": 1}}", &["a"]), []);
        let unknown = refused(r#"{"a":1,"b/~.c":[2],"\u0064":3}"#, &["a", "z"]);
        let pointers: Vec<_> = unknown.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/b~1~0.c", "/d"]);
        assert_eq!(unknown[1].1, "unknown setting `d`: there are `a`, `z`");
        assert_eq!(refused("[]", &[]).len(), 1);
        assert_eq!(refused("{\"a\":1,\"a\":2}", &["a"]).len(), 1);
        assert!(refused("{", &[])[0].1.contains("ends too early"));
    }
}

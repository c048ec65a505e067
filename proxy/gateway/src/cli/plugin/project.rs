//! A plugin's project: a folder with a `plugin.toml`.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::cli::Failed;

/// The file that makes a folder a project.
pub(super) const MANIFEST: &str = "plugin.toml";

/// A folder with what its `plugin.toml` says.
pub(super) struct Project {
    pub(super) folder: PathBuf,
    pub(super) manifest: Manifest,
}

/// `plugin.toml`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// The component's name: it becomes `<name>.wasm`.
    pub(super) name: String,
    pub(super) language: Language,
    /// What the component exports besides `setup`. Rust says it in the code.
    #[serde(default)]
    pub(super) phases: Vec<Phase>,
    /// The capabilities that the component imports, besides `log` and `metrics`. Rust says it in the code.
    #[serde(default)]
    pub(super) uses: Vec<Capability>,
}

/// What a plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Language {
    /// Small and fast: the choice for what sees every resource.
    Rust,
    /// CPython in the component.
    Python,
    /// SpiderMonkey in the component.
    Javascript,
}

/// A phase that a plugin can take part in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Phase {
    /// Requests, before their body is looked at.
    Request,
    /// The resources of bodies, in both directions.
    Resources,
    /// Writes that the server has acknowledged.
    Written,
    /// Messages that become resources.
    Ingest,
}

/// An interface of the host that a plugin imports. `log` and `metrics` are always there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Capability {
    Pseudonym,
    KeyValue,
    Terminology,
    FhirClient,
    ObjectStore,
    HttpOut,
}

impl Project {
    /// The project in a folder, or in the nearest folder above.
    ///
    /// # Errors
    /// There is none, or its manifest is not right.
    pub(super) fn find(start: &Path) -> Result<Self, Failed> {
        let start = std::path::absolute(start)
            .map_err(|error| miette::miette!("cannot find {}: {error}", start.display()))?;
        let Some(folder) = start.ancestors().find(|folder| folder.join(MANIFEST).is_file()) else {
            return Err(miette::miette!(
                help = "`fireguard plugin new <folder> --lang rust` makes a project",
                "{} is no plugin's project: neither it nor a folder above has a {MANIFEST}",
                start.display()
            ));
        };
        let path = folder.join(MANIFEST);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| miette::miette!("cannot read {}: {error}", path.display()))?;
        let manifest =
            Manifest::parse(&text).map_err(|error| miette::miette!("{}: {error}", path.display()))?;
        Ok(Self { folder: folder.to_path_buf(), manifest })
    }

    /// Where the finished component is.
    pub(super) fn component(&self) -> PathBuf {
        self.folder.join(format!("{}.wasm", self.manifest.name))
    }

    /// The folder for what is made on the way; it may be deleted at any time.
    pub(super) fn scratch(&self) -> PathBuf {
        self.folder.join(".fireguard")
    }
}

impl Manifest {
    fn parse(text: &str) -> Result<Self, String> {
        let manifest: Self = toml::from_str(text).map_err(|error| error.to_string().trim().to_owned())?;
        check_name(&manifest.name)?;
        match (manifest.language, manifest.phases.is_empty(), manifest.uses.is_empty()) {
            (Language::Rust, false, _) | (Language::Rust, _, false) => {
                Err("in Rust the code says `phases` and `uses`: take them out".to_owned())
            }
            (Language::Python | Language::Javascript, true, _) => {
                Err("`phases` names none: [\"resources\"] for instance".to_owned())
            }
            _ => Ok(manifest),
        }
    }
}

/// Whether a project may have this name: cargo, Python and file systems must all take it.
///
/// # Errors
/// Says what a name looks like.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(fits) && name.len() <= 64 {
        Ok(())
    } else {
        Err(format!(
            "`{name}` is no name for a plugin: lower-case letters, digits and hyphens, a letter first, up to 64"
        ))
    }
}

impl Phase {
    /// The name of its interface.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Resources => "resources",
            Self::Written => "written",
            Self::Ingest => "ingest",
        }
    }
}

impl Capability {
    /// The name of its interface.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pseudonym => "pseudonym",
            Self::KeyValue => "key-value",
            Self::Terminology => "terminology",
            Self::FhirClient => "fhir-client",
            Self::ObjectStore => "object-store",
            Self::HttpOut => "http-out",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::Javascript => "javascript",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_say_what_is_wrong_with_them() {
        let cases = [
            ("name = \"a\"\nlanguage = \"rust\"", ""),
            ("name = \"a-1\"\nlanguage = \"python\"\nphases = [\"resources\"]\nuses = [\"key-value\"]", ""),
            ("name = \"A\"\nlanguage = \"rust\"", "`A` is no name for a plugin"),
            ("name = \"a\"\nlanguage = \"ruby\"", "unknown variant `ruby`"),
            ("name = \"a\"\nlanguage = \"rust\"\nphases = [\"request\"]", "in Rust the code says"),
            ("name = \"a\"\nlanguage = \"python\"", "`phases` names none"),
            ("name = \"a\"\nlanguage = \"python\"\nphases = [\"setup\"]", "unknown variant `setup`"),
            ("name = \"a\"\nlanguage = \"python\"\nphase = \"request\"", "unknown field `phase`"),
        ];
        for (text, expected) in cases {
            match Manifest::parse(text) {
                Ok(_) => assert_eq!(expected, "", "{text}"),
                Err(error) => assert!(!expected.is_empty() && error.contains(expected), "{text}: {error}"),
            }
        }
    }
}

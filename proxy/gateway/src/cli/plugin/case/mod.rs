//! A case of a plugin: a folder with what goes in and what is to come out.
//!
//! The names of the files say what they are: `settings.json`, `case.toml`, one of `input.json`, `request.json`,
//! `written.json` and `ingest.json`, and `expected.json`. Without any of the four only the plugin's answer to its
//! settings is looked at. Further files give it capabilities ([`host`]).

mod host;
mod input;
mod output;
mod play;
mod sight;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

pub(super) use input::{Input, request, resources};
pub(super) use output::{action, ingested, outcome, settled};
pub(super) use play::{Player, Trouble};
pub(super) use sight::Sight;

use crate::cli::Failed;

/// A case, read.
pub(super) struct Case {
    pub(super) name: String,
    folder: PathBuf,
    settings: Value,
    about: About,
    input: Input,
}

/// `case.toml`: what the input is part of.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct About {
    pub(super) route: String,
    pub(super) interaction: String,
    pub(super) direction: Direction,
    /// Files of the plugin, by the names it knows them by; paths from the case's folder.
    pub(super) files: BTreeMap<String, PathBuf>,
    /// Grants pseudonyms under this key, of 16 bytes at least.
    pub(super) pseudonym_key: Option<String>,
}

/// Which way resources travel.
#[derive(Debug, Clone, Copy, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Direction {
    /// What is about to be written.
    ToServer,
    /// What is about to be read.
    ToClient,
}

impl Default for About {
    fn default() -> Self {
        Self {
            route: "test".to_owned(),
            interaction: "read".to_owned(),
            direction: Direction::ToClient,
            files: BTreeMap::new(),
            pseudonym_key: None,
        }
    }
}

impl From<Direction> for fireguard_plugin_host::Direction {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::ToServer => Self::ToServer,
            Direction::ToClient => Self::ToClient,
        }
    }
}

impl Case {
    /// The cases in a folder of cases, by name.
    ///
    /// # Errors
    /// The folder is not there, or holds none.
    pub(super) fn folders(cases: &Path) -> Result<Vec<PathBuf>, Failed> {
        let found = std::fs::read_dir(cases).map_err(|error| {
            miette::miette!(
                help = "a case is a folder such as cases/keeps-decimals with input.json and settings.json",
                "cannot read {}: {error}",
                cases.display()
            )
        })?;
        let mut folders: Vec<PathBuf> =
            found.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
        folders.sort();
        if folders.is_empty() {
            return Err(miette::miette!("{} has no case", cases.display()));
        }
        Ok(folders)
    }

    /// Reads a case.
    ///
    /// # Errors
    /// A file in it is not what its name says.
    pub(super) fn read(folder: &Path) -> Result<Self, Failed> {
        let name = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let settings = match text(&folder.join("settings.json"))? {
            None => Value::Object(serde_json::Map::new()),
            Some(text) => json(&folder.join("settings.json"), &text)?,
        };
        let about = match text(&folder.join("case.toml"))? {
            None => About::default(),
            Some(text) => toml::from_str(&text)
                .map_err(|error| miette::miette!("{}: {error}", folder.join("case.toml").display()))?,
        };
        let input = Input::read(folder, &about)?;
        Ok(Self { name, folder: folder.to_path_buf(), settings, about, input })
    }

    /// The file with what is to come out.
    pub(super) fn expectation(&self) -> PathBuf {
        self.folder.join("expected.json")
    }

    /// What is to come out; none where nobody has said it yet.
    ///
    /// # Errors
    /// The file is there and is no JSON.
    pub(super) fn expected(&self) -> Result<Option<Value>, Failed> {
        let path = self.expectation();
        text(&path)?.map(|text| json(&path, &text)).transpose()
    }
}

/// A file's text; none: there is no such file.
fn text(path: &Path) -> Result<Option<String>, Failed> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(miette::miette!("cannot read {}: {error}", path.display())),
    }
}

/// Reads JSON, with the file's name in what is wrong.
fn json<'a, T: Deserialize<'a>>(path: &Path, text: &'a str) -> Result<T, Failed> {
    serde_json::from_str(text).map_err(|error| miette::miette!("{}: {error}", path.display()))
}

//! The settings.

use std::collections::BTreeMap;

use fireguard_sdk::{Problem, Settings};
use serde::Deserialize;

/// What is validated, by whom, and what becomes of it when nobody can.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileValidate {
    /// For each type its profiles, all of which a resource must keep to. An empty list: what FHIR says of the type, and
    /// the profiles that the resource names itself.
    types: BTreeMap<String, Vec<String>>,
    /// The base of a validator with `$validate`, `https://validator.example/fhir`; without it, the FHIR server.
    url: Option<String>,
    /// What becomes of a resource when the validator does not answer.
    #[serde(default)]
    unavailable: Unavailable,
}

/// What becomes of a resource that nobody can validate.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unavailable {
    /// It is refused with 503.
    #[default]
    Refuse,
    /// It is written.
    Pass,
}

impl ProfileValidate {
    pub(crate) fn read(settings: &Settings) -> Result<Self, Vec<Problem>> {
        let mut plugin: Self = settings.read()?;
        let problem = |pointer: &str, message: &str| Problem {
            pointer: pointer.to_owned(),
            message: message.to_owned(),
            ..Problem::default()
        };
        let mut problems = Vec::new();
        if plugin.types.is_empty() {
            problems.push(problem("/types", "a type is needed: { Patient = [] } for instance"));
        }
        if let Some(url) = &mut plugin.url {
            if !url.starts_with("https://") && !url.starts_with("http://") {
                problems.push(problem(
                    "/url",
                    "the base of a validator is needed: https://validator.example/fhir",
                ));
            }
            url.truncate(url.trim_end_matches('/').len());
        }
        if problems.is_empty() { Ok(plugin) } else { Err(problems) }
    }

    /// The types that are validated.
    pub(crate) fn types(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }

    /// The profiles of a type; none: it is not validated.
    pub(crate) fn profiles(&self, resource_type: &str) -> Option<&[String]> {
        self.types.get(resource_type).map(Vec::as_slice)
    }

    /// The base of the validator; none: the FHIR server.
    pub(crate) fn url(&self) -> Option<&str> {
        self.url.as_deref()
    }

    /// The capability that the validator is asked through.
    pub(crate) fn capability(&self) -> &'static str {
        if self.url.is_some() { "http-out" } else { "fhir-client" }
    }

    pub(crate) fn passes_unvalidated(&self) -> bool {
        self.unavailable == Unavailable::Pass
    }
}

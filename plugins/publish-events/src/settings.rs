//! The settings.

use fireguard_sdk::{Problem, Settings};
use serde::Deserialize;

/// Where events go, and which.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishEvents {
    /// Where each event is POSTed: `https://events.example/fhir`.
    pub(crate) url: Option<String>,
    /// Where in the object store each event is put: `events/`.
    pub(crate) objects: Option<String>,
    /// Who tells it: the `source` of every event.
    pub(crate) source: String,
    /// Resource types; empty: every type.
    #[serde(default)]
    pub(crate) types: Vec<String>,
}

impl PublishEvents {
    pub(crate) fn read(settings: &Settings) -> Result<Self, Vec<Problem>> {
        let plugin: Self = settings.read()?;
        let problem = |pointer: &str, message: &str| Problem {
            pointer: pointer.to_owned(),
            message: message.to_owned(),
            ..Problem::default()
        };
        let mut problems = Vec::new();
        if plugin.url.is_none() && plugin.objects.is_none() {
            problems.push(problem("", "`url` or `objects` is needed: nobody would be told"));
        }
        if plugin
            .url
            .as_deref()
            .is_some_and(|url| !url.starts_with("https://") && !url.starts_with("http://"))
        {
            problems.push(problem("/url", "an address is needed: https://events.example/fhir"));
        }
        if plugin.objects.as_deref().is_some_and(|prefix| !prefix.ends_with('/')) {
            problems.push(problem("/objects", "a prefix that ends in a slash is needed: events/"));
        }
        if plugin.source.is_empty() {
            problems.push(problem("/source", "a name is needed, the base of this server for instance"));
        }
        if problems.is_empty() { Ok(plugin) } else { Err(problems) }
    }

    /// What it needs of the host.
    pub(crate) fn capabilities(&self) -> impl Iterator<Item = &'static str> {
        let http = self.url.as_ref().map(|_| "http-out");
        let objects = self.objects.as_ref().map(|_| "object-store");
        http.into_iter().chain(objects)
    }
}

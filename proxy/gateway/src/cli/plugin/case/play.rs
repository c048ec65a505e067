//! Runs a case: the real component in the real host.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use fireguard_plugin_host::{
    CallError, Engine, EngineConfig, LoadError, NamedFile, Plugin, PluginSpec, Session, Source,
};
use serde_json::{Map, Value};

use super::host::Host;
use super::output::problem;
use super::sight::{Seen, place};
use super::{Case, Input, Sight, action, ingested, outcome, settled};
use crate::cli::{Failed, report};

/// Plays cases on one component.
pub(in crate::cli::plugin) struct Player {
    engine: Engine,
    component: Bytes,
    name: String,
    sight: Sight,
}

/// A case that could not be played to its end: the plugin trapped, or could not be loaded.
pub(in crate::cli::plugin) struct Trouble {
    /// What the host says.
    pub(in crate::cli::plugin) message: String,
    /// Where in the plugin's code it happened: `src/lib.rs:33:9`.
    pub(in crate::cli::plugin) place: Option<String>,
    /// What the plugin printed.
    pub(in crate::cli::plugin) printed: String,
}

impl Player {
    /// Reads the component. What is compiled of it is kept in `cache`.
    ///
    /// # Errors
    /// The file cannot be read, or the engine does not start.
    pub(in crate::cli::plugin) fn new(
        component: &Path,
        name: &str,
        cache: Option<PathBuf>,
        sight: Sight,
    ) -> Result<Self, Failed> {
        let bytes = std::fs::read(component)
            .map_err(|error| miette::miette!("cannot read {}: {error}", component.display()))?;
        let config =
            EngineConfig { instances: 4, cache_dir: cache, templates: false, ..EngineConfig::default() };
        let engine = Engine::new(config).map_err(|error| report(&error))?;
        Ok(Self { engine, component: bytes.into(), name: name.to_owned(), sight })
    }

    /// Plays one case; answers what came out, in the form of `expected.json`.
    ///
    /// # Errors
    /// A report where the case itself is not right; [`Trouble`] where the plugin is not.
    pub(in crate::cli::plugin) async fn play(&self, case: &Case) -> Result<Result<Value, Trouble>, Failed> {
        let host = Host::of(case).await?;
        let spec = self.spec(case, &host)?;
        self.sight.take();
        let plugin = match Plugin::load(&self.engine, spec).await {
            Ok(plugin) => plugin,
            Err(LoadError::Settings(problems)) => {
                let problems = problems.iter().map(problem).collect();
                return Ok(Ok(Value::Object(Map::from_iter([("problems".to_owned(), problems)]))));
            }
            Err(error) => return Ok(Err(self.trouble(&error))),
        };
        // What it said while it was loaded comes again: each session configures an instance of its own.
        self.sight.take();
        let mut session = plugin.session();
        host.fhir().into_iter().for_each(|client| session.lend(client));
        let played = play(&mut session, case).await?;
        let (name, came) = match played {
            Ok(played) => played,
            Err(error) => return Ok(Err(self.trouble(&error))),
        };
        let Seen { lines, printed: _ } = self.sight.take();
        let mut result = Map::from_iter([(name.to_owned(), came)]);
        host.tell(&mut result);
        if !lines.is_empty() {
            result.insert("log".to_owned(), lines.into());
        }
        Ok(Ok(Value::Object(result)))
    }

    fn spec(&self, case: &Case, host: &Host) -> Result<PluginSpec, Failed> {
        let mut files = Vec::new();
        for (name, path) in &case.about.files {
            let content = std::fs::read(case.folder.join(path)).map_err(|error| {
                miette::miette!(
                    "{}: file {name}: cannot read {}: {error}",
                    case.folder.display(),
                    path.display()
                )
            })?;
            files.push(NamedFile {
                name: name.clone(),
                path: path.display().to_string(),
                content: content.into(),
            });
        }
        let component = Source::Bytes(self.component.clone());
        Ok(PluginSpec {
            settings: host.settings(&case.settings),
            files,
            grants: host.grants(case)?,
            ..PluginSpec::new(self.name.clone(), component)
        })
    }

    fn trouble(&self, error: &(dyn std::error::Error + 'static)) -> Trouble {
        let Seen { lines: _, printed } = self.sight.take();
        Trouble { message: crate::logging::with_causes(error), place: place(&printed), printed }
    }
}

/// The name under which it is told, and what the plugin answered.
type Played = Result<(&'static str, Value), CallError>;

async fn play(session: &mut Session, case: &Case) -> Result<Played, Failed> {
    let exchange = case.exchange()?;
    Ok(match &case.input {
        Input::None => Ok(("configured", Value::Bool(true))),
        Input::Request(head) => session.request(&exchange, head).await.map(|done| ("request", action(&done))),
        Input::Resources(items) => {
            let direction = case.about.direction.into();
            let verdicts = match session.process(&exchange, direction, items).await {
                Ok(verdicts) => verdicts,
                Err(error) => return Ok(Err(error)),
            };
            let mut outcomes = Vec::with_capacity(items.len());
            for (verdict, item) in verdicts.into_iter().zip(items) {
                outcomes.push(outcome(&verdict.apply(&item.content).map_err(|error| report(&error))?));
            }
            Ok(("resources", outcomes.into()))
        }
        Input::Written(events) => {
            session.written(events).await.map(|done| ("written", done.iter().map(settled).collect()))
        }
        Input::Ingest(messages) => {
            let done = session.ingest(&exchange, messages).await;
            done.map(|done| ("ingest", done.iter().map(ingested).collect()))
        }
    })
}

//! Loads the plugins of a configuration, and keeps those that the one before had as well.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256, digest};
use fireguard_plugin_host::{
    Engine, EngineConfig, EngineError, Grants, Instances, Limits, LoadError, NamedFile, OnFailure, Plugin,
    PluginSpec, Reuse, Source,
};
use fireguard_state::{Embedded, StateError};

use crate::config::{self, Config};
use crate::grants::{self, NoGrant};

/// Why a configuration cannot be put to work.
#[derive(Debug, thiserror::Error)]
pub enum LoadFailure {
    /// The engine does not start.
    #[error("the plugin engine cannot start")]
    Engine(#[from] EngineError),
    /// What is to be kept cannot be.
    #[error(transparent)]
    State(#[from] StateError),
    /// No key for page links.
    #[error(transparent)]
    Pages(#[from] crate::pages::NoKey),
    /// One plugin has no digest.
    #[error(
        "plugin {name} has no digest: add digest = \"sha256:{found}\" to [plugins.{name}] if this is the component \
         that you mean, or use --dev while you build it"
    )]
    NoDigest {
        /// Its name in the configuration.
        name: String,
        /// That of its component, in hexadecimal digits.
        found: String,
    },
    /// A route lets be written back what a plugin took out of it.
    #[error(
        "route {route}: the plugin {plugin} changes what is read and does not see what is written: what a client has \
         read would be written back with its gaps; set read_only = true on this route and send writes to another"
    )]
    WrittenBack {
        /// The route's name.
        route: String,
        /// The plugin's name.
        plugin: String,
    },
    /// A route has writes that a plugin wants to know of, and they cannot be kept.
    #[error(
        "route {route}: the plugin {plugin} wants to know what is written: name a folder for what is to be told it, \
         directory = \"…\" in [state]; or set read_only = true on this route"
    )]
    NoState {
        /// The route's name.
        route: String,
        /// The plugin's name.
        plugin: String,
    },
    /// A plugin is for messages alone, and a route has none.
    #[error(
        "route {route}: the plugin {plugin} wants messages alone (phase ingest), and routes hand it none: it would never be \
         called; take it out of this route"
    )]
    NoIntake {
        /// The route's name.
        route: String,
        /// The plugin's name.
        plugin: String,
    },
    /// What a grant needs cannot be had.
    #[error(transparent)]
    Grant(#[from] NoGrant),
    /// One plugin does not load.
    #[error("plugin {name}")]
    Plugin {
        /// Its name in the configuration.
        name: String,
        /// What the host says.
        source: Box<LoadError>,
    },
}

/// The plugins of one configuration, in its order, and the engine that runs them.
pub struct Plugins {
    engine: Engine,
    /// They need no digests.
    dev: bool,
    /// Where they keep things, and what they are to be told.
    state: Option<Arc<Embedded>>,
    /// Nothing is to be made or changed.
    looked_at: bool,
    loaded: Vec<Loaded>,
}

/// A plugin on a route, and what it may do there.
#[derive(Clone)]
pub struct Attached {
    /// The plugin.
    pub plugin: Plugin,
    /// It may ask for another resource than the caller.
    pub retarget: bool,
    /// It runs only where a policy asks for it.
    pub only_obliged: bool,
}

struct Loaded {
    fingerprint: Fingerprint,
    plugin: Attached,
    /// It was not there before.
    fresh: bool,
}

/// SHA-256 of all that a plugin is made of: equal ones behave alike.
#[derive(Clone, PartialEq, Eq)]
struct Fingerprint([u8; 32]);

impl Plugins {
    /// None yet. What is compiled is kept in the folder `cache`, if there is one. The engine's clock runs with the
    /// priority of the calling thread.
    ///
    /// # Errors
    /// The engine does not start.
    pub fn none(cache: Option<PathBuf>) -> Result<Self, LoadFailure> {
        let engine = Engine::new(EngineConfig { cache_dir: cache, ..EngineConfig::default() })?;
        Ok(Self { engine, dev: false, state: None, looked_at: false, loaded: Vec::new() })
    }

    /// The same for whom plugins need no digests, because they are being built.
    #[must_use]
    pub fn dev(self, dev: bool) -> Self {
        Self { dev, ..self }
    }

    /// The same with a database. It is made if there is none.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn keeping(self, directory: Option<&Path>) -> Result<Self, LoadFailure> {
        let state = directory.map(Embedded::open).transpose()?.map(Arc::new);
        Ok(Self { state, ..self })
    }

    /// The same for whom a configuration is only looked at: no directory of a plugin is made.
    #[must_use]
    pub fn looked_at(self) -> Self {
        Self { looked_at: true, ..self }
    }

    /// The database.
    pub fn state(&self) -> Option<&Arc<Embedded>> {
        self.state.as_ref()
    }

    /// Those of a configuration. One whose component, settings, files, grants and limits are the same as before is
    /// not loaded again.
    ///
    /// # Errors
    /// The first that does not load.
    pub async fn load(&self, config: &Config) -> Result<Self, LoadFailure> {
        let mut loaded = Vec::with_capacity(config.plugins.len());
        for plugin in &config.plugins {
            let component = std::fs::read(&plugin.component).ok();
            if let (None, false, Some(bytes)) = (plugin.digest, self.dev, &component) {
                let found =
                    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
                return Err(LoadFailure::NoDigest { name: plugin.name.clone(), found });
            }
            let fingerprint = Fingerprint::of(plugin, component.as_deref());
            if let Some(known) = self.loaded.iter().find(|known| known.fingerprint == fingerprint) {
                loaded.push(Loaded { fingerprint, plugin: known.plugin.clone(), fresh: false });
                continue;
            }
            let source = match component {
                Some(bytes) => Source::Bytes(bytes.into()),
                // The host says what is wrong with it.
                None => Source::Path(plugin.component.clone()),
            };
            let grants = grants::grants(plugin, self.state.as_ref(), self.looked_at)?;
            let made = Plugin::load(&self.engine, spec(plugin, source, grants)).await;
            let made = made.map_err(|source| LoadFailure::Plugin {
                name: plugin.name.clone(),
                source: Box::new(source),
            })?;
            let plugin = Attached { plugin: made, retarget: plugin.retarget, only_obliged: false };
            loaded.push(Loaded { fingerprint, plugin, fresh: true });
        }
        let (engine, state) = (self.engine.clone(), self.state.clone());
        Ok(Self { engine, dev: self.dev, state, looked_at: self.looked_at, loaded })
    }

    /// By its place in the configuration.
    pub fn get(&self, index: usize) -> Option<&Attached> {
        self.loaded.get(index).map(|loaded| &loaded.plugin)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Plugin> {
        self.loaded.iter().map(|loaded| &loaded.plugin.plugin)
    }

    /// The names of those that were not there before.
    pub fn fresh(&self) -> impl Iterator<Item = &str> {
        self.loaded.iter().filter(|loaded| loaded.fresh).map(|loaded| loaded.plugin.plugin.name())
    }
}

impl Fingerprint {
    fn of(plugin: &config::Plugin, component: Option<&[u8]>) -> Self {
        // Named one by one: a new field must be considered here.
        let config::Plugin {
            name,
            component: path,
            digest,
            on_failure,
            settings,
            files,
            pseudonym,
            grants,
            retarget,
            cpu_per_call,
            wall_per_call,
            memory,
            table_elements,
            reuse,
        } = plugin;
        let mut hash = Context::new(&SHA256);
        let mut add = |part: &[u8]| {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        };
        add(name.as_bytes());
        add(component.unwrap_or_default());
        add(path.as_os_str().as_encoded_bytes());
        add(settings.to_string().as_bytes());
        add(format!(
            "{digest:?} {retarget} {on_failure:?} {cpu_per_call:?} {wall_per_call:?} {memory} {table_elements} \
             {reuse:?} {}",
            files.len()
        )
        .as_bytes());
        for (known_as, path, content) in files {
            add(known_as.as_bytes());
            add(path.as_bytes());
            add(content);
        }
        if let Some(config::Pseudonym { key, project, date_range_days, open }) = pseudonym {
            add(key.expose());
            add(project.as_bytes());
            add(format!("{date_range_days:?} {open}").as_bytes());
        }
        grants::differences(grants, &mut add);
        let mut digest = [0; 32];
        digest.copy_from_slice(hash.finish().as_ref());
        Self(digest)
    }
}

fn spec(plugin: &config::Plugin, component: Source, grants: Grants) -> PluginSpec {
    let file = |(name, path, content): &(String, String, Vec<u8>)| NamedFile {
        name: name.clone(),
        path: path.clone(),
        content: content.clone().into(),
    };
    PluginSpec {
        settings: plugin.settings.clone(),
        files: plugin.files.iter().map(file).collect(),
        digest: plugin.digest,
        instances: plugin.reuse.map_or(Instances::PerExchange, |reuse| {
            Instances::Reuse(Reuse {
                uses: reuse.uses.get(),
                idle: reuse.idle.0,
                memory: usize::try_from(reuse.memory.0).unwrap_or(usize::MAX),
                kept: reuse.kept.get() as usize,
            })
        }),
        grants,
        limits: Limits {
            cpu_per_call: plugin.cpu_per_call,
            wall_per_call: plugin.wall_per_call,
            memory: usize::try_from(plugin.memory).unwrap_or(usize::MAX),
            table_elements: plugin.table_elements as usize,
        },
        on_failure: match plugin.on_failure {
            config::OnFailure::Refuse => OnFailure::Refuse,
            config::OnFailure::Pass => OnFailure::Pass,
            config::OnFailure::Retry => OnFailure::Retry,
        },
        ..PluginSpec::new(plugin.name.clone(), component)
    }
}

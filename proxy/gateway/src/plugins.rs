//! Loads the plugins of a configuration.

use fireguard_plugin_host::{
    Engine, EngineConfig, EngineError, Grants, Limits, LoadError, NamedFile, OnFailure, Plugin, PluginSpec,
    PseudonymGrant, Secret,
};

use crate::config::{self, Config};

/// Why a configuration cannot be put to work.
#[derive(Debug, thiserror::Error)]
pub enum LoadFailure {
    /// The engine does not start.
    #[error("the plugin engine cannot start")]
    Engine(#[from] EngineError),
    /// No key for page links.
    #[error(transparent)]
    Pages(#[from] crate::pages::NoKey),
    /// One plugin does not load.
    #[error("plugin {name}")]
    Plugin {
        /// Its name in the configuration.
        name: String,
        /// What the host says.
        source: Box<LoadError>,
    },
}

/// Loads every plugin of the configuration, in its order.
///
/// # Errors
/// The first that does not load.
pub async fn load_all(config: &Config) -> Result<(Engine, Vec<Plugin>), LoadFailure> {
    let engine = Engine::new(EngineConfig::default())?;
    let mut plugins = Vec::with_capacity(config.plugins.len());
    for plugin in &config.plugins {
        let loaded = Plugin::load(&engine, spec(plugin)).await;
        plugins.push(
            loaded.map_err(|source| LoadFailure::Plugin {
                name: plugin.name.clone(),
                source: Box::new(source),
            })?,
        );
    }
    Ok((engine, plugins))
}

fn spec(plugin: &config::Plugin) -> PluginSpec {
    let pseudonym = plugin.pseudonym.as_ref().map(|grant| PseudonymGrant {
        key: Secret::new(grant.key.expose().to_vec()),
        project: grant.project.clone(),
        date_range_days: grant.date_range_days.unwrap_or(PseudonymGrant::DATE_RANGE_DAYS),
    });
    let file = |(name, path, content): &(String, String, Vec<u8>)| NamedFile {
        name: name.clone(),
        path: path.clone(),
        content: content.clone().into(),
    };
    PluginSpec {
        settings: plugin.settings.clone(),
        files: plugin.files.iter().map(file).collect(),
        grants: Grants { pseudonym },
        limits: Limits {
            cpu_per_call: plugin.cpu_per_call,
            wall_per_call: plugin.wall_per_call,
            memory: usize::try_from(plugin.memory).unwrap_or(usize::MAX),
        },
        on_failure: match plugin.on_failure {
            config::OnFailure::Refuse => OnFailure::Refuse,
            config::OnFailure::Pass => OnFailure::Pass,
        },
        ..PluginSpec::new(plugin.name.clone(), plugin.component.clone())
    }
}

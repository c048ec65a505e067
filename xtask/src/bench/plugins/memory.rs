//! What a plugin that nobody asks takes of memory.

use fireguard_plugin_host::{Engine, EngineConfig, Plugin};
use tokio::runtime::Runtime;

use super::{deid, failed};
use crate::bench::row::{Goal, Row};
use crate::error::Error;

/// Each is the de-identification plugin with its rules, under a name and rules of its own.
const PLUGINS: usize = 20;

/// KB of resident memory for each loaded plugin.
pub(super) fn idle(runtime: &Runtime) -> Result<Row, Error> {
    let folder = tempfile::tempdir().map_err(Error::io("making a folder"))?;
    let load = || -> Result<(Engine, Vec<Plugin>), Error> {
        let config = EngineConfig { cache_dir: Some(folder.path().join("cache")), ..EngineConfig::default() };
        let engine = Engine::new(config).map_err(failed)?;
        let one = |number: usize| {
            // A comment that tells them apart.
            let rules = [deid::TEN_RULES, format!(" // {number}").as_bytes()].concat();
            runtime.block_on(Plugin::load(&engine, deid::spec("ten rules", rules))).map_err(failed)
        };
        let plugins = (0..PLUGINS).map(one).collect::<Result<_, _>>()?;
        Ok((engine, plugins))
    };
    // What compiling leaves behind is the compiler's, and what an allocator keeps for later would hide what is taken.
    drop(load()?);
    let first = load()?;
    let before = resident()?;
    let loaded = load()?;
    let each = (resident()? - before) / 1000.0 / PLUGINS as f64;
    drop((first, loaded));
    Ok(Row::alone(
        "idle memory of a loaded plugin (deid, ten rules), KB",
        vec![each],
        Some(Goal::AtMost(1000.0)),
    ))
}

/// Bytes of this process that are in memory and no file's.
pub(super) fn resident() -> Result<f64, Error> {
    let text =
        std::fs::read_to_string("/proc/self/status").map_err(Error::io("reading /proc/self/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes.map(|kilobytes| kilobytes * 1024.0).ok_or_else(|| failed("/proc/self/status has no RssAnon"))
}

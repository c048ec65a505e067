//! What a plugin that nobody asks takes of memory.

use fireguard_plugin_host::{Engine, EngineConfig, Plugin};
use tokio::runtime::Runtime;

use super::{deid, failed};
use crate::bench::row::{Goal, Row};
use crate::error::Error;

/// Each is the de-identification plugin with its rules, under a name and rules of its own.
const PLUGINS: usize = 20;

/// KB of resident memory for each loaded plugin: its own, and what of it lies in the cache's file and may go at any time.
pub(super) fn idle(runtime: &Runtime) -> Result<[Row; 2], Error> {
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
    let before = (resident()?, mapped()?);
    let loaded = load()?;
    let each = |bytes: f64| vec![bytes / 1000.0 / PLUGINS as f64];
    let (own, file) = (each(resident()? - before.0), each(mapped()? - before.1));
    drop((first, loaded));
    let name = "idle memory of a loaded plugin (deid, ten rules), KB";
    Ok([
        Row::alone(name, own, Some(Goal::AtMost(1000.0))),
        Row::alone("and pages of the cache's file, KB", file, None),
    ])
}

/// Bytes of this process that are in memory and no file's.
pub(super) fn resident() -> Result<f64, Error> {
    status("RssAnon:")
}

/// Bytes of files that this process has mapped and used.
fn mapped() -> Result<f64, Error> {
    status("RssFile:")
}

fn status(name: &str) -> Result<f64, Error> {
    let text =
        std::fs::read_to_string("/proc/self/status").map_err(Error::io("reading /proc/self/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kilobytes
        .map(|kilobytes| kilobytes * 1024.0)
        .ok_or_else(|| failed(format!("/proc/self/status has no {name}")))
}

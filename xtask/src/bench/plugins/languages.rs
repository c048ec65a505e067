//! Plugins that bring an interpreter: Python and JavaScript.

use std::time::Instant;

use bytes::Bytes;
use fireguard_plugin_host::{Engine, EngineConfig, Limits, Plugin, PluginSpec, Session};
use fireguard_test_support::repository;
use serde_json::json;
use tokio::runtime::Runtime;

use super::memory::resident;
use super::{ROUNDS, failed, process, timed};
use crate::bench::row::{Goal, Row};
use crate::error::Error;

/// The guests of the conformance suite: the folder of each, and the language.
const GUESTS: [(&str, &str); 2] = [("python", "Python"), ("javascript", "JavaScript")];

/// Instances of which each is measured.
const SIDE_BY_SIDE: usize = 8;

/// For each language: instantiating, its memory, loading from the cache, the first answer after it. A guest that was not
/// built is left out.
pub(super) fn rows(runtime: &Runtime) -> Result<Vec<Row>, Error> {
    let folder = tempfile::tempdir().map_err(Error::io("making a folder"))?;
    let mut rows = Vec::new();
    for (file, language) in GUESTS {
        let component = repository::root().join(format!("tests/guests/{file}/{file}.wasm"));
        if !component.exists() {
            continue;
        }
        let limits = Limits { memory: 512 << 20, ..Limits::default() };
        let spec = || PluginSpec {
            settings: json!({"act": "keep"}),
            limits,
            ..PluginSpec::new(file, component.clone())
        };
        let config =
            || EngineConfig { cache_dir: Some(folder.path().join("cache")), ..EngineConfig::default() };
        let engine = Engine::new(config()).map_err(failed)?;
        let began = Instant::now();
        runtime.block_on(Plugin::load(&engine, spec())).map_err(failed)?;
        let compiled = began.elapsed().as_secs_f64();
        rows.push(Row::alone(format!("{language}, first load, compiled, s"), vec![compiled], None));

        let engine = Engine::new(config()).map_err(failed)?;
        let began = Instant::now();
        let plugin = runtime.block_on(Plugin::load(&engine, spec())).map_err(failed)?;
        let loaded = began.elapsed().as_secs_f64() * 1e3;
        rows.push(Row::alone(format!("{language}, load from the cache, ms"), vec![loaded], None));

        let resource = [Bytes::from_static(b"{\"resourceType\":\"Basic\"}")];
        let first = timed(|| runtime.block_on(process(&mut plugin.session(), &resource)).map(drop))?;
        rows.push(Row::alone(format!("{language}, first answer after a load, ms"), vec![first * 1e3], None));
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds
                .push(1e3 * timed(|| runtime.block_on(process(&mut plugin.session(), &resource)).map(drop))?);
        }
        let name = format!("{language}, fresh instance, configured, one call, ms");
        rows.push(Row::alone(name, rounds, Some(Goal::AtMost(2.0))));

        // Side by side, so that none takes over the memory of another.
        let before = resident()?;
        let mut sessions: Vec<Session> = (0..SIDE_BY_SIDE).map(|_| plugin.session()).collect();
        for session in &mut sessions {
            runtime.block_on(process(session, &resource))?;
        }
        let private = (resident()? - before) / 1e6 / SIDE_BY_SIDE as f64;
        drop(sessions);
        rows.push(Row::alone(format!("{language}, private memory of an instance, MB"), vec![private], None));
    }
    Ok(rows)
}

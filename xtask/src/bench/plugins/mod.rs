//! The cost of the boundary to plugins, of their instances, and the speed of plugins that work on resources.

mod calls;
mod deid;
mod languages;
mod memory;
mod peer;
mod threads;

use std::fmt::Display;
use std::path::PathBuf;

use bytes::Bytes;
use fireguard_plugin_host::{
    Direction, Engine, EngineConfig, Exchange, Item, Outcome, Plugin, PluginSpec, Session,
};
use fireguard_test_support::repository;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use tokio::runtime::Runtime;

use super::arguments::{Part, Plugins};
use super::proxy;
use super::row::Row;
use crate::error::Error;
use crate::progress::Progress;

const ROUNDS: usize = 15;
/// How many bytes of resources go to a plugin in one call, as in the gateway.
const BATCH: usize = 64 << 10;
/// Each side of a round works on so many bytes: some ten milliseconds.
const ROUND_BYTES: usize = 3 << 20;

/// Measures what is asked for.
pub(super) fn run(arguments: &Plugins) -> Result<Vec<Row>, Error> {
    let progress = Progress::begin();
    let runtime = runtime()?;
    let engine = Engine::new(EngineConfig::default()).map_err(failed)?;
    let load = |spec: PluginSpec| runtime.block_on(Plugin::load(&engine, spec)).map_err(failed);
    let streaming = || PluginSpec::new("streaming", built("fireguard_streaming_guest"));
    let mut rows = Vec::new();
    if arguments.has(Part::Boundary) {
        progress.step("the boundary");
        let guest = load(PluginSpec { settings: json!({"keep": true}), ..streaming() })?;
        rows.push(calls::empty(&runtime, &guest)?);
        rows.push(calls::fresh_instance(&runtime, &guest, "a plugin that does nothing")?);
    }
    if arguments.has(Part::Threads) {
        progress.step("two threads against one");
        rows.extend(threads::rows(&engine)?);
    }
    if arguments.has(Part::Streaming) {
        progress.step("a streaming plugin");
        rows.push(peer::streaming(&runtime, &load(streaming())?)?);
    }
    if arguments.has(Part::Deid) {
        rows.extend(deid::rows(&progress, &runtime, &engine)?);
    }
    if arguments.has(Part::Memory) {
        progress.step("memory");
        rows.extend(memory::idle(&runtime)?);
    }
    if arguments.has(Part::Languages) {
        progress.step("Python and JavaScript");
        rows.extend(languages::rows(&runtime)?);
    }
    if arguments.has(Part::Gateway) {
        rows.extend(proxy::plugins()?);
    }
    Ok(rows)
}

/// A component of this repository.
fn built(name: &str) -> PathBuf {
    repository::target().join(format!("wasm32-wasip2/plugin/{name}.wasm"))
}

fn runtime() -> Result<Runtime, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Error::io("starting a runtime"))
}

fn exchange() -> Exchange {
    Exchange {
        id: "01a1fe40-0000-7000-8000-000000000000".to_owned(),
        route: "research".to_owned(),
        interaction: "search-type".to_owned(),
        extras: Vec::new(),
    }
}

fn items(resources: &[Bytes]) -> Vec<Item> {
    resources.iter().cloned().map(Item::from).collect()
}

/// Asks the plugin and carries out what it says.
async fn process(session: &mut Session, resources: &[Bytes]) -> Result<Vec<Bytes>, Error> {
    let asked = session.process(&exchange(), Direction::ToClient, &items(resources)).await;
    let apply = |(verdict, resource): (fireguard_plugin_host::Verdict, &Bytes)| match verdict
        .apply(resource)
        .map_err(failed)?
    {
        Outcome::Unchanged => Ok(resource.clone()),
        Outcome::Changed(bytes) => Ok(bytes),
        Outcome::Dropped | Outcome::Refused(_) => Err(failed("the plugin lets nothing through")),
    };
    asked.map_err(failed)?.into_iter().zip(resources).map(apply).collect()
}

/// In batches as the gateway makes them.
fn batches(resources: &[Bytes]) -> Vec<Vec<Bytes>> {
    let mut batches = vec![Vec::new()];
    let mut size = 0;
    for resource in resources {
        if size >= BATCH {
            batches.push(Vec::new());
            size = 0;
        }
        size += resource.len();
        if let Some(batch) = batches.last_mut() {
            batch.push(resource.clone());
        }
    }
    batches
}

/// Processor time of this thread, in seconds: others on the same machine do not count.
fn timed(work: impl FnOnce() -> Result<(), Error>) -> Result<f64, Error> {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let begin = now();
    work()?;
    Ok(now() - begin)
}

fn failed(why: impl Display) -> Error {
    Error::Usage(format!("the benchmark measures nonsense: {why}"))
}

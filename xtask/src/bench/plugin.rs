//! The cost of the boundary to plugins, and the speed of the de-identification plugin.

use std::fmt::Display;
use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use fireguard_plugin_host::{
    Direction, Engine, EngineConfig, Exchange, Item, NamedFile, Outcome, Plugin, PluginSpec, PseudonymGrant,
    Secret, Session,
};
use fireguard_test_support::repository;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::dom::{Recipe, Tokens};
use super::payload;
use super::row::{Goal, Row};
use crate::error::Error;
use crate::progress::Progress;

const ROUNDS: usize = 15;
/// How many bytes of resources go to a plugin in one call, as in the gateway.
const BATCH: usize = 64 << 10;
/// Each side of a round works on so many bytes: some ten milliseconds.
const ROUND_BYTES: usize = 3 << 20;
/// Random digits; what they hash is made up.
const KEY: &[u8] = b"9f31c0d27ab84e6590d1e3fb62a7c458";

/// Measures everything; under three minutes.
pub(super) fn run() -> Result<Vec<Row>, Error> {
    let progress = Progress::begin();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::io("starting a runtime"))?;
    let engine = Engine::new(EngineConfig::default()).map_err(failed)?;
    let mut rows = Vec::new();
    progress.step("the boundary");
    let guest = PluginSpec {
        settings: json!({"act": "keep"}),
        ..PluginSpec::new(
            "guest",
            repository::target().join("wasm32-wasip2/plugin/fireguard_test_guest.wasm"),
        )
    };
    let guest = runtime.block_on(Plugin::load(&engine, guest)).map_err(failed)?;
    rows.push(empty_call(&runtime, &guest)?);
    rows.push(fresh_instance(&runtime, &guest, "a plugin that does nothing")?);
    let policies = repository::root().join("policies/deid/research.json");
    let research = fs::read(&policies).map_err(Error::io(policies.display().to_string()))?;
    for (rules, content, goal) in [
        ("ten rules", include_bytes!("ten-rules.json").to_vec(), Some(Goal::AtLeast(100.0))),
        ("research.json", research, None),
    ] {
        progress.step(&format!("de-identification by {rules}"));
        let plugin = runtime.block_on(Plugin::load(&engine, deid(rules, content))).map_err(failed)?;
        for (name, resources) in [
            ("a Patient of 1.5 KB", vec![payload::patient(1)]),
            ("a Bundle of 30 KB", payload::record(30_000)),
            ("a Bundle of 1 MB", payload::record(1_000_000)),
        ] {
            let name = format!("deid, {rules}, {name}, MB/s");
            rows.push(deid_reused(&runtime, &plugin, &resources, &name, goal)?);
        }
        let resources = payload::record(30_000);
        let name = format!("deid, {rules}, a Bundle of 30 KB in a fresh instance, MB/s");
        rows.push(deid_fresh(&runtime, &plugin, &resources, &name, goal)?);
        rows.push(fresh_instance(&runtime, &plugin, &format!("deid with {rules}"))?);
    }
    Ok(rows)
}

fn deid(rules: &str, content: Vec<u8>) -> PluginSpec {
    let component: PathBuf = repository::target().join("plugins/deid.wasm");
    let mut spec = PluginSpec::new("deid", component);
    spec.files =
        vec![NamedFile { name: "rules".to_owned(), path: rules.to_owned(), content: content.into() }];
    spec.grants.pseudonym = Some(PseudonymGrant {
        key: Secret::new(KEY.to_vec()),
        project: "bench".to_owned(),
        date_range_days: PseudonymGrant::DATE_RANGE_DAYS,
    });
    spec
}

fn empty_call(runtime: &Runtime, guest: &Plugin) -> Result<Row, Error> {
    const CALLS: u32 = 20_000;
    let resource = [Bytes::from_static(b"{}")];
    let mut session = guest.session();
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let seconds = timed(|| {
            runtime.block_on(async {
                for _ in 0..CALLS {
                    process(&mut session, &resource).await?;
                }
                Ok(())
            })
        })?;
        rounds.push(seconds * 1e6 / f64::from(CALLS));
    }
    Ok(Row::alone("call with nothing to do, us", rounds, Some(Goal::AtMost(0.6))))
}

fn fresh_instance(runtime: &Runtime, plugin: &Plugin, what: &str) -> Result<Row, Error> {
    const INSTANCES: u32 = 300;
    let resource = [Bytes::from_static(b"{\"resourceType\":\"Basic\"}")];
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let seconds = timed(|| {
            runtime.block_on(async {
                for _ in 0..INSTANCES {
                    process(&mut plugin.session(), &resource).await?;
                }
                Ok(())
            })
        })?;
        rounds.push(seconds * 1e6 / f64::from(INSTANCES));
    }
    Ok(Row::alone(format!("fresh instance, configured, one call: {what}, us"), rounds, None))
}

fn deid_reused(
    runtime: &Runtime,
    plugin: &Plugin,
    resources: &[Bytes],
    name: &str,
    goal: Option<Goal>,
) -> Result<Row, Error> {
    let mut session = plugin.session();
    let batches = batches(resources);
    let mut peer = Peer::of(runtime, plugin, resources)?;
    let mut ours = || {
        for batch in &batches {
            runtime.block_on(process(&mut session, batch))?;
        }
        Ok(())
    };
    beside(name, resources, goal, &mut ours, &mut || peer.run(&batches))
}

fn deid_fresh(
    runtime: &Runtime,
    plugin: &Plugin,
    resources: &[Bytes],
    name: &str,
    goal: Option<Goal>,
) -> Result<Row, Error> {
    let batches = batches(resources);
    let mut peer = Peer::of(runtime, plugin, resources)?;
    let mut ours = || {
        let mut session = plugin.session();
        for batch in &batches {
            runtime.block_on(process(&mut session, batch))?;
        }
        Ok(())
    };
    beside(name, resources, goal, &mut ours, &mut || peer.run(&batches))
}

/// Lets both work in turns.
fn beside(
    name: &str,
    resources: &[Bytes],
    goal: Option<Goal>,
    ours: &mut dyn FnMut() -> Result<(), Error>,
    peer: &mut dyn FnMut() -> Result<(), Error>,
) -> Result<Row, Error> {
    let size: usize = resources.iter().map(Bytes::len).sum();
    let times = (ROUND_BYTES / size).max(1);
    let speed = |work: &mut dyn FnMut() -> Result<(), Error>| {
        let seconds = timed(|| (0..times).try_for_each(|_| work()))?;
        Ok::<_, Error>((size * times) as f64 / seconds / 1e6)
    };
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push((speed(ours)?, speed(peer)?));
    }
    Ok(Row::beside(name, "native", &rounds, goal))
}

/// See [`super::dom`].
struct Peer {
    recipes: Vec<Recipe>,
    tokens: Tokens,
}

impl Peer {
    /// Learns from the plugin what to do, and makes sure that it does the same.
    fn of(runtime: &Runtime, plugin: &Plugin, resources: &[Bytes]) -> Result<Self, Error> {
        let mut session = plugin.session();
        let mut tokens = Tokens::new(KEY).ok_or_else(|| failed("the peer has no key"))?;
        let mut recipes = Vec::new();
        for batch in batches(resources) {
            let changed = runtime.block_on(process(&mut session, &batch))?;
            for (before, after) in batch.iter().zip(changed) {
                let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).map_err(failed);
                let after = parse(&after)?;
                let recipe = Recipe::between(&parse(before)?, &after);
                let cooked =
                    recipe.cook(before, &mut tokens).ok_or_else(|| failed("the peer cannot follow"))?;
                if parse(&cooked)? != after {
                    return Err(failed("the peer does not do the same"));
                }
                recipes.push(recipe);
            }
        }
        Ok(Self { recipes, tokens })
    }

    fn run(&mut self, batches: &[Vec<Bytes>]) -> Result<(), Error> {
        let mut recipes = self.recipes.iter();
        for batch in batches {
            self.tokens.forget();
            for (resource, recipe) in batch.iter().zip(&mut recipes) {
                let cooked = recipe.cook(resource, &mut self.tokens);
                std::hint::black_box(cooked.ok_or_else(|| failed("the peer cannot follow"))?);
            }
        }
        Ok(())
    }
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

/// Asks the plugin and carries out what it says.
async fn process(session: &mut Session, resources: &[Bytes]) -> Result<Vec<Bytes>, Error> {
    let exchange = Exchange {
        id: "01a1fe40-0000-7000-8000-000000000000".to_owned(),
        route: "research".to_owned(),
        interaction: "search-type".to_owned(),
        extras: Vec::new(),
    };
    let items: Vec<Item> = resources.iter().cloned().map(Item::from).collect();
    let verdicts = session.process(&exchange, Direction::ToClient, &items).await.map_err(failed)?;
    let apply = |(verdict, resource): (_, &Bytes)| {
        let verdict: fireguard_plugin_host::Verdict = verdict;
        match verdict.apply(resource).map_err(failed)? {
            Outcome::Unchanged => Ok(resource.clone()),
            Outcome::Changed(bytes) => Ok(bytes),
            Outcome::Dropped | Outcome::Refused(_) => Err(failed("the plugin lets nothing through")),
        }
    };
    verdicts.into_iter().zip(resources).map(apply).collect()
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

//! The speed of the de-identification plugin.

use std::fs;

use bytes::Bytes;
use fireguard_plugin_host::{Engine, NamedFile, Plugin, PluginSpec, PseudonymGrant, Secret};
use fireguard_test_support::repository;
use tokio::runtime::Runtime;

use super::peer::{KEY, Peer, beside};
use super::{batches, calls, failed, process};
use crate::bench::payload;
use crate::bench::row::{Goal, Row};
use crate::error::Error;
use crate::progress::Progress;

/// What a small study needs.
pub(super) const TEN_RULES: &[u8] = include_bytes!("../ten-rules.json");

/// By ten rules and by those for research, in one instance and in fresh ones.
pub(super) fn rows(progress: &Progress, runtime: &Runtime, engine: &Engine) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    let policies = repository::root().join("policies/deid/research.json");
    let research = fs::read(&policies).map_err(Error::io(policies.display().to_string()))?;
    for (rules, content, goal) in
        [("ten rules", TEN_RULES.to_vec(), Some(Goal::AtLeast(100.0))), ("research.json", research, None)]
    {
        progress.step(&format!("de-identification by {rules}"));
        let plugin = runtime.block_on(Plugin::load(engine, spec(rules, content))).map_err(failed)?;
        for (name, resources) in [
            ("a Patient of 1.5 KB", vec![payload::patient(1)]),
            ("a Bundle of 30 KB", payload::record(30_000)),
            ("a Bundle of 1 MB", payload::record(1_000_000)),
        ] {
            let name = format!("deid, {rules}, {name}, MB/s");
            rows.push(deid_reused(runtime, &plugin, &resources, &name, goal)?);
        }
        let resources = payload::record(30_000);
        let name = format!("deid, {rules}, a Bundle of 30 KB in a fresh instance, MB/s");
        rows.push(deid_fresh(runtime, &plugin, &resources, &name, goal)?);
        rows.push(calls::fresh_instance(runtime, &plugin, &format!("deid with {rules}"))?);
    }
    Ok(rows)
}

/// The plugin with these rules, and a key.
pub(super) fn spec(rules: &str, content: Vec<u8>) -> PluginSpec {
    let mut spec = PluginSpec::new("deid", repository::target().join("plugins/deid.wasm"));
    spec.files =
        vec![NamedFile { name: "rules".to_owned(), path: rules.to_owned(), content: content.into() }];
    spec.grants.pseudonym = Some(PseudonymGrant {
        key: Secret::new(KEY.to_vec()),
        project: "bench".to_owned(),
        date_range_days: PseudonymGrant::DATE_RANGE_DAYS,
        open: false,
    });
    spec
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

//! A plugin beside a native serde_json tree in which the same values are changed.

use bytes::Bytes;
use fireguard_plugin_host::Plugin;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{ROUND_BYTES, ROUNDS, batches, failed, process, timed};
use crate::bench::dom::{Recipe, Tokens};
use crate::bench::payload;
use crate::bench::row::{Goal, Row};
use crate::error::Error;

/// Random digits; what they hash is made up.
pub(super) const KEY: &[u8] = b"9f31c0d27ab84e6590d1e3fb62a7c458";

/// A Bundle of 30 KB through a plugin that rewrites while it reads, in one instance.
pub(super) fn streaming(runtime: &Runtime, plugin: &Plugin) -> Result<Row, Error> {
    let resources = payload::record(30_000);
    let batches = batches(&resources);
    let mut peer = Peer::of(runtime, plugin, &resources)?;
    let mut session = plugin.session();
    let mut ours =
        || batches.iter().try_for_each(|batch| runtime.block_on(process(&mut session, batch)).map(drop));
    let times = (ROUND_BYTES / 30_000).max(1);
    let each = |work: &mut dyn FnMut() -> Result<(), Error>| {
        Ok::<_, Error>(timed(|| (0..times).try_for_each(|_| work()))? * 1e6 / times as f64)
    };
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push((each(&mut ours)?, each(&mut || peer.run(&batches))?));
    }
    let name = "a Bundle of 30 KB through a streaming plugin, us";
    Ok(Row::beside(name, "native tree", &rounds, Some(Goal::RatioAtMost(0.5))))
}

/// Lets both work in turns.
pub(super) fn beside(
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

/// See [`crate::bench::dom`].
pub(super) struct Peer {
    recipes: Vec<Recipe>,
    tokens: Tokens,
}

impl Peer {
    /// Learns from the plugin what to do, and makes sure that it does the same.
    pub(super) fn of(runtime: &Runtime, plugin: &Plugin, resources: &[Bytes]) -> Result<Self, Error> {
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

    pub(super) fn run(&mut self, batches: &[Vec<Bytes>]) -> Result<(), Error> {
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

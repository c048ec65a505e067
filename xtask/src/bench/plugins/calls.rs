//! What a call and an instance cost when the plugin does nothing.

use bytes::Bytes;
use fireguard_plugin_host::{Direction, Plugin};
use tokio::runtime::Runtime;

use super::{ROUNDS, exchange, failed, items, process, timed};
use crate::bench::row::{Goal, Row};
use crate::error::Error;

/// One call after the other to the same instance.
pub(super) fn empty(runtime: &Runtime, guest: &Plugin) -> Result<Row, Error> {
    const CALLS: u32 = 20_000;
    let (exchange, items) = (exchange(), items(&[Bytes::from_static(b"{}")]));
    let mut session = guest.session();
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let seconds = timed(|| {
            runtime.block_on(async {
                for _ in 0..CALLS {
                    session.process(&exchange, Direction::ToClient, &items).await.map_err(failed)?;
                }
                Ok(())
            })
        })?;
        rounds.push(seconds * 1e6 / f64::from(CALLS));
    }
    Ok(Row::alone("call with nothing to do, us", rounds, Some(Goal::AtMost(0.6))))
}

/// An instance for each call.
pub(super) fn fresh_instance(runtime: &Runtime, plugin: &Plugin, what: &str) -> Result<Row, Error> {
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
    let name = format!("fresh instance, configured, one call: {what}, us");
    Ok(Row::alone(name, rounds, Some(Goal::AtMost(30.0))))
}

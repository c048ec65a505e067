//! Memory when nothing is asked.

use std::net::TcpStream;
use std::time::Duration;

use super::Bench;
use super::compare::search;
use super::fireguard::Extras;
use super::peers::Peer;
use super::process::{Front, Proxy};
use crate::bench::load::{Clients, Load, Responder};
use crate::bench::payload;
use crate::bench::row::{Goal, Row};
use crate::error::Error;

const IDLE: usize = 10_000;
/// So many ask at the same time, until all connections have been used.
const ASKING: usize = 100;
/// Allocators give back what they do not need.
const REST: Duration = Duration::from_secs(5);

/// Measures both rows; each is one figure, as it hardly moves.
///
/// # Errors
/// A proxy does not start, or does not keep connections.
pub(super) async fn measure(bench: &Bench) -> Result<Vec<Row>, Error> {
    let body = payload::searchset(false, "http://elsewhere.example/fhir");
    let responder = Responder::start(|_| body.clone()).await?;
    let front = Front { workers: 2, cores: "0-1023", ..Front::plain(responder.address) };
    let plugin = Extras { plugin: true, ..Extras::default() };
    bench.progress.step("memory with a plugin");
    // The first start compiles.
    let first = bench.fireguard.start(&front, plugin)?;
    Clients::first(&search(&first.target, 1, body.clone())).await?;
    first.stop()?;
    let ours = bench.fireguard.start(&front, plugin)?;
    Clients::first(&search(&ours.target, 1, body.clone())).await?;
    tokio::time::sleep(REST).await;
    let idle = Row::alone(
        "memory, idle, one plugin from the cache, MB",
        vec![ours.memory()?],
        Some(Goal::AtMost(30.0)),
    );
    drop(ours);
    let name = "memory, 10,000 idle connections, MB";
    bench.progress.step(name);
    let ours = held(&bench.fireguard.start(&front, Extras::default())?, &body).await?;
    let mut rows = vec![idle];
    for peer in [Peer::Nginx, Peer::Haproxy] {
        if bench.peers.contains(&peer) {
            let theirs = held(&peer.start(&front)?, &body).await?;
            rows.push(Row::beside(name, peer.name(), &[(ours, theirs)], None));
        }
    }
    if rows.len() == 1 {
        rows.push(Row::alone(name, vec![ours], None));
    }
    Ok(rows)
}

/// Its memory while so many connections are kept, each of which has been used once.
async fn held(proxy: &Proxy, body: &[u8]) -> Result<f64, Error> {
    let load = Load { clients: ASKING, ..search(&proxy.target, ASKING, body.to_vec()) };
    let mut kept = Vec::new();
    for _ in 0..IDLE / ASKING {
        kept.push(Clients::once(&load).await?);
    }
    tokio::time::sleep(REST).await;
    // Those that are kept are still good for something, and there is room for one more.
    let one_more = TcpStream::connect(proxy.target.address).map_err(Error::io("connecting once more"))?;
    let memory = proxy.memory()?;
    drop((one_more, kept));
    Ok(memory)
}

//! What a second worker costs: the same requests a second with one worker and with two.

use std::time::Duration;

use super::Bench;
use super::compare::search;
use super::fireguard::Extras;
use super::process::{Front, Proxy};
use crate::bench::load::{Clients, Load, Responder};
use crate::bench::payload;
use crate::bench::row::{Goal, Row};
use crate::error::Error;

const CLIENTS: usize = 64;
const WARM_UP: Duration = Duration::from_millis(500);
const ROUND: Duration = Duration::from_secs(2);
/// Of what one worker can do, so that both can.
const LOAD: f64 = 0.4;
/// What a busy machine may leave undone.
const SHORT: f64 = 0.98;

/// Measures it with nothing pinned: on two cores the clients and the server are in the way of both alike.
///
/// # Errors
/// A proxy does not start, or answers wrongly.
pub(super) async fn measure(bench: &Bench) -> Result<Vec<Row>, Error> {
    super::pin("0-1023")?;
    let mut rows = Vec::new();
    for (size, large) in [("2 KB", false), ("30 KB", true)] {
        let name = format!("two workers against one, {size}, CPU of a request, us");
        bench.progress.step(&name);
        let body = payload::searchset(large, "http://elsewhere.example/fhir");
        let responder = Responder::start(|_| body.clone()).await?;
        let start = |workers| {
            let front = Front { workers, cores: "0-1023", ..Front::plain(responder.address) };
            bench.fireguard.start(&front, Extras::default())
        };
        let (one, two) = (start(1)?, start(2)?);
        let load = |proxy: &Proxy, rate| Load { rate, ..search(&proxy.target, CLIENTS, body.clone()) };
        Clients::first(&load(&two, None)).await?;
        Clients::first(&load(&one, None)).await?;
        let clients = Clients::start(&load(&one, None));
        clients.during(WARM_UP).await?;
        let rate = clients.during(ROUND).await?.rate() * LOAD;
        clients.finish().await?;
        let mut rounds = Vec::new();
        for _ in 0..bench.rounds(5) {
            let two = round(&two, &load(&two, Some(rate)), rate).await?;
            rounds.push((two, round(&one, &load(&one, Some(rate)), rate).await?));
        }
        rows.push(Row::beside(name, "one", &rounds, Some(Goal::RatioAtMost(1.1))));
    }
    Ok(rows)
}

/// Microseconds of processor time of a request at this rate.
async fn round(proxy: &Proxy, load: &Load, rate: f64) -> Result<f64, Error> {
    let clients = Clients::start(load);
    clients.during(WARM_UP).await?;
    let before = proxy.usage()?;
    let round = clients.during(ROUND).await?;
    let used = proxy.usage()? - before;
    clients.finish().await?;
    if round.refused > 0 || round.rate() < rate * SHORT {
        let found = round.rate();
        return Err(Error::Usage(format!(
            "{found:.0} of {rate:.0} requests a second: the machine is too busy"
        )));
    }
    Ok(used.total * 1e6 / round.answered as f64)
}

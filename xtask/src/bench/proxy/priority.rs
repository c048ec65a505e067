//! One reader beside 200 writers, where HAPI has five database connections: whether the reader has to queue with them.

use std::time::Duration;

use super::Bench;
use super::backend::{self, Backend};
use super::fireguard::Extras;
use crate::bench::load::{Clients, Load, Target};
use crate::bench::row::{Goal, Row};
use crate::error::Error;

const POOL: usize = 5;
const WRITERS: usize = 200;
/// A transaction of so many Observations is some twenty milliseconds of work.
const ENTRIES: usize = 10;
/// Longer than a writer waits for its turn.
const WARM_UP: Duration = Duration::from_secs(10);
const ROUND: Duration = Duration::from_secs(20);

/// Measures the reader's wait and the writers' throughput.
///
/// # Errors
/// HAPI or the proxy does not start, or a client is not answered.
pub(super) async fn measure(bench: &Bench) -> Result<Vec<Row>, Error> {
    let backend = Backend::start(bench, POOL)?;
    let extras = Extras { concurrency: Some(POOL), ..Extras::default() };
    let proxy = bench.fireguard.start(&backend.front(), extras)?;
    let direct = Target { address: backend.address, tls: None };
    let round = async |target: &Target| {
        let load = |clients, requests: Vec<_>| Load {
            target: target.clone(),
            clients,
            requests: requests.into(),
            expected: None,
            rate: None,
        };
        let writers = Clients::start(&load(WRITERS, backend::transactions(target.address, ENTRIES)));
        writers.during(WARM_UP).await?;
        let reader = Clients::start(&load(1, backend::reads(target.address)));
        let (written, read) = tokio::join!(writers.during(ROUND), reader.during(ROUND));
        let (written, read) = (written?, read?);
        tokio::try_join!(writers.finish(), reader.finish())?;
        if written.refused + read.refused > 0 {
            let message = format!("{} writes and {} reads are refused", written.refused, read.refused);
            return Err(Error::Usage(message));
        }
        Ok((read.quantile(0.95), written.rate()))
    };
    bench.progress.step("HAPI: 200 writers, warm-up");
    round(&direct).await?;
    let (mut waits, mut rates) = (Vec::new(), Vec::new());
    for turn in 1..=bench.rounds(5) {
        bench.progress.step(&format!("HAPI: 200 writers, round {turn}"));
        let (through, without) = (round(&proxy.target).await?, round(&direct).await?);
        waits.push((through.0, without.0));
        rates.push((through.1, without.1));
    }
    Ok(vec![
        Row::beside("200 writers, p95 of one reader, ms", "direct", &waits, Some(Goal::RatioAtMost(0.1))),
        Row::beside("200 writers, transactions/s", "direct", &rates, Some(Goal::RatioAtLeast(0.98))),
    ])
}

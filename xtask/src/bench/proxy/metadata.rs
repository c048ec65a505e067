//! The CapabilityStatement, which HAPI makes anew for every client.

use std::time::Duration;

use super::Bench;
use super::backend::Backend;
use super::compare::get;
use super::fireguard::Extras;
use crate::bench::load::{Clients, Load, Target};
use crate::bench::row::{Goal, Row};
use crate::error::Error;

const WARM_UP: Duration = Duration::from_secs(10);
const ROUND: Duration = Duration::from_secs(5);

/// Measures the processor time of all that work for one answer.
///
/// # Errors
/// HAPI or the proxy does not start, or a client is not answered.
pub(super) async fn measure(bench: &Bench) -> Result<Vec<Row>, Error> {
    let backend = Backend::start(bench, 10)?;
    let proxy = bench.fireguard.start(&backend.front(), Extras::default())?;
    let direct = Target { address: backend.address, tls: None };
    bench.progress.step("HAPI: metadata");
    let cost = async |target: &Target, time| {
        let requests = [get(target.address, "/fhir/metadata")].into();
        let load = Load { target: target.clone(), clients: 1, requests, expected: None, rate: None };
        Clients::first(&load).await?;
        let clients = Clients::start(&load);
        clients.during(Duration::from_millis(500)).await?;
        let before = proxy.usage()?.total + backend.usage()?;
        let round = clients.during(time).await?;
        let used = proxy.usage()?.total + backend.usage()? - before;
        clients.finish().await?;
        if round.refused > 0 {
            return Err(Error::Usage("metadata is refused".to_owned()));
        }
        Ok(used * 1e6 / round.answered as f64)
    };
    cost(&direct, WARM_UP).await?;
    let mut rounds = Vec::new();
    for _ in 0..bench.rounds(5) {
        rounds.push((cost(&proxy.target, ROUND).await?, cost(&direct, ROUND).await?));
    }
    let name = "metadata, CPU of proxy, HAPI and PostgreSQL, us";
    Ok(vec![Row::beside(name, "direct", &rounds, Some(Goal::RatioAtMost(0.01)))])
}

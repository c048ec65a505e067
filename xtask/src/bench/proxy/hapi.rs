//! In front of HAPI on PostgreSQL: what is left of its throughput, what is added to its answers' time, and the proxy's
//! part of all processor time, beside nginx's in the same place. Everything shares all cores, the clients too.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::Bench;
use super::backend::{self, Backend};
use super::fireguard::Extras;
use super::peers::Peer;
use super::process::Proxy;
use crate::bench::load::{Clients, Load, Round, Target};
use crate::bench::row::{Goal, Row, median};
use crate::error::Error;

/// HAPI compiles what is hot.
const WARM_UP: Duration = Duration::from_secs(20);
const ROUND: Duration = Duration::from_secs(5);
/// After a change of sides.
const SETTLE: Duration = Duration::from_millis(300);
/// As many database connections as HAPI has unless told otherwise.
const POOL: usize = 10;
/// Where two cores store the most.
const BUSY: usize = 4;

/// A kind of request, and what is expected of it.
struct Kind {
    name: &'static str,
    requests: fn(SocketAddr) -> Vec<Bytes>,
    /// Through the proxy, of what there is without it.
    throughput: f64,
    /// The proxy's processor time in parts of nginx's.
    share: Option<f64>,
    /// What one client alone waits for is measured, too.
    latency: bool,
}

const KINDS: [Kind; 4] = [
    Kind { name: "read by id", requests: backend::reads, throughput: 0.95, share: Some(1.0), latency: true },
    Kind { name: "search", requests: backend::searches, throughput: 0.98, share: Some(1.0), latency: true },
    Kind { name: "create", requests: backend::creates, throughput: 0.98, share: None, latency: false },
    Kind {
        name: "transaction of 100",
        requests: |host| backend::transactions(host, 100),
        throughput: 0.98,
        share: None,
        latency: false,
    },
];

/// Measures all kinds.
///
/// # Errors
/// HAPI or the proxy does not start, or a client is not answered.
pub(super) async fn measure(bench: &Bench) -> Result<Vec<Row>, Error> {
    let backend = Backend::start(bench, POOL)?;
    let proxy = bench.fireguard.start(&backend.front(), Extras::default())?;
    let nginx =
        bench.peers.contains(&Peer::Nginx).then(|| Peer::Nginx.start(&backend.front())).transpose()?;
    let direct = Target { address: backend.address, tls: None };
    let mut rows = Vec::new();
    for kind in &KINDS {
        bench.progress.step(&format!("HAPI: {}", kind.name));
        let sides = Sides { backend: &backend, proxy: &proxy, direct: &direct, kind };
        sides.through(&proxy, BUSY, WARM_UP / 2).await?;
        sides.without(BUSY, WARM_UP / 2).await?;
        let (mut rates, mut shares, mut beside) = (Vec::new(), Vec::new(), Vec::new());
        for turn in 0..bench.rounds(20) {
            let (through, without) = sides.both(turn, BUSY).await?;
            rates.push((through.round.rate(), without.rate()));
            shares.push(through.share * 100.0);
            if let Some(nginx) = &nginx {
                let other = sides.through(nginx, BUSY, ROUND).await?;
                beside.push((through.share * 100.0, other.share * 100.0));
            }
        }
        let name = |what: &str| format!("HAPI, {}, {what}", kind.name);
        let goal = Some(Goal::RatioAtLeast(kind.throughput));
        rows.push(Row::beside(name("4 clients, answers/s"), "direct", &rates, goal));
        let share = name("CPU, % of HAPI's and PostgreSQL's");
        let goal = kind.share.map(Goal::RatioAtMost);
        rows.push(match nginx {
            Some(_) => Row::beside(share, Peer::Nginx.name(), &beside, goal),
            None => Row::alone(share, shares, None),
        });
        if kind.latency {
            rows.extend(sides.latency(bench, &name).await?);
        }
    }
    Ok(rows)
}

/// HAPI with the proxy and without it.
struct Sides<'a> {
    backend: &'a Backend,
    proxy: &'a Proxy,
    direct: &'a Target,
    kind: &'a Kind,
}

struct Measured {
    round: Round,
    /// The proxy's processor time in parts of the others'.
    share: f64,
}

impl Sides<'_> {
    /// What one client waits for: the rows for the median, and for what is added to it.
    async fn latency(&self, bench: &Bench, name: &dyn Fn(&str) -> String) -> Result<Vec<Row>, Error> {
        let mut medians = Vec::new();
        for turn in 0..bench.rounds(20) {
            let (through, without) = self.both(turn, 1).await?;
            medians.push((through.round.quantile(0.5), without.quantile(0.5)));
        }
        let added = median(medians.iter().map(|(through, without)| through - without).collect());
        let row = Row::beside(name("1 client, p50, ms"), "direct", &medians, None);
        Ok(vec![row, Row::alone(name("1 client, p50 added, ms"), vec![added], Some(Goal::AtMost(0.3)))])
    }

    /// Who goes first takes turns: what HAPI leaves behind is for the other.
    async fn both(&self, turn: u16, clients: usize) -> Result<(Measured, Round), Error> {
        if turn.is_multiple_of(2) {
            let through = self.through(self.proxy, clients, ROUND).await?;
            Ok((through, self.without(clients, ROUND).await?))
        } else {
            let without = self.without(clients, ROUND).await?;
            Ok((self.through(self.proxy, clients, ROUND).await?, without))
        }
    }

    async fn through(&self, proxy: &Proxy, clients: usize, time: Duration) -> Result<Measured, Error> {
        let running = self.running(&proxy.target, clients).await?;
        let (before, hapi) = (proxy.usage()?, self.backend.usage()?);
        let round = running.during(time).await?;
        let share = (proxy.usage()? - before).total / (self.backend.usage()? - hapi);
        running.finish().await?;
        Ok(Measured { round: self.answered(round)?, share })
    }

    async fn without(&self, clients: usize, time: Duration) -> Result<Round, Error> {
        let running = self.running(self.direct, clients).await?;
        let round = running.during(time).await?;
        running.finish().await?;
        self.answered(round)
    }

    /// Clients that have settled.
    async fn running(&self, target: &Target, clients: usize) -> Result<Clients, Error> {
        let requests = (self.kind.requests)(target.address).into();
        let load = Load { target: target.clone(), clients, requests, expected: None, rate: None };
        Clients::first(&load).await?;
        let clients = Clients::start(&load);
        clients.during(SETTLE).await?;
        Ok(clients)
    }

    fn answered(&self, round: Round) -> Result<Round, Error> {
        if round.refused > 0 || round.answered == 0 {
            let (answered, refused, kind) = (round.answered, round.refused, self.kind.name);
            return Err(Error::Usage(format!("HAPI answered {answered} and refused {refused}: {kind}")));
        }
        Ok(round)
    }
}

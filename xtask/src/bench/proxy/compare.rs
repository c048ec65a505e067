//! Processor time of a request: ours and its peers in turns on core 0, while the clients and the server share core 1.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::Bench;
use super::fireguard::Extras;
use super::peers::Peer;
use super::process::{Front, Proxy};
use crate::bench::load::{Clients, Load, Responder, Target};
use crate::bench::payload;
use crate::bench::row::{Goal, Row};
use crate::error::Error;

/// A base that is nobody's: there is nothing to rewrite.
const ELSEWHERE: &str = "http://elsewhere.example/fhir";
const WARM_UP: Duration = Duration::from_millis(300);
const ROUND: Duration = Duration::from_millis(1000);

/// A group of rows that differ in size and in the number of clients.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    /// What they have in common, for their names.
    pub(super) what: &'static str,
    pub(super) rewrite: bool,
    pub(super) tls: bool,
    pub(super) access_log: bool,
    /// The ratio to nginx at 2 KB and at 30 KB.
    pub(super) goals: Option<(f64, f64)>,
    pub(super) peers: &'static [Peer],
}

impl Group {
    /// Measures all of them.
    ///
    /// # Errors
    /// A proxy does not start, or answers wrongly.
    pub(super) async fn measure(&self, bench: &Bench) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        for large in [false, true] {
            for clients in [16, 64] {
                rows.extend(self.case(bench, large, clients).await?);
            }
        }
        Ok(rows)
    }

    async fn case(&self, bench: &Bench, large: bool, clients: usize) -> Result<Vec<Row>, Error> {
        let size = if large { "30 KB" } else { "2 KB" };
        let name = format!("{}, {size}, {clients} clients, CPU of a request, us", self.what);
        bench.progress.step(&name);
        let rewrite = self.rewrite;
        let responder =
            Responder::start(|base| payload::searchset(large, if rewrite { base } else { ELSEWHERE }))
                .await?;
        let front = Front {
            certificate: self.tls.then_some(&bench.certificate),
            access_log: self.access_log,
            rewrite,
            ..Front::plain(responder.address)
        };
        let ours = bench.fireguard.start(&front, Extras::default())?;
        let here: Vec<Peer> = self.peers.iter().copied().filter(|peer| bench.peers.contains(peer)).collect();
        let peers = here.iter().map(|peer| peer.start(&front)).collect::<Result<Vec<_>, _>>()?;
        for proxy in std::iter::once(&ours).chain(&peers) {
            Clients::first(&self.load(proxy, large, clients)).await?;
        }
        let (mut mine, mut theirs) = (Vec::new(), vec![Vec::new(); peers.len()]);
        for _ in 0..bench.rounds(5) {
            mine.push(round(&ours, &self.load(&ours, large, clients)).await?);
            for (peer, rounds) in peers.iter().zip(&mut theirs) {
                rounds.push(round(peer, &self.load(peer, large, clients)).await?);
            }
        }
        let total: Vec<f64> = mine.iter().map(|cost| cost.total).collect();
        let kernel: Vec<f64> = mine.iter().map(|cost| cost.kernel).collect();
        if here.is_empty() {
            return Ok(vec![Row::alone(name, total, None).kernel(kernel)]);
        }
        let row = |(peer, costs): (&Peer, &Vec<Cost>)| {
            let rounds: Vec<_> = total.iter().copied().zip(costs.iter().map(|cost| cost.total)).collect();
            let goal = self.goals.filter(|_| *peer == Peer::Nginx);
            let goal = goal.map(|(small, big)| Goal::RatioAtMost(if large { big } else { small }));
            Row::beside(name.clone(), peer.name(), &rounds, goal).kernel(kernel.clone())
        };
        Ok(here.iter().zip(&theirs).map(row).collect())
    }

    fn load(&self, proxy: &Proxy, large: bool, clients: usize) -> Load {
        let scheme = if self.tls { "https" } else { "http" };
        let base = format!("{scheme}://{}/fhir", proxy.target.address);
        let body = payload::searchset(large, if self.rewrite { &base } else { ELSEWHERE });
        search(&proxy.target, clients, body)
    }
}

/// Clients that search, and know what they must be answered.
pub(super) fn search(target: &Target, clients: usize, body: Vec<u8>) -> Load {
    Load {
        requests: [get(target.address, "/fhir/Observation?code=x")].into(),
        target: target.clone(),
        clients,
        expected: Some(body.into()),
        rate: None,
    }
}

/// A request without a body.
pub(super) fn get(host: SocketAddr, path: &str) -> Bytes {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/fhir+json\r\n\r\n").into()
}

/// Processor time of a request, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    pub(super) total: f64,
    pub(super) kernel: f64,
}

/// Puts a load on a proxy for a second.
///
/// # Errors
/// It answers wrongly, or not at all.
pub(super) async fn round(proxy: &Proxy, load: &Load) -> Result<Cost, Error> {
    let clients = Clients::start(load);
    clients.during(WARM_UP).await?;
    let before = proxy.usage()?;
    let round = clients.during(ROUND).await?;
    let used = proxy.usage()? - before;
    clients.finish().await?;
    if round.answered == 0 || round.refused > 0 {
        let (answered, refused) = (round.answered, round.refused);
        return Err(Error::Usage(format!("a proxy answered {answered} requests and refused {refused}")));
    }
    let of = |seconds: f64| seconds * 1e6 / round.answered as f64;
    Ok(Cost { total: of(used.total), kernel: of(used.kernel) })
}

//! Processor time of one proxied request: Fireguard and nginx in turns, each on core 0 while the clients and
//! the server share core 1.

use std::time::Duration;

use fireguard_test_support::repository;
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::load::{Clients, Responder};
use super::payload;
use super::process::Proxy;
use super::row::{Goal, Row};
use crate::error::Error;
use crate::progress::Progress;

const ROUNDS: usize = 5;
const WARM_UP: Duration = Duration::from_millis(300);
const ROUND: Duration = Duration::from_millis(1000);

/// What a row measures.
struct Case {
    bytes: usize,
    clients: usize,
    /// The answer's addresses are the server's own and become Fireguard's.
    rewrite: bool,
    access_log: bool,
}

/// Measures everything; under three minutes.
pub(super) fn run() -> Result<Vec<Row>, Error> {
    let progress = Progress::begin();
    let binary = repository::target().join("dist/fireguard");
    if !binary.exists() {
        return Err(Error::Usage(format!("{} is not built", binary.display())));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::io("starting a runtime"))?;
    let mut rows = Vec::new();
    for (rewrite, access_log) in [(false, false), (true, false), (false, true)] {
        for bytes in [2_000, 30_000] {
            for clients in [16, 64] {
                let case = Case { bytes, clients, rewrite, access_log };
                progress.step(&case.name());
                rows.push(runtime.block_on(case.measure(&progress))?);
            }
        }
    }
    Ok(rows)
}

impl Case {
    fn name(&self) -> String {
        let what = match (self.rewrite, self.access_log) {
            (true, _) => "20 addresses to rewrite",
            (_, true) => "access log",
            _ => "plain",
        };
        format!("CPU of a request, {} KB, {} clients, {what}, us", self.bytes / 1000, self.clients)
    }

    async fn measure(&self, progress: &Progress) -> Result<Row, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(Error::io("listening"))?;
        let base = format!("http://{}/fhir", listener.local_addr().map_err(Error::io("listening"))?);
        let body = payload::searchset(self.bytes, self.rewrite.then_some(base.as_str()));
        let responder = Responder::start(listener, &body).await?;
        let ours = Proxy::fireguard(responder.address, self.access_log)?;
        let Some(peer) = Proxy::nginx(responder.address, self.access_log)? else {
            progress.step("skipped: nginx is not installed (Debian package nginx-light)");
            let mut rounds = Vec::new();
            for _ in 0..ROUNDS {
                rounds.push(self.round(&ours).await?);
            }
            return Ok(Row::alone(self.name(), rounds, None));
        };
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push((self.round(&ours).await?, self.round(&peer).await?));
        }
        // nginx passes addresses on as they are, so there it only shows what the work costs.
        let goal = (!self.rewrite && !self.access_log).then_some(Goal::RatioAtMost(1.0));
        Ok(Row::beside(self.name(), &rounds, goal))
    }

    /// Microseconds of processor time for each request.
    async fn round(&self, proxy: &Proxy) -> Result<f64, Error> {
        let mut clients = Clients::start(proxy.address, self.clients);
        sleep(WARM_UP).await;
        let (before, cpu) = (clients.answered()?, proxy.cpu()?);
        sleep(ROUND).await;
        let (after, used) = (clients.answered()?, proxy.cpu()? - cpu);
        if after == before {
            return Err(Error::Usage("a proxy answered nothing to the benchmark".to_owned()));
        }
        Ok(used * 1e6 / (after - before) as f64)
    }
}

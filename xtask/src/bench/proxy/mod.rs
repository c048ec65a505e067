//! What a request costs in the proxy: beside nginx and HAProxy, and in front of a real HAPI beside HAPI itself.

mod backend;
mod certificate;
mod compare;
mod fireguard;
mod hapi;
mod memory;
mod metadata;
mod peers;
mod plugins;
mod priority;
mod process;
mod train;
mod usage;
mod workers;

use std::process::{Command, Stdio};

use fireguard_test_support::repository;

use super::arguments::{Family, Proxy as Arguments};
use super::row::Row;
use crate::error::{Error, run as run_command};
use crate::pgo;
use crate::progress::Progress;
use certificate::Certificate;
use compare::Group;
use fireguard::Fireguard;
use peers::Peer;

pub(super) use train::train;

/// What all families use.
struct Bench {
    fireguard: Fireguard,
    /// Those that are installed.
    peers: Vec<Peer>,
    certificate: Certificate,
    rounds: Option<u16>,
    progress: Progress,
}

impl Bench {
    /// As many rounds as asked for, or else these.
    fn rounds(&self, otherwise: u16) -> u16 {
        self.rounds.unwrap_or(otherwise)
    }
}

/// Measures what is asked for.
///
/// # Errors
/// Something does not start, or answers wrongly.
pub(super) fn run(arguments: &Arguments) -> Result<Vec<Row>, Error> {
    let progress = Progress::begin();
    let _alone = process::alone()?;
    let binary = if arguments.no_pgo { repository::target().join("dist/fireguard") } else { pgo::binary() };
    let peers = peers::installed(&progress);
    let fireguard = Fireguard::at(binary)?;
    let certificate = Certificate::make()?;
    let bench = Bench { fireguard, peers, certificate, rounds: arguments.rounds, progress };
    let runtime = runtime()?;
    let mut rows = Vec::new();
    for family in arguments.families() {
        // In front of HAPI all share all cores: with two there are none to give away.
        let alone = !matches!(family, Family::Metadata | Family::Hapi | Family::Priority);
        pin(if alone { "1" } else { "0-1023" })?;
        rows.extend(match family {
            Family::Pass => runtime.block_on(PASS.measure(&bench))?,
            Family::Rewrite => runtime.block_on(REWRITE.measure(&bench))?,
            Family::Tls => runtime.block_on(TLS.measure(&bench))?,
            Family::Log => runtime.block_on(LOG.measure(&bench))?,
            Family::Workers => runtime.block_on(workers::measure(&bench))?,
            Family::Memory => runtime.block_on(memory::measure(&bench))?,
            Family::Metadata => runtime.block_on(metadata::measure(&bench))?,
            Family::Hapi => runtime.block_on(hapi::measure(&bench))?,
            Family::Priority => runtime.block_on(priority::measure(&bench))?,
        });
    }
    Ok(rows)
}

/// Measures plugins in the gateway: loading them anew, and routes that have none.
///
/// # Errors
/// As [`run`].
pub(super) fn plugins() -> Result<Vec<Row>, Error> {
    let progress = Progress::begin();
    let _alone = process::alone()?;
    runtime()?.block_on(plugins::measure(repository::target().join("dist/fireguard"), &progress))
}

const PASS: Group = Group {
    what: "pass",
    rewrite: false,
    tls: false,
    access_log: false,
    goals: Some((0.8, 1.0)),
    peers: &[Peer::Nginx, Peer::Haproxy],
};
/// HAProxy does not rewrite bodies.
const REWRITE: Group =
    Group { what: "20 addresses", rewrite: true, goals: Some((1.0, 1.0)), peers: &[Peer::Nginx], ..PASS };
const TLS: Group = Group { what: "TLS 1.3", tls: true, goals: Some((0.75, 0.75)), ..PASS };
const LOG: Group = Group { what: "access log", access_log: true, goals: None, peers: &[Peer::Nginx], ..PASS };

/// Everything that asks and answers runs on one thread.
fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Error::io("starting a runtime"))
}

/// Keeps this process, and what it starts from now on without a wish of its own, to these cores.
fn pin(cores: &str) -> Result<(), Error> {
    let mut taskset = Command::new("taskset");
    taskset.args(["--all-tasks", "--pid", "--cpu-list", cores, &std::process::id().to_string()]);
    run_command(taskset.stdout(Stdio::null()), "taskset (package util-linux) and a second core")
}

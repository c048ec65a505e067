//! What `cargo xtask bench` is asked for.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What is measured.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Bench {
    /// Decisions: scopes and policies; some seconds.
    Access(Printed),
    /// The boundary to plugins, their instances, and plugins against a native serde_json DOM.
    #[command(alias = "plugin")]
    Plugins(Plugins),
    /// The proxy beside nginx and HAProxy, and in front of a real HAPI beside HAPI itself.
    Proxy(Proxy),
    /// What `cargo xtask release --pgo` learns from: an instrumented gateway under load.
    #[command(hide = true)]
    Train {
        /// The instrumented gateway.
        binary: PathBuf,
    },
}

/// How rows are printed.
#[derive(Debug, Clone, Args)]
pub(crate) struct Printed {
    /// Print each row as a JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

/// What of plugins is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct Plugins {
    /// What to measure; unless given all of it, six minutes after building.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Print each row as a JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

impl Plugins {
    /// Whether this is to be measured.
    pub(super) fn has(&self, part: Part) -> bool {
        self.parts.is_empty() || self.parts.contains(&part)
    }
}

/// What belongs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Part {
    /// A call that does nothing, and a fresh instance.
    Boundary,
    /// Two threads against one.
    Threads,
    /// A plugin that rewrites while it reads, against a native tree.
    Streaming,
    /// De-identification against a native tree.
    Deid,
    /// What a loaded plugin takes.
    Memory,
    /// Python and JavaScript.
    Languages,
    /// In the gateway: reloads under load, and routes without plugins.
    Gateway,
}

/// How the proxy is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct Proxy {
    /// What to measure; unless given all that needs no HAPI, which takes six minutes.
    #[arg(value_enum)]
    pub(super) families: Vec<Family>,
    /// Measure everything; 45 minutes.
    #[arg(long, conflicts_with = "families")]
    pub(super) all: bool,
    /// Rounds of each row; 5 unless given, 20 for hapi.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) rounds: Option<u16>,
    /// Measure the build without a profile, which is made in half the time and is slower.
    #[arg(long)]
    pub(super) no_pgo: bool,
    /// Print each row as a JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

/// What belongs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Family {
    /// Answers passed on as they are; two minutes.
    Pass,
    /// Answers with 20 addresses of the server, against nginx with sub_filter; a minute.
    Rewrite,
    /// TLS 1.3 to the client; two minutes.
    Tls,
    /// The access log; a minute.
    Log,
    /// Two workers against one at an equal rate; half a minute.
    Workers,
    /// Memory when nothing is asked; half a minute.
    Memory,
    /// CapabilityStatements in front of HAPI; two minutes.
    Metadata,
    /// Throughput, latency and processor time in front of HAPI on PostgreSQL; half an hour.
    Hapi,
    /// One reader beside 200 writers, in front of HAPI with five database connections; five minutes.
    Priority,
}

#[cfg(feature = "bench")]
impl Proxy {
    /// What is to be measured.
    pub(super) fn families(&self) -> Vec<Family> {
        if self.all {
            Family::value_variants().to_vec()
        } else if self.families.is_empty() {
            use Family::{Log, Memory, Pass, Rewrite, Tls, Workers};
            vec![Pass, Rewrite, Tls, Log, Workers, Memory]
        } else {
            self.families.clone()
        }
    }
}

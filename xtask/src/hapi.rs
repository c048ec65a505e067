//! `cargo xtask hapi`: servers that go on when the command has ended.

mod state;

use std::process::Command as Process;

use clap::{Args, Subcommand};
use fireguard_test_support::hapi::{Options, Package, Server, port_of};

use crate::error::{Error, run as run_command};
use crate::progress::Progress;
use state::State;

const DEFAULT_NAME: &str = "default";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a server, wait until it answers, and print its base URL.
    Start(Start),
    /// Stop a server. What is in PostgreSQL stays for the next start of that name.
    Stop {
        /// Its name.
        #[arg(default_value = DEFAULT_NAME, value_parser = plain_name)]
        name: String,
    },
    /// Stop a server and start it again as it was, on the same port, with an empty database.
    Reset {
        /// Its name.
        #[arg(default_value = DEFAULT_NAME, value_parser = plain_name)]
        name: String,
    },
    /// List the servers.
    Status,
    /// Print a server's log.
    Logs {
        /// Its name.
        #[arg(default_value = DEFAULT_NAME, value_parser = plain_name)]
        name: String,
        /// Go on printing what is added.
        #[arg(short, long)]
        follow: bool,
    },
}

/// How to start a server; kept with its state so that `reset` starts the same.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub(crate) struct Start {
    /// What to call it; several can run side by side.
    #[arg(long, default_value = DEFAULT_NAME, value_parser = plain_name)]
    name: String,
    /// The port; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// A property of HAPI's JpaStorageSettings, such as allowMultipleDelete=true; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    storage: Vec<(String, String)>,
    /// A setting of the server, such as page.max=500 or jobs.every.ms=1000 (the whole list is in
    /// tests/support/hapi/src/main/java/org/fireguard/hapi/Setting.java); may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Heap as Java writes it: 512m is enough for behaviour, 1g for load and large bodies.
    #[arg(long, default_value = "512m")]
    heap: String,
    /// Compile hot code fully: a slower start, and the speed that measurements are about.
    #[arg(long)]
    full_jit: bool,
    /// Keep the data in a PostgreSQL of the server's own instead of H2 in memory. It needs no root and nothing
    /// installed; the first use downloads it (15 MB). Its log lies beside the server's, as NAME.postgres.log.
    #[arg(long)]
    postgres: bool,
    /// Let PostgreSQL answer before the disk has what it was given: faster, and a crash of the machine may lose it.
    #[arg(long, requires = "postgres")]
    no_fsync: bool,
}

/// Runs one of the commands.
///
/// # Errors
/// HAPI cannot be built or started, or there is no server of that name.
pub(crate) fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Start(start) => {
            let base = ensure(&start)?;
            print(&base);
        }
        Command::Stop { name } => State::load(&name)?.stop()?,
        Command::Reset { name } => {
            let state = State::load(&name)?;
            state.stop()?;
            State::database_of(&name).clear()?;
            let start = Start { port: port_of(&state.base), ..state.start };
            let base = ensure(&start)?;
            print(&base);
        }
        Command::Status => State::all()?.iter().for_each(|state| print(&state.to_string())),
        Command::Logs { name, follow } => {
            let mut tail = Process::new("tail");
            tail.args(["-n", "+1"]);
            if follow {
                tail.arg("-F");
            }
            run_command(tail.arg(State::load(&name)?.log()), "tail")?;
        }
    }
    Ok(())
}

/// The base URL of a server that runs as `start` says, started if it does not run yet.
///
/// # Errors
/// HAPI cannot be built or started, or a server of that name runs with other settings.
pub(crate) fn ensure(start: &Start) -> Result<String, Error> {
    if let Ok(present) = State::load(&start.name)
        && present.is_running()
    {
        let port = if start.port == 0 { present.start.port } else { start.port };
        if present.start == (Start { port, ..start.clone() }) {
            return Ok(present.base);
        }
        let Start { name, .. } = start;
        let message = format!("HAPI `{name}` runs with other settings: `cargo xtask hapi stop {name}` first");
        return Err(Error::Usage(message));
    }
    let progress = Progress::begin();
    let tell = |step: &str| progress.step(&format!("HAPI: {step}"));
    let package = Package::ensure(&tell)?;
    let database = State::database_of(&start.name);
    // One whose HAPI has ended by itself.
    database.stop();
    let mut options = options(start).log(State::log_of(&start.name));
    if start.postgres {
        tell(&format!("starting PostgreSQL for `{}`", start.name));
        for (name, value) in database.start(!start.no_fsync, &tell)? {
            options = options.setting(&name, &value);
        }
    }
    tell(&format!("starting `{}`", start.name));
    let started = Server::start_detached(&package, &options, &State::work_of(&start.name));
    let (base, pid) = started.inspect_err(|_| database.stop())?;
    tell("ready");
    let state = State { start: start.clone(), base, pid };
    state.save()?;
    Ok(state.base)
}

fn options(start: &Start) -> Options {
    let mut options = Options::default().port(start.port).heap(&start.heap).full_jit(start.full_jit);
    for (name, value) in &start.storage {
        options = options.storage(name, value);
    }
    for (name, value) in &start.set {
        options = options.setting(name, value);
    }
    options
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("NAME=VALUE is expected".into()),
    }
}

/// A name becomes a file name.
fn plain_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !text.is_empty() && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("letters, digits, `-` and `_` are allowed".into())
    }
}

#[expect(clippy::print_stdout, reason = "what the command was called for")]
fn print(line: &str) {
    println!("{line}");
}

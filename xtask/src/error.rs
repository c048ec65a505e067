//! Why a command failed.

use std::io;
use std::process::{Command, ExitStatus};

use fireguard_test_support::{data, gateway, hapi, install};

/// Why a command failed; each says on one line what to do or where to look.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A tool that is needed is missing or too old.
    #[error("{0}")]
    Tool(String),
    /// A command that was run failed, and has said why.
    #[error("`{command}` failed ({status})")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// Some tests failed; the summary has said so.
    #[error("tests failed")]
    TestsFailed,
    /// The arguments do not fit what is there.
    #[error("{0}")]
    Usage(String),
    /// A file or process could not be handled.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What went wrong.
        source: io::Error,
    },
    /// HAPI could not be built or started.
    #[error(transparent)]
    Hapi(#[from] hapi::Error),
    /// Fireguard could not be built or started.
    #[error(transparent)]
    Gateway(#[from] gateway::Error),
    /// Data could not be had or loaded.
    #[error(transparent)]
    Data(#[from] data::Error),
    /// A client library could not be installed.
    #[error(transparent)]
    Install(#[from] install::Error),
    /// The R4 tables could not be generated.
    #[error(transparent)]
    R4(#[from] crate::r4::Error),
}

impl Error {
    /// For `map_err`: says what was being done.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing: doing.into(), source }
    }
}

/// Runs a command to its end.
///
/// # Errors
/// It does not start (`needed` says what should be installed), or it fails.
pub(crate) fn run(command: &mut Command, needed: &str) -> Result<(), Error> {
    let status = command.status().map_err(|e| missing(command, needed, &e))?;
    if status.success() { Ok(()) } else { Err(failed(command, status)) }
}

/// Runs a command to its end and returns what it wrote to standard output.
///
/// # Errors
/// As [`run`].
pub(crate) fn output(command: &mut Command, needed: &str) -> Result<String, Error> {
    let command = command.stderr(std::process::Stdio::inherit());
    let output = command.output().map_err(|e| missing(command, needed, &e))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(failed(command, output.status))
    }
}

/// The error for a command that ended badly.
pub(crate) fn failed(command: &Command, status: ExitStatus) -> Error {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    Error::Failed { command: line, status }
}

fn missing(command: &Command, needed: &str, error: &io::Error) -> Error {
    Error::Tool(format!("{needed} is needed: {} does not start: {error}", command.get_program().display()))
}

//! `cargo xtask bench`: how fast plugins and the proxy are, each against a peer in the same run.
//!
//! What is measured is compiled with the feature `bench` and the profile of a release. The developer's own
//! `xtask` has neither, so that its first command does not wait for a WebAssembly engine to compile: it builds
//! that other `xtask` and runs it.

#[cfg(not(feature = "bench"))]
mod build;
#[cfg(feature = "bench")]
mod dom;
#[cfg(feature = "bench")]
mod load;
#[cfg(feature = "bench")]
mod payload;
#[cfg(feature = "bench")]
mod plugin;
#[cfg(feature = "bench")]
mod process;
#[cfg(feature = "bench")]
mod proxy;
#[cfg(feature = "bench")]
mod row;

use clap::Subcommand;

use crate::error::Error;

/// What is measured.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Bench {
    /// The boundary to plugins, and the de-identification plugin against a native serde_json DOM.
    Plugin(Output),
    /// Processor time of one proxied request, against nginx where it is installed.
    Proxy(Output),
}

/// How results are printed.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Output {
    /// Print each row as a JSON object.
    #[arg(long)]
    json: bool,
}

/// Measures and prints one row for each figure.
///
/// # Errors
/// Something does not build or start, or measures nonsense. A goal that is missed is a row, not an error.
#[cfg(feature = "bench")]
pub(crate) fn run(bench: Bench) -> Result<(), Error> {
    let (rows, output) = match bench {
        Bench::Plugin(output) => (plugin::run()?, output),
        Bench::Proxy(output) => (proxy::run()?, output),
    };
    row::print_all(&rows, output.json);
    Ok(())
}

/// Builds what is measured and runs it.
///
/// # Errors
/// It does not build, or failed and has said why.
#[cfg(not(feature = "bench"))]
pub(crate) fn run(bench: Bench) -> Result<(), Error> {
    match bench {
        Bench::Plugin(output) => build::plugin(output.json),
        Bench::Proxy(output) => build::proxy(output.json),
    }
}

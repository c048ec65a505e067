//! `cargo xtask bench`: how fast plugins and the proxy are, each against a peer in the same run.
//!
//! What measures is compiled with the feature `bench` and optimised. The developer's own `xtask` is neither, so that
//! its first command does not wait for a WebAssembly engine to compile: it builds that other `xtask` and runs it.

#[cfg(feature = "bench")]
mod access;
mod arguments;
#[cfg(not(feature = "bench"))]
mod build;
#[cfg(feature = "bench")]
mod dom;
#[cfg(feature = "bench")]
mod load;
#[cfg(feature = "bench")]
mod machine;
#[cfg(feature = "bench")]
mod payload;
#[cfg(feature = "bench")]
mod plugins;
#[cfg(feature = "bench")]
mod proxy;
#[cfg(feature = "bench")]
mod row;

#[cfg(feature = "bench")]
use crate::error::Error;

pub(crate) use arguments::Bench;

/// Measures and prints one row for each figure.
///
/// # Errors
/// Something does not build or start, or measures nonsense. A goal that is missed is a row, not an error.
#[cfg(feature = "bench")]
pub(crate) fn run(bench: &Bench) -> Result<(), Error> {
    let build = match bench {
        Bench::Proxy(arguments) if arguments.no_pgo => "build without a profile",
        Bench::Proxy(_) => "build by profile",
        Bench::Access(_) | Bench::Plugins(_) | Bench::Train { .. } => "release build",
    };
    let machine = machine::Machine::this(build);
    let (rows, json) = match bench {
        Bench::Access(arguments) => (access::run()?, arguments.json),
        Bench::Plugins(arguments) => (plugins::run(arguments)?, arguments.json),
        Bench::Proxy(arguments) => (proxy::run(arguments)?, arguments.json),
        Bench::Train { binary } => return proxy::train(binary),
    };
    row::print_all(&rows, &machine, json);
    Ok(())
}

/// Lets an instrumented gateway work as in the benchmarks.
///
/// # Errors
/// It does not start, or answers wrongly.
#[cfg(feature = "bench")]
pub(crate) fn train(binary: &std::path::Path, _: &crate::progress::Progress) -> Result<(), Error> {
    proxy::train(binary)
}

#[cfg(not(feature = "bench"))]
pub(crate) use build::{run, train};

//! Builds what `cargo xtask bench` measures, and runs it.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use fireguard_test_support::plugins::component;
use fireguard_test_support::repository;

use super::arguments::{Bench, Part, Plugins};
use crate::error::{Error, run as run_command};
use crate::lint::cargo;
use crate::pgo;
use crate::plugins;
use crate::progress::Progress;

/// Builds what is measured and runs it.
///
/// # Errors
/// It does not build, or failed and has said why.
pub(crate) fn run(bench: &Bench) -> Result<(), Error> {
    let progress = Progress::begin();
    if !matches!(bench, Bench::Access(_)) {
        plugins::build(&progress)?;
    }
    match bench {
        Bench::Plugins(arguments) => plugins_of(arguments, &progress)?,
        Bench::Proxy(arguments) if arguments.no_pgo => gateway(&progress)?,
        Bench::Proxy(_) => pgo::build(&progress)?,
        // What they measure is given, or part of the benchmark.
        Bench::Access(_) | Bench::Train { .. } => {}
    }
    // Of the host of plugins and of decisions the build is what is measured; the proxy's clients are only to be fast
    // enough.
    let profile = if matches!(bench, Bench::Plugins(_) | Bench::Access(_)) { "dist" } else { "release" };
    measure(profile, std::env::args_os().skip(1).collect(), &progress)
}

/// Lets an instrumented gateway work as in the benchmarks.
///
/// # Errors
/// As [`run`].
pub(crate) fn train(binary: &Path, progress: &Progress) -> Result<(), Error> {
    plugins::build(progress)?;
    measure("release", vec!["bench".into(), "train".into(), binary.into()], progress)
}

fn plugins_of(arguments: &Plugins, progress: &Progress) -> Result<(), Error> {
    let guest = ["build", "--quiet", "--profile", "plugin", "--target", "wasm32-wasip2"];
    let packages = ["--package", "fireguard-streaming-guest", "--package", "fireguard-large-guest"];
    run_command(cargo().args(guest).args(packages), "cargo")?;
    if arguments.has(Part::Languages) {
        for language in ["python", "javascript"] {
            progress.step(&format!("a guest in {language}"));
            if let Err(why) = component(&format!("../tests/guests/{language}")) {
                progress.step(&format!("left out: {why}"));
            }
        }
    }
    if arguments.has(Part::Gateway) { gateway(progress) } else { Ok(()) }
}

fn gateway(progress: &Progress) -> Result<(), Error> {
    progress.step("building Fireguard as for a release: minutes");
    let build = ["build", "--quiet", "--profile", "dist", "--package", "fireguard"];
    run_command(cargo().args(build), "cargo")
}

fn measure(profile: &str, arguments: Vec<OsString>, progress: &Progress) -> Result<(), Error> {
    progress.step("building the benchmark: minutes");
    let build = ["build", "--quiet", "--profile", profile, "--package", "xtask", "--features", "bench"];
    run_command(cargo().args(build), "cargo")?;
    // Core 1 unless it takes another: core 0 is for what it starts to be measured.
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", "1"]).arg(repository::target().join(profile).join("xtask")).args(arguments);
    run_command(command.current_dir(repository::root()), "taskset (package util-linux) and a second core")
}

//! Builds what `cargo xtask bench` measures, and runs it on a core of its own.

use std::process::Command;

use fireguard_test_support::repository;

use crate::error::{Error, run};
use crate::lint::cargo;
use crate::plugins;
use crate::progress::Progress;

/// Builds the plugins and the test guest, and measures them.
pub(super) fn plugin(json: bool) -> Result<(), Error> {
    let progress = Progress::begin();
    plugins::build(&progress)?;
    let guest = ["build", "--quiet", "--profile", "plugin", "--target", "wasm32-wasip2"];
    run(cargo().args(guest).args(["--package", "fireguard-test-guest"]), "cargo")?;
    measure("plugin", json, &progress)
}

/// Builds Fireguard and measures it.
pub(super) fn proxy(json: bool) -> Result<(), Error> {
    let progress = Progress::begin();
    progress.step("building Fireguard as for a release: minutes");
    run(cargo().args(["build", "--quiet", "--profile", "dist", "--package", "fireguard"]), "cargo")?;
    measure("proxy", json, &progress)
}

/// The measuring `xtask` gets core 1; what it measures of other processes runs on core 0.
fn measure(what: &str, json: bool, progress: &Progress) -> Result<(), Error> {
    progress.step("building the benchmark as for a release: minutes");
    let build = ["build", "--quiet", "--profile", "dist", "--package", "xtask", "--features", "bench"];
    run(cargo().args(build), "cargo")?;
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", "1"]).arg(repository::target().join("dist/xtask")).args(["bench", what]);
    command.args(json.then_some("--json")).current_dir(repository::root());
    run(&mut command, "taskset (package util-linux) and a second core")
}

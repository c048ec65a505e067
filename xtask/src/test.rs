//! `cargo xtask test`.

mod summary;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use fireguard_test_support::hapi::Package;
use fireguard_test_support::install;

use crate::error::Error;
use crate::lint::cargo;
use crate::plugins;
use crate::progress::{Progress, print};
use summary::Summary;

/// Builds what tests need, runs every test, and ends with the line `N passed, N failed, N skipped`.
///
/// # Errors
/// A tool is missing, something does not build, or a test failed.
pub(crate) fn run(filter: Option<&str>) -> Result<(), Error> {
    let progress = Progress::begin();
    let step = |step: &str| progress.step(step);
    install::python_clients(&step)?;
    install::node_clients(&step)?;
    install::java_client(&step)?;
    install::postgres(&step)?;
    // Without it the one test that needs it says so.
    if let Err(missing) = install::chromium(&step) {
        progress.step(&missing.to_string());
    }
    Package::ensure(&|step| progress.step(&format!("HAPI: {step}")))?;
    plugins::build(&progress)?;
    progress.step("cargo test");
    let (summary, ended_well) = cargo_test(filter)?;
    progress.step("done");

    let summary = summary.given(ended_well);
    print(&summary.to_string());
    if summary.failed > 0 { Err(Error::TestsFailed) } else { Ok(()) }
}

fn cargo_test(filter: Option<&str>) -> Result<(Summary, bool), Error> {
    let mut command = cargo();
    // A test that finds nothing to test against says so on its output, which passing tests keep back.
    command.args(["test", "--workspace", "--no-fail-fast", "--", "--show-output"]);
    command.args(filter).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(Error::io("starting cargo test"))?;
    let mut summary = Summary::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(Error::io("reading cargo test"))?;
            if let Some(line) = summary.read(&line) {
                print(&line);
            }
        }
    }
    let status = child.wait().map_err(Error::io("waiting for cargo test"))?;
    Ok((summary, status.success()))
}

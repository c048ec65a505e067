//! `cargo xtask lint`.

use std::process::Command;

use fireguard_test_support::repository;

use crate::error::{Error, run as run_command};
use crate::progress::Progress;

/// Checks formatting, then runs Clippy over everything with warnings as errors.
///
/// # Errors
/// Something is not formatted or not clean; cargo has said what.
pub(crate) fn run() -> Result<(), Error> {
    let progress = Progress::begin();
    progress.step("cargo fmt --check");
    run_command(cargo().args(["fmt", "--all", "--check"]), "cargo with rustfmt")?;
    progress.step("cargo clippy");
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    run_command(cargo().args(clippy), "cargo with Clippy")?;
    // What only a benchmark compiles is code as well.
    let bench =
        ["clippy", "--package", "xtask", "--all-targets", "--features", "bench", "--", "-D", "warnings"];
    run_command(cargo().args(bench), "cargo with Clippy")?;
    progress.step("clean");
    Ok(())
}

/// The cargo that runs us, in the repository.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(repository::root());
    command
}

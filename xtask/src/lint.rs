//! `cargo xtask lint`.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use fireguard_test_support::repository;

use crate::error::{Error, run as run_command};
use crate::progress::Progress;

/// Checks formatting, runs Clippy over everything with warnings as errors, and judges the dependencies by
/// `deny.toml` where cargo-deny is installed. Known vulnerabilities are not asked for: their list is on the
/// internet and changes by itself.
///
/// # Errors
/// Something is not formatted, not clean or not allowed; the tool has said what.
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
    match cargo_deny() {
        Some(program) => {
            progress.step("cargo deny check licenses bans sources");
            let mut deny = Command::new(program);
            deny.current_dir(repository::root());
            run_command(deny.args(["check", "licenses", "bans", "sources"]), "cargo-deny")?;
        }
        None => progress
            .step("dependencies are not judged: cargo install --locked --root target/tools cargo-deny"),
    }
    progress.step("clean");
    Ok(())
}

/// The installed cargo-deny: under `target/tools`, or on the path.
fn cargo_deny() -> Option<OsString> {
    let ours = repository::target().join("tools/bin/cargo-deny").into_os_string();
    let answers = |program: &OsString| {
        let mut version = Command::new(program);
        version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    };
    [ours, "cargo-deny".into()].into_iter().find(answers)
}

/// The cargo that runs us, in the repository.
pub(crate) fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(repository::root());
    command
}

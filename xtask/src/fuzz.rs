//! `cargo xtask fuzz`.

mod watch;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fireguard_test_support::repository;

use crate::error::{Error, failed, output, run as run_command};
use crate::lint::cargo;
use crate::progress::{Progress, print};
use watch::{Run, watch};

/// The compiler that builds what libFuzzer can watch.
const NIGHTLY: &str = "nightly";
/// The version of cargo-fuzz that is installed where there is none.
const CARGO_FUZZ: &str = "0.13.2";

/// Runs every fuzz target, or one, for so many seconds each, from the seeds and what earlier runs have found, and
/// ends with a table. What is missing of the tools is installed: the toolchain by rustup, cargo-fuzz into
/// `target/tools`.
///
/// # Errors
/// A target found an input that it fails with, whose path was printed; there is no such target; or a tool is missing.
pub(crate) fn run(only: Option<&str>, seconds: u32) -> Result<(), Error> {
    let targets = targets()?;
    let chosen: Vec<&String> = targets.iter().filter(|name| only.is_none_or(|only| only == *name)).collect();
    if chosen.is_empty() {
        return Err(Error::Usage(format!("there is no such target; there are: {}", targets.join(", "))));
    }
    let progress = Progress::begin();
    nightly(&progress)?;
    let fuzz = cargo_fuzz(&progress)?;
    progress.step("building");
    run_command(in_nightly(&fuzz).args(["build", "--fuzz-dir"]).arg(folder()).args(only), "cargo-fuzz")?;
    let built = built()?;
    let mut runs = Vec::new();
    for target in chosen {
        progress.step(&format!("{target}: {seconds} s"));
        let run = one(&built, target, seconds, &progress)?;
        if let Some(input) = &run.input {
            progress.step(&format!("{target}: fails with {input}"));
        }
        runs.push((target, run));
    }
    print(&format!(
        "{:<12} {:>8} {:>12} {:>9} {:>7}  result",
        "target", "seconds", "inputs", "inputs/s", "edges"
    ));
    for (target, run) in &runs {
        let rate = run.inputs / u64::from(seconds.max(1));
        let result =
            run.input.as_ref().map_or_else(|| "ok".to_owned(), |input| format!("fails with {input}"));
        print(&format!("{target:<12} {seconds:>8} {:>12} {rate:>9} {:>7}  {result}", run.inputs, run.edges));
    }
    if runs.iter().any(|(_, run)| run.input.is_some()) { Err(Error::TestsFailed) } else { Ok(()) }
}

/// Runs one target to its end: the program itself, which nothing builds anew.
fn one(built: &Path, target: &str, seconds: u32, progress: &Progress) -> Result<Run, Error> {
    let [corpus, artifacts] = ["corpus", "artifacts"].map(|name| folder().join(name).join(target));
    for folder in [&corpus, &artifacts] {
        fs::create_dir_all(folder).map_err(Error::io(folder.display().to_string()))?;
    }
    let mut command = Command::new(built.join(target));
    command.arg(&corpus).arg(folder().join("seeds").join(target));
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    command.args([format!("-max_total_time={seconds}"), "-print_final_stats=1".to_owned()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(Error::io("starting the target"))?;
    let run = child.stderr.take().map(|stderr| watch(stderr, target, progress)).unwrap_or_default();
    let status = child.wait().map_err(Error::io("waiting for the target"))?;
    if status.success() || run.input.is_some() {
        return Ok(run);
    }
    run.last.iter().for_each(|line| eprintln!("{line}"));
    Err(failed(&command, status))
}

/// Where cargo-fuzz puts what it builds.
fn built() -> Result<PathBuf, Error> {
    let version = output(Command::new("rustc").arg("-vV").env("RUSTUP_TOOLCHAIN", NIGHTLY), "rustc")?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    Ok(folder().join("target").join(host).join("release"))
}

fn folder() -> PathBuf {
    repository::root().join("tests/fuzz")
}

/// The names of all targets.
fn targets() -> Result<Vec<String>, Error> {
    let folder = folder().join("fuzz_targets");
    let entries = fs::read_dir(&folder).map_err(Error::io(folder.display().to_string()))?;
    let names = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "rs"));
    let mut names: Vec<String> =
        names.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort_unstable();
    Ok(names)
}

fn nightly(progress: &Progress) -> Result<(), Error> {
    let known = output(Command::new("rustup").args(["toolchain", "list"]), "rustup")?;
    if known.lines().any(|line| line.starts_with(NIGHTLY)) {
        return Ok(());
    }
    progress.step("installing the nightly toolchain");
    let install = ["toolchain", "install", NIGHTLY, "--profile", "minimal"];
    run_command(Command::new("rustup").args(install), "rustup")
}

/// The cargo-fuzz under `target/tools`.
fn cargo_fuzz(progress: &Progress) -> Result<PathBuf, Error> {
    let root = repository::target().join("tools");
    let ours = root.join("bin/cargo-fuzz");
    if !ours.is_file() {
        progress.step("installing cargo-fuzz into target/tools");
        let install = ["install", "--quiet", "--locked", "cargo-fuzz", "--version", CARGO_FUZZ, "--root"];
        run_command(cargo().args(install).arg(&root), "cargo")?;
    }
    Ok(ours)
}

/// cargo-fuzz, which asks for the cargo of its toolchain by itself.
fn in_nightly(fuzz: &Path) -> Command {
    let mut command = Command::new(fuzz);
    command.current_dir(repository::root()).env("RUSTUP_TOOLCHAIN", NIGHTLY);
    for name in ["CARGO", "RUSTC", "RUSTDOC"] {
        command.env_remove(name);
    }
    command
}

//! The gateway compiled with what an instrumented one has counted under the benchmarks' loads.
//!
//! cargo-pgo does the same steps but the load; it would be one more tool to install.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::process::Command;

use fireguard_test_support::repository;

use crate::bench;
use crate::error::{Error, output, run};
use crate::lint::cargo;
use crate::progress::Progress;

/// Where the gateway lies that was built so.
pub(crate) fn binary() -> PathBuf {
    folder().join("fireguard")
}

/// Where an instrumented gateway writes what it has counted.
pub(crate) fn raw() -> PathBuf {
    folder().join("raw")
}

/// Builds the gateway as for a release, instrumented; lets it count; and builds it again by what it has counted. What
/// is there already and still fits is not made again.
///
/// # Errors
/// It does not build or run, or a tool is missing.
pub(crate) fn build(progress: &Progress) -> Result<(), Error> {
    let host = host()?;
    let llvm_profdata = llvm_profdata(&host, progress)?;
    fs::create_dir_all(folder()).map_err(Error::io("creating target/pgo"))?;
    progress.step("building Fireguard with counters: minutes");
    let counting = format!("-Cprofile-generate={}", raw().display());
    // Counts are taken before crates are optimised as one: how that is done is of no account, and this takes half as long.
    let instrumented = compile(&host, &counting, Some("-Clto=thin"), "instrumented")?;
    // Cargo sees other flags in another name, not in other content.
    let profile = folder().join(format!("{:016x}.profdata", digest(&instrumented)?));
    if !profile.exists() {
        empty(&folder(), "profdata")?;
        empty(&raw(), "profraw")?;
        bench::train(&instrumented, progress)?;
        let mut merge = Command::new(llvm_profdata);
        merge.arg("merge").arg("--output").arg(&profile).arg(raw());
        run(&mut merge, "llvm-profdata")?;
    }
    progress.step("building Fireguard by what was counted: minutes");
    compile(&host, &format!("-Cprofile-use={}", profile.display()), None, "fireguard")?;
    Ok(())
}

/// Builds the gateway with a flag for all crates and one for the last step, and copies it into our folder. Naming the
/// target keeps the flag from build scripts and macros, and what is built from the release that has none.
fn compile(host: &str, all: &str, last: Option<&str>, name: &str) -> Result<PathBuf, Error> {
    let mut build = cargo();
    build.env("CARGO_ENCODED_RUSTFLAGS", all).args(["rustc", "--quiet", "--profile", "dist"]);
    build.args(["--package", "fireguard", "--bin", "fireguard", "--target", host, "--"]).args(last);
    run(&mut build, "cargo")?;
    let (from, to) = (repository::target().join(host).join("dist/fireguard"), folder().join(name));
    // Whoever runs the old one goes on with it.
    let unfinished = to.with_extension("unfinished");
    fs::copy(&from, &unfinished).map_err(Error::io(from.display().to_string()))?;
    fs::rename(&unfinished, &to).map_err(Error::io(to.display().to_string()))?;
    Ok(to)
}

/// What the compiler calls this machine.
///
/// # Errors
/// It does not say.
pub(crate) fn host() -> Result<String, Error> {
    let version = output(Command::new("rustc").arg("-vV"), "rustc")?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Error::Tool("rustc -vV does not say its host".to_owned()))
}

/// The compiler's own tool: another version may not read what its programs write.
fn llvm_profdata(host: &str, progress: &Progress) -> Result<PathBuf, Error> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]), "rustc")?;
    let tool = Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin/llvm-profdata");
    if !tool.exists() {
        progress.step("adding the component llvm-tools");
        let mut rustup = Command::new("rustup");
        rustup.args(["component", "add", "llvm-tools"]).current_dir(repository::root());
        run(&mut rustup, "rustup (to add the component llvm-tools)")?;
    }
    Ok(tool)
}

fn folder() -> PathBuf {
    repository::target().join("pgo")
}

/// Removes all files of a kind from a folder, which may not be there.
fn empty(folder: &Path, kind: &str) -> Result<(), Error> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == kind) {
            fs::remove_file(&path).map_err(Error::io(path.display().to_string()))?;
        }
    }
    Ok(())
}

fn digest(file: &Path) -> Result<u64, Error> {
    let mut hasher = DefaultHasher::new();
    hasher.write(&fs::read(file).map_err(Error::io(file.display().to_string()))?);
    Ok(hasher.finish())
}

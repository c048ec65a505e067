//! How a component is made in each language. What is missing of a language's tools is installed: for Python and
//! JavaScript once for each user, in a folder of caches, in versions that are known to work together.

mod javascript;
mod python;
mod rust;
mod wit;

pub(super) use wit::CONTRACT;

use std::path::{Path, PathBuf};
use std::process::Command;

use super::project::{Language, Project};
use crate::cli::Failed;

/// Makes the component of a project; answers where the tools have put it.
///
/// # Errors
/// The tools cannot be had, or the code does not build: then they have said why.
pub(super) fn build(project: &Project, profile: Profile) -> Result<PathBuf, Failed> {
    match project.manifest.language {
        Language::Rust => rust::build(project, profile),
        Language::Python => python::build(project),
        Language::Javascript => javascript::build(project),
    }
}

/// How much time Rust takes for speed. Python and JavaScript know no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Profile {
    /// Built quickly, and a panic's trace has names.
    Debug,
    /// Small and fast.
    Release,
}

/// A line about what is going on, beside the tools' own.
pub(super) fn progress(line: &str) {
    eprintln!("{line}");
}

/// Runs a tool that talks to the person at the terminal itself.
fn run(command: &mut Command, what: &str, hint: &str) -> Result<(), Failed> {
    let status = command.status().map_err(|error| missing(command, &error, hint))?;
    if status.success() {
        return Ok(());
    }
    Err(miette::miette!("{what} failed ({status})"))
}

/// What a tool answers on standard output; none if it is not there or fails.
fn ask(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn missing(command: &Command, error: &std::io::Error, hint: &str) -> Failed {
    let program = command.get_program().to_string_lossy().into_owned();
    miette::miette!(help = hint.to_owned(), "cannot run {program}: {error}")
}

/// The folder of one tool in one version, for all projects of this user.
fn tools(name: &str) -> Result<PathBuf, Failed> {
    let set =
        |variable: &str| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = set("FIREGUARD_TOOLS")
        .or_else(|| set("XDG_CACHE_HOME").map(|cache| cache.join("fireguard")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/fireguard")));
    let home = home.ok_or_else(|| {
        miette::miette!(
            help = "set FIREGUARD_TOOLS to a folder that may grow by half a gigabyte",
            "there is no folder for the tools: neither FIREGUARD_TOOLS nor XDG_CACHE_HOME nor HOME is set"
        )
    })?;
    Ok(home.join(name))
}

/// Installs into a folder of its own and moves it into place: a folder that is there is complete.
fn install(
    name: &str,
    size: &str,
    steps: impl FnOnce(&Path) -> Result<(), Failed>,
) -> Result<PathBuf, Failed> {
    let home = tools(name)?;
    if home.is_dir() {
        return Ok(home);
    }
    progress(&format!("installing {name} into {} (once; {size})", home.display()));
    let unfinished = home.with_extension(format!("unfinished-{}", std::process::id()));
    create(&unfinished)?;
    let done = steps(&unfinished);
    if let Err(error) = done {
        let _ = std::fs::remove_dir_all(&unfinished);
        return Err(error);
    }
    match std::fs::rename(&unfinished, &home) {
        Ok(()) => Ok(home),
        // Another build was faster.
        Err(_) if home.is_dir() => {
            let _ = std::fs::remove_dir_all(&unfinished);
            Ok(home)
        }
        Err(error) => Err(miette::miette!("cannot make {}: {error}", home.display())),
    }
}

/// Puts a component where it belongs, as a whole: who reads it meanwhile sees the old one or the new one.
///
/// # Errors
/// The file cannot be written.
pub(super) fn place(from: &Path, to: &Path) -> Result<(), Failed> {
    let unfinished = to.with_extension("wasm.unfinished");
    std::fs::copy(from, &unfinished)
        .and_then(|_| std::fs::rename(&unfinished, to))
        .map_err(|error| miette::miette!("cannot write {}: {error}", to.display()))
}

fn create(folder: &Path) -> Result<(), Failed> {
    std::fs::create_dir_all(folder)
        .map_err(|error| miette::miette!("cannot make the folder {}: {error}", folder.display()))
}

fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<(), Failed> {
    std::fs::write(path, text).map_err(|error| miette::miette!("cannot write {}: {error}", path.display()))
}

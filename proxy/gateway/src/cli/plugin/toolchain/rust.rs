//! Rust: cargo, for the target wasm32-wasip2. What it links is a component already.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Profile, ask, missing, progress, run};
use crate::cli::Failed;
use crate::cli::plugin::project::Project;

const TARGET: &str = "wasm32-wasip2";
const HINT: &str = "Rust 1.95 or newer is needed: https://rustup.rs";

/// Makes the component of the package in the project's folder.
pub(super) fn build(project: &Project, profile: Profile) -> Result<PathBuf, Failed> {
    require_target(&project.folder)?;
    progress(match profile {
        Profile::Debug => "building with cargo",
        Profile::Release => "building with cargo, for speed",
    });
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--lib", "--target", TARGET, "--message-format", "json-render-diagnostics"]);
    if profile == Profile::Release {
        // Whatever the profile says: nobody looks for symbols in what is sent to others, and they are most of it.
        cargo.args(["--release", "--config", "profile.release.strip=\"symbols\""]);
    }
    cargo.current_dir(&project.folder).stderr(Stdio::inherit());
    let output = cargo.output().map_err(|error| missing(&cargo, &error, HINT))?;
    if !output.status.success() {
        return Err(miette::miette!("cargo build failed ({})", output.status));
    }
    component(&String::from_utf8_lossy(&output.stdout), &project.folder).ok_or_else(|| {
        miette::miette!(
            help = "Cargo.toml: [lib] crate-type = [\"cdylib\", \"rlib\"]",
            "cargo has built no component: the package has no library of the kind cdylib"
        )
    })
}

/// The component among what cargo says it has made: that of the package in `folder`.
fn component(messages: &str, folder: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().ok()?;
    let ours = |message: &Value| {
        let manifest = message["manifest_path"].as_str().map(Path::new);
        manifest
            .and_then(Path::parent)
            .and_then(|home| home.canonicalize().ok())
            .is_some_and(|home| home == folder)
    };
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact" && ours(message))
        .filter_map(|message| message["filenames"].as_array().cloned())
        .flatten()
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .find(|file| file.extension().is_some_and(|extension| extension == "wasm"))
}

/// Adds the target through rustup where the compiler does not have it.
fn require_target(folder: &Path) -> Result<(), Failed> {
    let mut rustc = Command::new("rustc");
    let sysroot = ask(rustc.args(["--print", "sysroot"]).current_dir(folder));
    let sysroot = sysroot.ok_or_else(|| miette::miette!(help = HINT, "there is no Rust compiler"))?;
    if Path::new(&sysroot).join("lib/rustlib").join(TARGET).is_dir() {
        return Ok(());
    }
    progress(&format!("adding the target {TARGET}"));
    run(
        Command::new("rustup").args(["target", "add", TARGET]).current_dir(folder),
        "rustup target add",
        "rustup adds targets; without it, install the Rust library for wasm32-wasip2 by other means",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_component_of_this_package_is_found_among_the_messages() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let artifact = |manifest: &Path, files: &[&str]| {
            serde_json::json!({
                "reason": "compiler-artifact",
                "manifest_path": manifest.join("Cargo.toml"),
                "filenames": files,
            })
            .to_string()
        };
        let messages = [
            "not json".to_owned(),
            artifact(Path::new("/elsewhere"), &["/t/other.wasm"]),
            artifact(here, &["/t/libours.rlib", "/t/ours.wasm"]),
        ]
        .join("\n");
        assert_eq!(component(&messages, here), Some(PathBuf::from("/t/ours.wasm")));
        assert_eq!(component(&messages, Path::new("/")), None);
    }
}

//! `cargo xtask plugins`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fireguard_test_support::repository;
use serde_json::Value;

use crate::error::{Error, output, run as run_command};
use crate::lint::cargo;
use crate::progress::Progress;

const TARGET: &str = "wasm32-wasip2";
const PROFILE: &str = "plugin";

/// A plugin: its package, and the names of the file that cargo makes and of the one that we want.
#[derive(Debug)]
struct Plugin {
    package: String,
    built: String,
    name: String,
}

/// Builds every plugin and prints its size.
///
/// # Errors
/// The target cannot be added, or a plugin does not build.
pub(crate) fn run() -> Result<(), Error> {
    build(&Progress::begin())
}

/// Builds every `cdylib` under `plugins/` into `target/plugins/<folder>.wasm`.
///
/// # Errors
/// As [`run`].
pub(crate) fn build(progress: &Progress) -> Result<(), Error> {
    let plugins = plugins()?;
    if plugins.is_empty() {
        progress.step("plugins: there are none");
        return Ok(());
    }
    require_target(progress)?;
    progress.step("plugins: building");
    let mut command = cargo();
    command.args(["build", "--quiet", "--profile", PROFILE, "--target", TARGET]);
    for plugin in &plugins {
        command.args(["--package", &plugin.package]);
    }
    run_command(&mut command, "cargo")?;

    let destination = repository::target().join("plugins");
    fs::create_dir_all(&destination).map_err(Error::io("creating target/plugins"))?;
    for plugin in &plugins {
        let from = repository::target().join(TARGET).join(PROFILE).join(&plugin.built);
        let size = copy_if_changed(&from, &destination.join(&plugin.name))?;
        progress.step(&format!("plugins: {} {} KB", plugin.name, size.div_ceil(1000)));
    }
    Ok(())
}

/// The packages under `plugins/` that make a component; the SDK does not.
fn plugins() -> Result<Vec<Plugin>, Error> {
    let text = output(cargo().args(["metadata", "--no-deps", "--format-version", "1"]), "cargo")?;
    let metadata: Value =
        serde_json::from_str(&text).map_err(|e| Error::Tool(format!("cargo metadata is not JSON: {e}")))?;
    let folder = repository::root().join("plugins");
    let packages = metadata["packages"].as_array().into_iter().flatten();
    Ok(packages.filter_map(|package| plugin(package, &folder)).collect())
}

fn plugin(package: &Value, folder: &Path) -> Option<Plugin> {
    let home = PathBuf::from(package["manifest_path"].as_str()?).parent()?.to_path_buf();
    // Examples are for authors, who build them by `fireguard plugin build`: they are not in releases.
    if !home.starts_with(folder) || home.starts_with(folder.join("examples")) {
        return None;
    }
    let targets = package["targets"].as_array()?;
    let library = targets.iter().find(|target| {
        target["crate_types"].as_array().is_some_and(|types| types.iter().any(|kind| kind == "cdylib"))
    })?;
    Some(Plugin {
        package: package["name"].as_str()?.to_owned(),
        built: format!("{}.wasm", library["name"].as_str()?.replace('-', "_")),
        name: format!("{}.wasm", home.file_name()?.to_str()?),
    })
}

/// Adds the target through rustup where the compiler does not have it.
fn require_target(progress: &Progress) -> Result<(), Error> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]), "rustc")?;
    if Path::new(sysroot.trim()).join("lib/rustlib").join(TARGET).exists() {
        return Ok(());
    }
    progress.step(&format!("plugins: adding the target {TARGET}"));
    let mut command = Command::new("rustup");
    command.args(["target", "add", TARGET]).current_dir(repository::root());
    run_command(&mut command, &format!("rustup (to add the target {TARGET})"))
}

/// Leaves an equal file alone, so that whoever caches by time need not compile it again.
fn copy_if_changed(from: &Path, to: &Path) -> Result<usize, Error> {
    let built = fs::read(from).map_err(Error::io(from.display().to_string()))?;
    if fs::read(to).is_ok_and(|present| present == built) {
        return Ok(built.len());
    }
    // Moved into place: a test that reads meanwhile sees the old file or the new one, never half.
    let unfinished = to.with_extension("unfinished");
    fs::write(&unfinished, &built).map_err(Error::io(unfinished.display().to_string()))?;
    fs::rename(&unfinished, to).map_err(Error::io(to.display().to_string()))?;
    Ok(built.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_components_under_plugins_count() {
        let folder = Path::new("/work/plugins");
        let package = |path: &str, kind: &str| {
            json!({
                "name": "fireguard-deid",
                "manifest_path": path,
                "targets": [{"name": "fireguard-deid", "crate_types": ["rlib", kind]}],
            })
        };
        let found = plugin(&package("/work/plugins/deid/Cargo.toml", "cdylib"), folder).unwrap();
        assert_eq!((found.built.as_str(), found.name.as_str()), ("fireguard_deid.wasm", "deid.wasm"));
        assert!(plugin(&package("/work/plugins/examples/rust/Cargo.toml", "cdylib"), folder).is_none());
        assert!(plugin(&package("/work/plugins/sdk/Cargo.toml", "lib"), folder).is_none());
        assert!(plugin(&package("/work/proxy/fhir/Cargo.toml", "cdylib"), folder).is_none());
    }
}

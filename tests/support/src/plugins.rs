//! The plugins of the repository, built as an author builds them.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::SystemTime;

use crate::{gateway, repository};

/// Builds the project in a folder of `plugins/` (`examples/python` for instance) with `fireguard plugin build`, unless
/// its component is newer than its code; answers where the component is. What is missing of a language's tools is
/// installed.
///
/// # Errors
/// The command's own words.
pub fn component(project: &str) -> Result<PathBuf, String> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _held = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = repository::root().join("plugins").join(project);
    let built = || {
        let mut found = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        found.find(|path| path.extension().is_some_and(|extension| extension == "wasm"))
    };
    let changed = |path: &PathBuf| std::fs::metadata(path).and_then(|data| data.modified()).ok();
    let code = ["plugin.py", "plugin.js", "fireguard.py", "fireguard.js", "plugin.toml"];
    let newest: Option<SystemTime> = code.iter().filter_map(|name| changed(&folder.join(name))).max();
    // Cargo knows for itself what has changed.
    let built_before = built().filter(|_| !folder.join("Cargo.toml").exists());
    if let Some(path) = built_before.filter(|path| changed(path) > newest) {
        return Ok(path);
    }
    let binary = gateway::binary().map_err(|error| error.to_string())?;
    let mut command = Command::new(binary);
    let output = command.args(["plugin", "build", "--release"]).arg(&folder).output();
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    built().ok_or_else(|| format!("{} has no component", folder.display()))
}

//! Waits for changes of a project's own files.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::cli::Failed;

/// An editor writes a file in several steps: so long must it be quiet.
const QUIET: Duration = Duration::from_millis(200);

/// Watches until it is dropped.
pub(super) struct Watch {
    changes: Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Watches a folder and all in it, but for what builds make there.
    ///
    /// # Errors
    /// The system cannot watch it.
    pub(super) fn start(folder: &Path) -> Result<Self, Failed> {
        let (sender, changes) = channel();
        let root = folder.to_path_buf();
        let cannot = |error: notify::Error| miette::miette!("cannot watch {}: {error}", folder.display());
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            let change = !matches!(event.kind, EventKind::Access(_));
            if change && event.paths.iter().any(|path| counts(&root, path)) {
                // The command has ended: nobody listens any more.
                let _ = sender.send(());
            }
        })
        .map_err(cannot)?;
        watcher.watch(folder, RecursiveMode::Recursive).map_err(cannot)?;
        Ok(Self { changes, _watcher: watcher })
    }

    /// Waits for a change, and until it has been quiet for a moment.
    ///
    /// # Errors
    /// The watcher has ended.
    pub(super) fn wait(&self) -> Result<(), Failed> {
        let ended = || miette::miette!("the watch over the project has ended");
        self.changes.recv().map_err(|_| ended())?;
        loop {
            match self.changes.recv_timeout(QUIET) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => return Err(ended()),
            }
        }
    }
}

/// Whether a file is the author's: not what builds and tests write.
fn counts(root: &Path, path: &Path) -> bool {
    let inside: PathBuf = path.strip_prefix(root).unwrap_or(path).to_path_buf();
    let made = |part: &str| [".fireguard", "target", ".git", "__pycache__", "Cargo.lock"].contains(&part);
    let parts = inside.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
    let wasm = inside.extension().is_some_and(|extension| extension == "wasm" || extension == "unfinished");
    !wasm && !parts.into_iter().any(|part| made(&part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_builds_make_does_not_count() {
        let root = Path::new("/p");
        let cases = [
            ("/p/plugin.py", true),
            ("/p/cases/a/input.json", true),
            ("/p/src/lib.rs", true),
            ("/p/.fireguard/component.wasm", false),
            ("/p/target/debug/x.d", false),
            ("/p/name.wasm", false),
            ("/p/__pycache__/plugin.pyc", false),
        ];
        for (path, expected) in cases {
            assert_eq!(counts(root, Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn a_change_ends_the_wait() {
        let folder = tempfile::tempdir().unwrap();
        let watch = Watch::start(folder.path()).unwrap();
        std::fs::write(folder.path().join("plugin.js"), "x").unwrap();
        watch.wait().unwrap();
    }
}

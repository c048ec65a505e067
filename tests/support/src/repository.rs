//! Where things are: the repository, its build output, and the test data beside it.

use std::path::{Path, PathBuf};

/// The root of the repository.
///
/// Cargo says at run time which package it runs. What it said at compile time is the second choice: it does not
/// build again when a checkout is moved, or when two share their build output.
pub fn root() -> PathBuf {
    let running = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let found =
        running.as_deref().into_iter().flat_map(Path::ancestors).find(|folder| holds_this_file(folder));
    let compiled = Path::new(env!("CARGO_MANIFEST_DIR"));
    found.or_else(|| compiled.ancestors().nth(2)).unwrap_or(compiled).to_path_buf()
}

fn holds_this_file(folder: &Path) -> bool {
    folder.join("tests/support/src/repository.rs").is_file()
}

/// The folder for everything that is built: `CARGO_TARGET_DIR`, otherwise `target/` of the repository.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => root().join(directory),
        None => root().join("target"),
    }
}

/// The test data beside the repository, `../shared`; none: it is not on this machine, and the test
/// that wants it says `skipped: …`.
pub fn shared() -> Option<PathBuf> {
    let shared = root().parent()?.join("shared");
    shared.is_dir().then_some(shared)
}

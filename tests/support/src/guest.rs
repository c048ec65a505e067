//! The test guest: a plugin that does what its settings say.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::repository;

/// Its component, built once in a process.
///
/// # Panics
/// It does not build.
#[expect(clippy::panic, reason = "without it a test has nothing to test")]
pub fn component() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--package", "fireguard-test-guest"])
            .args(["--target", "wasm32-wasip2", "--profile", "plugin"])
            .current_dir(repository::root())
            .status();
        if !built.is_ok_and(|status| status.success()) {
            panic!("the guest does not build; is there `rustup target add wasm32-wasip2`?");
        }
        repository::target().join("wasm32-wasip2/plugin/fireguard_test_guest.wasm")
    })
}

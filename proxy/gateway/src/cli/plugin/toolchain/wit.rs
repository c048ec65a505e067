//! The contract as the tools of Python and JavaScript want it: a folder with a world of exactly what the project
//! exports and imports, so that a component cannot ask for a capability that its manifest does not name.

use std::path::{Path, PathBuf};

use super::{create, write};
use crate::cli::Failed;
use crate::cli::plugin::project::Manifest;

/// `wit/plugin.wit`
pub(in crate::cli::plugin) const CONTRACT: &str = include_str!("../../../../../../wit/plugin.wit");
/// The package of the contract, with its version.
const PACKAGE: (&str, &str) = ("fireguard:plugin", "0.1.0");
/// The name of the world.
pub(super) const WORLD: &str = "component";

/// Writes the folder into `scratch`; answers where it is.
///
/// # Errors
/// The folder cannot be written.
pub(super) fn folder(scratch: &Path, manifest: &Manifest) -> Result<PathBuf, Failed> {
    let folder = scratch.join("wit");
    let package = folder.join("deps/fireguard-plugin");
    create(&package)?;
    write(&package.join("plugin.wit"), CONTRACT)?;
    write(&folder.join("world.wit"), world(manifest))?;
    Ok(folder)
}

fn world(manifest: &Manifest) -> String {
    let (package, version) = PACKAGE;
    let imports = manifest.uses.iter().map(|capability| ("import", capability.name()));
    let exports = manifest.phases.iter().map(|phase| ("export", phase.name()));
    let always = [("import", "log"), ("import", "metrics"), ("export", "setup")];
    let lines = always.into_iter().chain(imports).chain(exports);
    let lines: String =
        lines.map(|(kind, name)| format!("    {kind} {package}/{name}@{version};\n")).collect();
    format!("package local:{};\n\nworld {WORLD} {{\n{lines}}}\n", manifest.name)
}

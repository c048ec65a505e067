//! `fireguard plugin build`

use std::path::PathBuf;

use aws_lc_rs::digest::{SHA256, digest};

use super::project::Project;
use super::toolchain::{self, Profile};
use crate::cli::{Failed, say};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The project: the folder with plugin.toml, or one in it.
    #[arg(default_value = ".")]
    project: PathBuf,
    /// Small and fast, as it should run for others (Rust; for Python and JavaScript it is the same).
    #[arg(long)]
    release: bool,
}

/// Builds the component, and says how the configuration names it.
pub(super) fn build(arguments: &Arguments) -> Result<(), Failed> {
    let project = Project::find(&arguments.project)?;
    let profile = if arguments.release { Profile::Release } else { Profile::Debug };
    let built = toolchain::build(&project, profile)?;
    let component = project.component();
    toolchain::place(&built, &component)?;
    let bytes = std::fs::read(&component)
        .map_err(|error| miette::miette!("cannot read {}: {error}", component.display()))?;
    say(&format!("{}: {}", component.display(), size(bytes.len())));
    say("");
    say(&format!("[plugins.{}]", project.manifest.name));
    say(&format!("component = \"{}\"", component.display()));
    say(&format!("digest = \"sha256:{}\"", hex(&bytes)));
    Ok(())
}

/// A size for people.
pub(super) fn size(bytes: usize) -> String {
    match bytes {
        0..1_000_000 => format!("{} KB", bytes.div_ceil(1000)),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

fn hex(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

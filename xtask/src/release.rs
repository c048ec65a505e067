//! `cargo xtask release`: what one downloads, as one archive.

mod licences;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fireguard_test_support::repository;

use crate::error::{Error, output, run as run_command};
use crate::lint::cargo;
use crate::pgo;
use crate::plugins;
use crate::progress::{Progress, print};

/// Files that go into the archive as they are, and where.
const FILES: [(&str, &str); 9] = [
    ("LICENSE", "LICENSE"),
    ("README.md", "README.md"),
    ("CHANGELOG.md", "CHANGELOG.md"),
    ("packaging/systemd/fireguard.service", "systemd/fireguard.service"),
    ("packaging/systemd/fireguard.socket", "systemd/fireguard.socket"),
    ("packaging/systemd/fireguard-admin.socket", "systemd/fireguard-admin.socket"),
    ("docs/guide/operations.md", "doc/operations.md"),
    ("docs/reference/configuration.md", "doc/configuration.md"),
    ("docs/reference/fireguard.schema.json", "doc/fireguard.schema.json"),
];
/// Folders that go into the archive as they are, where they are.
const FOLDERS: [&str; 2] = ["policies", "packaging/keycloak"];
/// What the sample configuration names as the FHIR server.
const SAMPLE: &str = "http://127.0.0.1:8080/fhir";

/// Builds Fireguard (with `pgo` by what it does under load) and its plugins as they are released, and packs them with units, a sample configuration and the
/// licences of all that is in the binary.
///
/// # Errors
/// Something does not build, or a tool is missing.
pub(crate) fn run(pgo: bool) -> Result<(), Error> {
    let progress = Progress::begin();
    plugins::build(&progress)?;
    let built = if pgo {
        pgo::build(&progress)?;
        pgo::binary()
    } else {
        progress.step("building Fireguard: minutes");
        run_command(
            cargo().args(["build", "--quiet", "--profile", "dist", "--package", "fireguard"]),
            "cargo",
        )?;
        repository::target().join("dist/fireguard")
    };
    let name = format!("fireguard-{}-{}", env!("CARGO_PKG_VERSION"), pgo::host()?);
    let folder = repository::target().join("release-archive");
    let content = folder.join(&name);
    fresh(&content)?;
    progress.step("collecting the licences");
    write(&content.join("THIRD-PARTY.txt"), licences::text("fireguard")?.as_bytes())?;
    for (from, to) in FILES {
        copy(&repository::root().join(from), &content.join(to))?;
    }
    let mut git = Command::new("git");
    git.arg("ls-files").args(FOLDERS).current_dir(repository::root());
    for file in output(&mut git, "git")?.lines() {
        copy(&repository::root().join(file), &content.join(file))?;
    }
    for plugin in list(&repository::target().join("plugins"))? {
        copy(&plugin, &content.join("plugins").join(plugin.file_name().unwrap_or_default()))?;
    }
    let binary = content.join("fireguard");
    copy(&built, &binary)?;
    run_command(Command::new("strip").arg("--strip-all").arg(&binary), "strip (package binutils)")?;
    let sample = ["init", "--offline", "--upstream", SAMPLE, "--output"];
    output(Command::new(&binary).args(sample).arg(content.join("fireguard.toml")), "the binary just built")?;
    let archive = pack(&folder, &name)?;
    let bytes = fs::metadata(&archive).map_err(Error::io(archive.display().to_string()))?.len();
    print(&format!("{} ({:.1} MB)", archive.display(), bytes as f64 / 1e6));
    Ok(())
}

/// The same files make the same archive: sorted, of nobody, and as old as the commit.
fn pack(folder: &Path, name: &str) -> Result<PathBuf, Error> {
    let mut git = Command::new("git");
    git.args(["log", "-1", "--format=%ct"]).current_dir(repository::root());
    let time = output(&mut git, "git")?;
    let archive = folder.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.args(["--create", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
        .arg(format!("--mtime=@{}", time.trim()))
        .arg("--file")
        .arg(&archive)
        .arg("--directory")
        .arg(folder)
        .arg(name)
        // gzip would write down when it was run.
        .args(["--use-compress-program", "gzip -n"]);
    run_command(&mut tar, "tar (GNU)")?;
    Ok(archive)
}

/// An empty folder.
fn fresh(folder: &Path) -> Result<(), Error> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(Error::io(folder.display().to_string()))?;
    }
    fs::create_dir_all(folder).map_err(Error::io(folder.display().to_string()))
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(folder).map_err(Error::io(folder.display().to_string()))?;
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|kind| kind == "wasm"));
    files.sort();
    Ok(files)
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(Error::io(folder.display().to_string()))?;
    }
    fs::copy(from, to).map(drop).map_err(Error::io(format!("{} to {}", from.display(), to.display())))
}

fn write(to: &Path, content: &[u8]) -> Result<(), Error> {
    fs::write(to, content).map_err(Error::io(to.display().to_string()))
}

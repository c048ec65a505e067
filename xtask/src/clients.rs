//! The FHIR client libraries that tests drive Fireguard with: fhirpy and fhir-kit-client.

use std::fs;
use std::path::Path;
use std::process::Command;

use fireguard_test_support::repository;

use crate::error::{Error, output, run as run_command};
use crate::progress::Progress;

const PYTHON: &str = "Python 3.10 or newer with venv";
const NODE: &str = "Node.js 20 or newer with npm";

/// Installs both, each into its own folder under `target/`; does nothing while versions stay the same.
///
/// # Errors
/// Python or Node.js is missing or too old, or an installation fails.
pub(crate) fn install(progress: &Progress) -> Result<(), Error> {
    let source = repository::root().join("tests/support/clients");
    python(&source, &repository::target().join("python"), progress)?;
    node(&source, &repository::target().join("node"), progress)
}

fn python(source: &Path, home: &Path, progress: &Progress) -> Result<(), Error> {
    let version = output(Command::new("python3").arg("--version"), PYTHON)?;
    require_version(&version, (3, 10), PYTHON)?;
    let requirements = source.join("requirements.txt");
    let stamp = Stamp::new(home, &version, &[&requirements])?;
    if stamp.holds() {
        return Ok(());
    }
    progress.step("fhirpy: installing into target/python");
    run_command(Command::new("python3").args(["-m", "venv", "--clear"]).arg(home), PYTHON)?;
    let mut pip = Command::new(home.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&requirements);
    run_command(&mut pip, PYTHON)?;
    stamp.set()
}

fn node(source: &Path, home: &Path, progress: &Progress) -> Result<(), Error> {
    let version = output(Command::new("node").arg("--version"), NODE)?;
    require_version(&version, (20, 0), NODE)?;
    let files = ["package.json", "package-lock.json"];
    let stamp =
        Stamp::new(home, &version, &files.map(|name| source.join(name)).each_ref().map(|p| p.as_path()))?;
    if stamp.holds() {
        return Ok(());
    }
    progress.step("fhir-kit-client: installing into target/node");
    fs::create_dir_all(home).map_err(Error::io("creating target/node"))?;
    for name in files {
        fs::copy(source.join(name), home.join(name)).map_err(Error::io(format!("copying {name}")))?;
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--silent", "--no-audit", "--no-fund"]).current_dir(home);
    run_command(&mut npm, NODE)?;
    stamp.set()
}

/// Says that what a folder holds was made from these inputs.
#[derive(Debug)]
struct Stamp {
    path: std::path::PathBuf,
    inputs: String,
}

impl Stamp {
    fn new(home: &Path, version: &str, files: &[&Path]) -> Result<Self, Error> {
        let mut inputs = version.to_owned();
        for file in files {
            inputs += &fs::read_to_string(file).map_err(Error::io(file.display().to_string()))?;
        }
        Ok(Self { path: home.join("fireguard-stamp"), inputs })
    }

    fn holds(&self) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|present| present == self.inputs)
    }

    fn set(&self) -> Result<(), Error> {
        fs::write(&self.path, &self.inputs).map_err(Error::io(self.path.display().to_string()))
    }
}

/// Checks what `tool --version` printed, `Python 3.11.7` or `v20.20.2`.
fn require_version(printed: &str, least: (u32, u32), needed: &str) -> Result<(), Error> {
    let mut numbers = printed.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) >= least => Ok(()),
        _ => Err(Error::Tool(format!("{needed} is needed: this is {}", printed.trim()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(require_version("Python 3.11.7\n", (3, 10), PYTHON).is_ok());
        assert!(require_version("Python 3.9.2\n", (3, 10), PYTHON).is_err());
        assert!(require_version("v20.20.2\n", (20, 0), NODE).is_ok());
        assert!(require_version("v18.1.0\n", (20, 0), NODE).is_err());
        assert!(require_version("", (20, 0), NODE).is_err());
    }
}

//! Tools from package registries, each in a folder of its own under `target/`, installed when first needed.

mod chromium;
mod clients;
mod h2spec;
mod postgres;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::repository;

pub use chromium::chromium;
pub use clients::{JavaClient, java_client, node_clients, python_clients};
pub use h2spec::h2spec;
pub use postgres::postgres;

const PYTHON: &str = "Python 3.11 or newer with venv";
const NODE: &str = "Node.js 20 or newer with npm";
const MAVEN: &str = "Maven 3.6 or newer with a JDK";

/// Why a tool is not there; each says on one line what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An interpreter is missing or too old.
    #[error("{needed} is needed: {reason}")]
    Missing {
        /// What should be there.
        needed: &'static str,
        /// What is instead.
        reason: String,
    },
    /// An installation or a run failed.
    #[error("`{command}` failed: {reason}")]
    Failed {
        /// The command line.
        command: String,
        /// The last line of its output.
        reason: String,
    },
    /// A file could not be handled.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// What went wrong.
        source: io::Error,
    },
}

/// The command `clinosim`, which makes up patients.
///
/// # Errors
/// Python is missing or too old, or the installation failed.
pub(crate) fn clinosim(progress: &dyn Fn(&str)) -> Result<PathBuf, Error> {
    let home = repository::target().join("clinosim");
    venv(&home, &repository::root().join("tests/support/clinosim/requirements.txt"), progress)?;
    Ok(home.join("bin/clinosim"))
}

/// Does something to a folder once for these inputs; processes that want the same wait for the first.
pub(crate) fn once<E: From<Error>>(
    home: &Path,
    version: &str,
    files: &[PathBuf],
    make: impl FnOnce() -> Result<(), E>,
) -> Result<(), E> {
    let mut inputs = version.to_owned();
    for file in files {
        inputs += &fs::read_to_string(file).map_err(io_error(file.display().to_string()))?;
    }
    let stamp = home.join("fireguard-stamp");
    let made = || fs::read_to_string(&stamp).is_ok_and(|present| present == inputs);
    if made() {
        return Ok(());
    }
    fs::create_dir_all(home).map_err(io_error(home.display().to_string()))?;
    let _lock = lock(&home.with_extension("lock"))?;
    if made() {
        return Ok(());
    }
    make()?;
    Ok(fs::write(&stamp, &inputs).map_err(io_error(stamp.display().to_string()))?)
}

/// Runs a command to its end and returns what it wrote to standard output.
pub(crate) fn run(command: &mut Command, needed: &'static str) -> Result<String, Error> {
    let output = command.output().map_err(|e| Error::Missing {
        needed,
        reason: format!("{} does not start: {e}", command.get_program().display()),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let arguments: Vec<_> = command.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
    let last = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().lines().last().map(str::to_owned);
    Err(Error::Failed {
        command: format!("{} {}", command.get_program().display(), arguments.join(" ")),
        reason: last(&output.stderr)
            .or_else(|| last(&output.stdout))
            .unwrap_or_else(|| output.status.to_string()),
    })
}

/// Held until the file is dropped, and freed by the system if this process dies.
pub(crate) fn lock(path: &Path) -> Result<File, Error> {
    let locked = File::create(path).and_then(|file| file.lock().map(|()| file));
    locked.map_err(io_error(format!("locking {}", path.display())))
}

fn venv(home: &Path, requirements: &Path, progress: &dyn Fn(&str)) -> Result<(), Error> {
    let version = version(Command::new("python3").arg("--version"), (3, 11), PYTHON)?;
    once(home, &version, &[requirements.to_owned()], || {
        progress(&format!("installing {} into {}", requirements.display(), home.display()));
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(home), PYTHON)?;
        let mut pip = Command::new(home.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(requirements);
        run(&mut pip, PYTHON).map(drop)
    })
}

/// What the command prints, `Python 3.11.7` or `v20.20.2`, if that is new enough.
fn version(command: &mut Command, least: (u32, u32), needed: &'static str) -> Result<String, Error> {
    let printed = run(command, needed)?.trim().to_owned();
    if is_at_least(&printed, least) {
        return Ok(printed);
    }
    Err(Error::Missing { needed, reason: format!("this is {printed}") })
}

fn is_at_least(printed: &str, least: (u32, u32)) -> bool {
    let mut numbers = printed.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok());
    matches!((numbers.next(), numbers.next()), (Some(major), Some(minor)) if (major, minor) >= least)
}

fn io_error(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { doing: doing.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (printed, least, enough) in [
            ("Python 3.11.7", (3, 11), true),
            ("Python 3.9.2", (3, 11), false),
            ("v20.20.2", (20, 0), true),
            ("v18.1.0", (20, 0), false),
            ("", (3, 11), false),
        ] {
            assert_eq!(is_at_least(printed, least), enough, "{printed}");
        }
    }

    #[test]
    fn things_are_made_once_for_the_same_inputs() {
        let home = std::env::temp_dir().join(format!("fireguard-once-{}", std::process::id()));
        let made = std::cell::Cell::new(0);
        let make = |version: &str| {
            once(&home, version, &[], || {
                made.set(made.get() + 1);
                Ok::<(), Error>(())
            })
        };
        for version in ["1", "1", "2", "2"] {
            make(version).unwrap();
        }
        assert_eq!(made.get(), 2);
        assert!(once(&home, "3", &[], || Err(Error::Missing { needed: "x", reason: "y".into() })).is_err());
        make("3").unwrap();
        assert_eq!(made.get(), 3, "what failed is tried again");
        fs::remove_dir_all(&home).unwrap();
        fs::remove_file(home.with_extension("lock")).unwrap();
    }
}

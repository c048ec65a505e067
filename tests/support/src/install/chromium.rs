//! Chromium: the one that is there, or Debian's.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{Error, lock, run};
use crate::repository;

const NEEDED: &str = "Chromium (Debian package chromium)";
/// As it is called here and there.
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// The program. Where there is none, it is installed if apt needs to ask nobody.
///
/// # Errors
/// It is not there, and cannot be had without asking.
pub fn chromium(progress: &dyn Fn(&str)) -> Result<PathBuf, Error> {
    if let Some(program) = there() {
        return Ok(program);
    }
    let _lock = lock(&repository::target().join("chromium.lock"))?;
    if let Some(program) = there() {
        return Ok(program);
    }
    let missing = |reason: String| Error::Missing { needed: NEEDED, reason };
    let sudo = match rustix::process::geteuid().is_root() {
        true => false,
        false if works(Command::new("sudo").args(["--non-interactive", "true"])) => true,
        false => return Err(missing("there is none, and apt would ask for a password".into())),
    };
    let apt = |arguments: &[&str]| {
        let mut command = Command::new(if sudo { "sudo" } else { "apt-get" });
        if sudo {
            command.args(["--non-interactive", "apt-get"]);
        }
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        run(&mut command, "apt").map(drop).map_err(|error| missing(error.to_string()))
    };
    let install = ["install", "--yes", "--quiet", "--no-install-recommends", "chromium"];
    let download = [&install[..], &["--download-only"]].concat();
    progress("downloading Debian's chromium with apt (124 MB)");
    // Where the lists of packages are missing or old they are got first.
    apt(&download).or_else(|_| apt(&["update", "--quiet"]).and_then(|()| apt(&download)))?;
    progress("unpacking chromium");
    apt(&install)?;
    there().ok_or_else(|| missing("apt installed it, and it does not start".into()))
}

/// What drives it wants its whole path.
fn there() -> Option<PathBuf> {
    let folders: Vec<_> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    let mut programs = PROGRAMS.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    programs.find(|program| works(Command::new(program).arg("--version")))
}

fn works(command: &mut Command) -> bool {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}

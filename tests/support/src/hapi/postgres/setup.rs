//! A new data folder: `initdb`, HAPI's role, HAPI's database.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Error, failed};

/// HAPI's role, which owns [`DATABASE`] and nothing else.
pub(super) const ROLE: &str = "hapi";
/// HAPI's database.
pub(super) const DATABASE: &str = "hapi";

/// User and group `nobody`, by their numbers on Linux: containers may have no list of users.
const NOBODY: u32 = 65_534;

/// Makes a data folder. It is moved into place last: where it is, all of it is.
pub(super) fn create(programs: &Path, data: &Path, log: &Path) -> Result<(), Error> {
    let unfinished = data.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).map_err(Error::io(unfinished.display().to_string()))?;
    }
    fs::create_dir_all(&unfinished).map_err(Error::io(unfinished.display().to_string()))?;
    if let Some(logs) = log.parent() {
        fs::create_dir_all(logs).map_err(Error::io(logs.display().to_string()))?;
    }
    fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o700))
        .map_err(Error::io(unfinished.display().to_string()))?;
    if is_root() {
        chown(&unfinished, Some(NOBODY), Some(NOBODY))
            .map_err(Error::io("giving the data folder to nobody"))?;
    }

    let mut init = Command::new(programs.join("bin/initdb"));
    init.arg("--pgdata").arg(&unfinished);
    init.args(["--username=postgres", "--auth=reject", "--no-locale", "--encoding=UTF8"]);
    run(init, &unfinished, log, "")?;
    let rules = format!("host {DATABASE} {ROLE} 127.0.0.1/32 trust\n");
    fs::write(unfinished.join("pg_hba.conf"), rules).map_err(Error::io("writing pg_hba.conf"))?;
    // One line is one command.
    let commands = format!("CREATE ROLE {ROLE} LOGIN;\nCREATE DATABASE {DATABASE} OWNER {ROLE};\n");
    let mut single = Command::new(programs.join("bin/postgres"));
    single.args(["--single", "-c", "exit_on_error=on", "-D"]).arg(&unfinished).arg("postgres");
    run(single, &unfinished, log, &commands)?;
    fs::rename(&unfinished, data).map_err(Error::io(data.display().to_string()))
}

/// Lets a command run as somebody whom PostgreSQL accepts, in a folder that is theirs.
pub(super) fn as_unprivileged(command: &mut Command, folder: &Path) {
    command.current_dir(folder);
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn run(mut command: Command, folder: &Path, log: &Path, input: &str) -> Result<(), Error> {
    let output = File::create(log).map_err(Error::io(log.display().to_string()))?;
    let errors = output.try_clone().map_err(Error::io(log.display().to_string()))?;
    as_unprivileged(&mut command, folder);
    let program = command.get_program().display().to_string();
    let mut child = command.stdin(Stdio::piped()).stdout(output).stderr(errors).spawn().map_err(
        Error::io(format!("starting {program} (root runs it as nobody, who must be able to read it)")),
    )?;
    if let Some(mut stdin) = child.stdin.take() {
        // Who has ended says why in the log.
        let _ = stdin.write_all(input.as_bytes());
    }
    let status = child.wait().map_err(Error::io("waiting for PostgreSQL"))?;
    if status.success() { Ok(()) } else { Err(failed(log, status)) }
}

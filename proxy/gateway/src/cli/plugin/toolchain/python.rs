//! Python: componentize-py, which puts CPython and the module into one component.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{ask, install, progress, run, wit};
use crate::cli::Failed;
use crate::cli::plugin::project::Project;

/// Tested with this version; others read other worlds.
const TOOL: &str = "componentize-py-0.25.1";
/// Not the script that pip installs: it holds the path of the folder that it was installed in.
const START: &str = "import sys; from componentize_py import script; sys.exit(script())";
const HINT: &str =
    "Python 3.10 or newer is needed, with its modules venv and pip (Debian: apt install python3-venv)";

/// Makes the component of `plugin.py`. Packages that `requirements.txt` names are put into it.
pub(super) fn build(project: &Project) -> Result<PathBuf, Failed> {
    let tool = tool()?;
    let scratch = project.scratch();
    let wit = wit::folder(&scratch, &project.manifest)?;
    let mut search = vec![project.folder.clone()];
    search.extend(packages(project, &tool)?);
    progress("building plugin.py with componentize-py");
    let output = scratch.join("component.wasm");
    let mut command = Command::new(tool.join("bin/python"));
    command.args(["-c", START]).arg("--wit-path").arg(wit).args([
        "--world",
        wit::WORLD,
        "componentize",
        "plugin",
    ]);
    for folder in search {
        command.arg("--python-path").arg(folder);
    }
    command.arg("--output").arg(&output).current_dir(&project.folder).stdout(std::io::stderr());
    run(&mut command, "componentize-py", HINT)?;
    Ok(output)
}

/// The folder of a virtual environment with componentize-py.
fn tool() -> Result<PathBuf, Failed> {
    install(TOOL, "70 MB", |folder| {
        let python = python()?;
        run(Command::new(python).args(["-m", "venv"]).arg(folder), "python -m venv", HINT)?;
        let (name, version) = TOOL.rsplit_once('-').unwrap_or((TOOL, ""));
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary",
            ":all:",
        ]);
        run(pip.arg(format!("{name}=={version}")), "pip install", HINT)
    })
}

fn python() -> Result<&'static str, Failed> {
    let recent = "import sys; sys.exit(sys.version_info < (3, 10))";
    let found =
        ["python3", "python"].into_iter().find(|name| ask(Command::new(name).args(["-c", recent])).is_some());
    found.ok_or_else(|| miette::miette!(help = HINT, "there is no Python that is new enough"))
}

/// Installs what `requirements.txt` names, again whenever it changes. Only pure Python works in a component.
fn packages(project: &Project, tool: &Path) -> Result<Option<PathBuf>, Failed> {
    let Ok(wanted) = std::fs::read_to_string(project.folder.join("requirements.txt")) else {
        return Ok(None);
    };
    let folder = project.scratch().join("packages");
    let mark = folder.join("requirements.txt");
    if std::fs::read_to_string(&mark).ok().as_deref() != Some(&wanted) {
        progress("installing the packages of requirements.txt");
        let _ = std::fs::remove_dir_all(&folder);
        super::create(&folder)?;
        let mut pip = Command::new(tool.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        pip.arg("requirements.txt").arg("--target").arg(&folder).current_dir(&project.folder);
        run(&mut pip, "pip install", HINT)?;
        super::write(&mark, wanted)?;
    }
    Ok(Some(folder))
}

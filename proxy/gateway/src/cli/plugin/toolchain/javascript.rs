//! JavaScript: componentize-js, which puts SpiderMonkey and the module into one component.

use std::path::PathBuf;
use std::process::Command;

use super::{ask, install, progress, run, wit, write};
use crate::cli::Failed;
use crate::cli::plugin::project::Project;

/// The version is in `package-lock.json`, with those of all it needs.
const TOOL: &str = "componentize-js-0.23.0";
const PACKAGE: &str = include_str!("../javascript/tool/package.json");
const LOCK: &str = include_str!("../javascript/tool/package-lock.json");
const SCRIPT: &str = include_str!("../javascript/tool/componentize.mjs");
const HINT: &str = "Node.js 20 or newer is needed, with npm";

/// Makes the component of `plugin.js`, with the modules that it imports by relative paths.
pub(super) fn build(project: &Project) -> Result<PathBuf, Failed> {
    let tool = tool()?;
    let scratch = project.scratch();
    let wit = wit::folder(&scratch, &project.manifest)?;
    progress("building plugin.js with componentize-js");
    let output = scratch.join("component.wasm");
    let mut node = Command::new("node");
    node.arg(tool.join("componentize.mjs")).arg("plugin.js").arg(wit).arg(wit::WORLD).arg(&output);
    run(node.current_dir(&project.folder), "componentize-js", HINT)?;
    Ok(output)
}

/// The folder with componentize-js in its `node_modules`.
fn tool() -> Result<PathBuf, Failed> {
    let recent = "process.exit(Number(process.versions.node.split('.')[0]) < 20 ? 1 : 0)";
    if ask(Command::new("node").args(["-e", recent])).is_none() {
        return Err(miette::miette!(help = HINT, "there is no Node.js that is new enough"));
    }
    install(TOOL, "220 MB", |folder| {
        write(&folder.join("package.json"), PACKAGE)?;
        write(&folder.join("package-lock.json"), LOCK)?;
        write(&folder.join("componentize.mjs"), SCRIPT)?;
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(folder);
        run(npm.stdout(std::io::stderr()), "npm ci", HINT)
    })
}

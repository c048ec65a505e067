//! `fireguard plugin test`

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::case::{Case, Player, Sight, Trouble};
use super::diff::diff;
use super::project::Project;
use super::toolchain::{self, Profile, progress};
use super::watch::Watch;
use crate::cli::{Failed, runtime, say};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The project: the folder with plugin.toml, or one in it.
    #[arg(default_value = ".")]
    project: PathBuf,
    /// Only cases whose names contain this.
    #[arg(long, value_name = "TEXT")]
    case: Option<String>,
    /// Write down what comes out as what is expected. Look at it before you commit it.
    #[arg(long)]
    update: bool,
    /// Build and run again whenever a file of the project changes.
    #[arg(long, conflicts_with = "update")]
    watch: bool,
    /// Test this component, as it is, in place of building one.
    #[arg(long, value_name = "FILE", conflicts_with = "watch")]
    component: Option<PathBuf>,
}

/// Plays the cases of a project.
pub(super) fn test(arguments: &Arguments) -> Result<(), Failed> {
    let project = Project::find(&arguments.project)?;
    let sight = Sight::install();
    if !arguments.watch {
        return once(arguments, &project, &sight);
    }
    let watch = Watch::start(&project.folder)?;
    loop {
        if let Err(report) = once(arguments, &project, &sight) {
            eprintln!("{report:?}");
        }
        progress("waiting for a change (Ctrl-C ends it)");
        watch.wait()?;
    }
}

fn once(arguments: &Arguments, project: &Project, sight: &Sight) -> Result<(), Failed> {
    let component = match &arguments.component {
        Some(component) => component.clone(),
        None => toolchain::build(project, Profile::Debug)?,
    };
    let cache = cache(&project.scratch())?;
    let player = Player::new(&component, &project.manifest.name, Some(cache), sight.clone())?;
    let wanted = |folder: &PathBuf| match (&arguments.case, folder.file_name()) {
        (Some(part), Some(name)) => name.to_string_lossy().contains(part),
        _ => true,
    };
    let folders: Vec<PathBuf> =
        Case::folders(&project.folder.join("cases"))?.into_iter().filter(wanted).collect();
    let runtime = runtime()?;
    let mut failed = 0;
    for folder in &folders {
        let case = Case::read(folder)?;
        let played = runtime.block_on(player.play(&case))?;
        let verdict = judge(&case, played, arguments.update)?;
        failed += usize::from(!verdict.passed);
        say(&verdict.told);
    }
    say(&format!("{} cases, {failed} failed", folders.len()));
    if failed > 0 { Err(miette::miette!("{failed} of {} cases failed", folders.len())) } else { Ok(()) }
}

/// The folder for compiled code. Only its owner may write there: the host insists on it.
fn cache(scratch: &Path) -> Result<PathBuf, Failed> {
    let folder = scratch.join("compiled");
    std::fs::create_dir_all(&folder)
        .map_err(|error| miette::miette!("cannot make {}: {error}", folder.display()))?;
    Ok(folder)
}

struct Verdict {
    passed: bool,
    told: String,
}

fn judge(case: &Case, played: Result<Value, Trouble>, update: bool) -> Result<Verdict, Failed> {
    let failed = |why: String| Verdict { passed: false, told: format!("FAILED  {}\n{why}", case.name) };
    let came = match played {
        Ok(came) => came,
        Err(trouble) => return Ok(failed(describe(&trouble))),
    };
    let expected = case.expected()?;
    if expected.as_ref() == Some(&came) {
        return Ok(Verdict { passed: true, told: format!("ok      {}", case.name) });
    }
    if update {
        let path = case.expectation();
        std::fs::write(&path, pretty(&came) + "\n")
            .map_err(|error| miette::miette!("cannot write {}: {error}", path.display()))?;
        return Ok(Verdict { passed: true, told: format!("written {}", case.name) });
    }
    Ok(failed(match expected {
        Some(expected) => diff(&pretty(&expected), &pretty(&came)),
        None => {
            format!("    there is no expected.json; with --update it becomes\n{}", diff("", &pretty(&came)))
        }
    }))
}

fn describe(trouble: &Trouble) -> String {
    let Trouble { message, place, printed } = trouble;
    let mut text = format!("    {message}\n");
    if let Some(place) = place {
        text.push_str(&format!("    at {place}\n"));
    }
    if !printed.trim().is_empty() {
        // The host has put it on one line; a traceback is easier to read with its own again.
        for line in printed.trim().replace("   File ", "\n  File ").lines() {
            text.push_str(&format!("    | {}\n", line.trim_end()));
        }
    }
    text
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

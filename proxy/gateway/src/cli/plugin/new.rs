//! `fireguard plugin new`: a project that builds, and whose case passes, as it is.

mod rust;
mod script;

use std::path::{Path, PathBuf};

use super::project::{Language, MANIFEST, Phase, check_name};
use crate::cli::{Failed, say};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The folder to make. Its name becomes the plugin's.
    folder: PathBuf,
    /// What the plugin is written in.
    #[arg(long)]
    lang: Language,
    /// A phase the plugin takes part in; may be given several times.
    #[arg(long, value_name = "PHASE", default_value = "resources")]
    phase: Vec<Phase>,
    /// Rust: the folder plugins/sdk of a checkout of Fireguard, to be used in place of a copy of the SDK.
    #[arg(long, value_name = "FOLDER")]
    sdk: Option<PathBuf>,
}

/// A file of the project: its path in it, and its text.
struct File {
    path: String,
    text: String,
}

/// Makes the project.
pub(super) fn new(arguments: &Arguments) -> Result<(), Failed> {
    let Arguments { folder, lang, phase, sdk } = arguments;
    let name = std::path::absolute(folder).ok().and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
    let name = name.ok_or_else(|| miette::miette!("{} does not end in a name", folder.display()))?;
    check_name(&name).map_err(|error| miette::miette!("{error}"))?;
    if folder.join(MANIFEST).exists() || folder.read_dir().is_ok_and(|mut found| found.next().is_some()) {
        return Err(miette::miette!("{} is there already and is not empty", folder.display()));
    }
    if sdk.is_some() && *lang != Language::Rust {
        return Err(miette::miette!("--sdk is for Rust; {lang} needs no SDK"));
    }
    let mut phases = phase.clone();
    phases.sort_by_key(|phase| *phase as u8);
    phases.dedup();
    let files = match lang {
        Language::Rust => rust::files(&name, &phases, sdk.as_deref())?,
        Language::Python => script::files(&script::PYTHON, &name, &phases),
        Language::Javascript => script::files(&script::JAVASCRIPT, &name, &phases),
    };
    for file in files.into_iter().chain(cases(&phases)) {
        write(&folder.join(&file.path), &file.text)?;
    }
    say(&format!("made {}", folder.display()));
    say(&format!("try it:   fireguard plugin test {}", folder.display()));
    say(&format!("build it: fireguard plugin build --release {}", folder.display()));
    Ok(())
}

/// A case for each phase, which the code of the templates passes.
fn cases(phases: &[Phase]) -> impl Iterator<Item = File> + '_ {
    let of = |phase: Phase| -> &'static [(&'static str, &'static str)] {
        match phase {
            Phase::Request => &[
                ("cases/refuses/request.json", include_str!("cases/request.json")),
                ("cases/refuses/settings.json", include_str!("cases/request-settings.json")),
                ("cases/refuses/expected.json", include_str!("cases/request-expected.json")),
            ],
            Phase::Resources => &[
                ("cases/removes/input.json", include_str!("cases/resources.json")),
                ("cases/removes/settings.json", include_str!("cases/resources-settings.json")),
                ("cases/removes/expected.json", include_str!("cases/resources-expected.json")),
            ],
            Phase::Written => &[
                ("cases/tells/written.json", include_str!("cases/written.json")),
                ("cases/tells/expected.json", include_str!("cases/written-expected.json")),
            ],
            Phase::Ingest => &[
                ("cases/converts/ingest.json", include_str!("cases/ingest.json")),
                ("cases/converts/expected.json", include_str!("cases/ingest-expected.json")),
            ],
        }
    };
    phases
        .iter()
        .flat_map(move |phase| of(*phase))
        .map(|(path, text)| File { path: (*path).to_owned(), text: (*text).to_owned() })
}

fn write(path: &Path, text: &str) -> Result<(), Failed> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(path, text))
        .map_err(|error| miette::miette!("cannot write {}: {error}", path.display()))
}

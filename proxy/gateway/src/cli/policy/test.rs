//! `fireguard policy test`

use std::path::Path;

use fireguard_access::policy::cases::{self, Tried};

use super::{Folder, load};
use crate::cli::{Failed, say};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    folder: Folder,
}

/// Tries the cases of a folder.
pub(super) fn test(arguments: &Arguments) -> Result<(), Failed> {
    let Folder { folder, tenant_tag } = &arguments.folder;
    let policies = load(folder, tenant_tag.as_ref())?;
    let tried = cases::try_folder(folder, &policies).map_err(|message| miette::miette!("{message}"))?;
    let widest = tried.iter().map(|tried| tried.name.chars().count()).max().unwrap_or_default();
    for tried in &tried {
        say(&line(folder, tried, widest));
    }
    let wrong = tried.iter().filter(|tried| !tried.wrong.is_empty()).count();
    say(&format!("{} policies, {} cases, {wrong} of them otherwise", policies.count(), tried.len()));
    match (wrong, tried.len()) {
        (0, 0) => Err(miette::miette!("there is no case in {}", folder.join("cases").display())),
        (0, _) => Ok(()),
        _ => Err(miette::miette!("policies decide otherwise than their cases say")),
    }
}

fn line(folder: &Path, tried: &Tried, widest: usize) -> String {
    let mark = if tried.wrong.is_empty() { "ok  " } else { "FAIL" };
    let said = match &tried.said {
        Err(_) => String::new(),
        Ok(said) => {
            let words = said.policies.iter().chain(&said.obligations).cloned().collect::<Vec<_>>().join(", ");
            format!("{:<8}{words}", said.decision.as_str())
        }
    };
    let name = format!("{:<widest$}", tried.name);
    let mut line = format!("{mark} {name}  {said}").trim_end().to_owned();
    for wrong in &tried.wrong {
        let file = folder.join("cases").join(&tried.file);
        line.push_str(&format!("\n     {}:{}: {wrong}", file.display(), tried.line));
    }
    line
}

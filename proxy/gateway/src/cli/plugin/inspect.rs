//! `fireguard plugin inspect`

use std::path::PathBuf;

use fireguard_plugin_host::{Allocation, Engine, EngineConfig, Inspection, Phase, inspect as look};

use super::build::size;
use crate::cli::{Failed, report, say};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The component.
    file: PathBuf,
    /// As JSON, for scripts.
    #[arg(long)]
    json: bool,
}

/// Says what a component is.
pub(super) fn inspect(arguments: &Arguments) -> Result<(), Failed> {
    let engine = Engine::new(EngineConfig { instances: 1, ..EngineConfig::default() });
    let engine = engine.map_err(|error| report(&error))?;
    let found = look(&engine, arguments.file.clone()).map_err(|error| {
        miette::miette!("{}: {}", arguments.file.display(), crate::logging::with_causes(&error))
    })?;
    say(&if arguments.json { json(&found) } else { lines(&found) });
    Ok(())
}

fn lines(found: &Inspection) -> String {
    let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let phases: Vec<String> = phases(found).map(str::to_owned).collect();
    let Inspection { digest, contract_version, capabilities, wasi, .. } = found;
    let rows = [
        ("contract", (*contract_version).to_owned()),
        ("phases", list(&phases)),
        ("capabilities", list(capabilities)),
        ("WASI", list(wasi)),
        ("size", size(found.size)),
        ("memory", memory(found)),
        ("engine", engine(found)),
        ("digest", format!("sha256:{digest}")),
    ];
    rows.iter().map(|(name, value)| format!("{name:<13} {value}")).collect::<Vec<_>>().join("\n")
}

fn phases(found: &Inspection) -> impl Iterator<Item = &'static str> {
    found.phases.iter().map(Phase::name)
}

fn memory(found: &Inspection) -> String {
    match found.parts.memory.and_then(|bytes| usize::try_from(bytes).ok()) {
        Some(bytes) => format!("{} for each instance, at its start", size(bytes)),
        None => "depends on what it imports".to_owned(),
    }
}

/// Which engine, and why.
fn engine(found: &Inspection) -> String {
    let parts = &found.parts;
    match found.allocation {
        Allocation::Pooled => "pooled: an instance takes a slot that is kept ready".to_owned(),
        Allocation::OnDemand => format!(
            "on demand: an instance is too large for a slot of the pool ({} memories, {} tables with up to {} elements)",
            parts.memories,
            parts.tables,
            parts.table.unwrap_or_default()
        ),
    }
}

fn json(found: &Inspection) -> String {
    let value = serde_json::json!({
        "contract": found.contract_version,
        "phases": phases(found).collect::<Vec<_>>(),
        "capabilities": found.capabilities,
        "wasi": found.wasi,
        "size": found.size,
        "memory": found.parts.memory,
        "engine": match found.allocation {
            Allocation::Pooled => "pooled",
            Allocation::OnDemand => "on-demand",
        },
        "digest": format!("sha256:{}", found.digest),
    });
    format!("{value:#}")
}

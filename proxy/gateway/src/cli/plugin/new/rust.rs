//! Projects in Rust. The SDK comes along as source, so that nothing but a Rust compiler and crates.io is needed; or it is
//! taken from a checkout.

use std::path::Path;

use rust_embed::Embed;
use toml::{Table, Value};

use super::{File, MANIFEST, Phase};
use crate::cli::Failed;
use crate::cli::plugin::toolchain::CONTRACT;

/// The SDK and what it needs of us.
#[derive(Embed)]
#[folder = "../../plugins/sdk"]
struct Sdk;

#[derive(Embed)]
#[folder = "../fhir"]
struct Fhir;

/// Where they get the versions of their dependencies from.
const WORKSPACE: &str = include_str!("../../../../../../Cargo.toml");
/// The folder of the copy, and where in it the two crates are: the same places as in a checkout.
const COPY: &str = "fireguard";
const SDK: &str = "plugins/sdk";
const FHIR: &str = "proxy/fhir";

/// What a phase adds to the code.
struct Part {
    phase: Phase,
    /// The name of its trait.
    name: &'static str,
    imports: &'static [&'static str],
    interest: &'static str,
    field: Option<&'static str>,
    code: &'static str,
}

const PARTS: [Part; 4] = [
    Part {
        phase: Phase::Request,
        name: "Request",
        imports: &["Action", "Exchange", "Head", "Host", "Refusal", "Request"],
        interest: "Interest::request().of_interactions([\"search-type\"])",
        field: Some(
            "    /// Search parameters that are not offered: `[\"_content\"]`.\n    refuse: Vec<String>,\n",
        ),
        code: include_str!("../rust/request.rs.txt"),
    },
    Part {
        phase: Phase::Resources,
        name: "Resources",
        imports: &["Direction", "Exchange", "Host", "Item", "Resources", "Verdict"],
        interest: "Interest::resources([Direction::ToClient])",
        field: Some(
            "    /// Elements that are taken out of every resource: `[\"photo\"]`.\n    remove: Vec<String>,\n",
        ),
        code: include_str!("../rust/resources.rs.txt"),
    },
    Part {
        phase: Phase::Written,
        name: "Written",
        imports: &["Event", "Host", "Level", "Settled", "Written"],
        interest: "Interest::written()",
        field: None,
        code: include_str!("../rust/written.rs.txt"),
    },
    Part {
        phase: Phase::Ingest,
        name: "Ingest",
        imports: &["Exchange", "Host", "Ingest", "Message", "MessageProblem"],
        interest: "Interest::ingest()",
        field: None,
        code: include_str!("../rust/ingest.rs.txt"),
    },
];

/// The files of a project, without its cases. The SDK is that of the folder `sdk`, or a copy of ours.
///
/// # Errors
/// `sdk` is not the folder of the SDK.
pub(super) fn files(name: &str, phases: &[Phase], sdk: Option<&Path>) -> Result<Vec<File>, Failed> {
    let (path, copy) = match sdk {
        None => (format!("{COPY}/{SDK}"), copied()?),
        Some(folder) => {
            let found = folder.canonicalize().ok().filter(|folder| folder.join("src/phase.rs").is_file());
            let found = found.ok_or_else(|| {
                miette::miette!(
                    "--sdk {}: this is not the folder plugins/sdk of a checkout",
                    folder.display()
                )
            })?;
            (found.display().to_string(), Vec::new())
        }
    };
    let chosen: Vec<&Part> = PARTS.iter().filter(|part| phases.contains(&part.phase)).collect();
    let manifest = include_str!("../rust/Cargo.toml.txt").replace("@name@", name).replace("@sdk@", &path);
    let file = |path: &str, text: String| File { path: path.to_owned(), text };
    let mut files = vec![
        file(
            MANIFEST,
            format!(
                "# What `fireguard plugin` needs to know of this project.\nname = \"{name}\"\nlanguage = \"rust\"\n"
            ),
        ),
        file("Cargo.toml", manifest),
        file("src/lib.rs", code(name, &chosen)),
        file(".gitignore", "/.fireguard\n/target\n/*.wasm\n".to_owned()),
    ];
    files.extend(copy);
    Ok(files)
}

fn code(name: &str, chosen: &[&Part]) -> String {
    let mut imports: Vec<&str> = chosen.iter().flat_map(|part| part.imports).copied().collect();
    imports.extend(["Interest", "Plan", "Plugin", "Problem", "Settings"]);
    imports.sort_unstable();
    imports.dedup();
    let list = |of: fn(&Part) -> &str| chosen.iter().map(|part| of(part)).collect::<Vec<_>>().join(", ");
    let fields: String = chosen.iter().filter_map(|part| part.field).collect();
    let head = include_str!("../rust/lib.rs.txt")
        .replace("@name@", name)
        .replace("@imports@", &imports.join(", "))
        .replace("@type@", &type_name(name))
        .replace("@fields@", &fields)
        .replace("@interests@", &list(|part| part.interest));
    let phases: String = chosen.iter().map(|part| part.code.replace("@type@", &type_name(name))).collect();
    let json = if chosen.iter().any(|part| part.phase == Phase::Resources) {
        "use fireguard_sdk::json::{self, Step};\n"
    } else {
        ""
    };
    let head = head.replace("@json@", json);
    format!("{head}{phases}\nfireguard_sdk::export!({}: {});\n", type_name(name), list(|part| part.name))
}

/// `hide-restricted` becomes `HideRestricted`.
fn type_name(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    name.split('-').map(word).collect()
}

/// The two crates, the contract, and a workspace around them that names the versions of their dependencies.
fn copied() -> Result<Vec<File>, Failed> {
    let mut files = vec![
        File { path: format!("{COPY}/Cargo.toml"), text: workspace()? },
        File { path: format!("{COPY}/wit/plugin.wit"), text: CONTRACT.to_owned() },
    ];
    let mut take = |home: &str, path: &str, content: Option<rust_embed::EmbeddedFile>| {
        let text = content.and_then(|content| String::from_utf8(content.data.into_owned()).ok());
        files.extend(text.map(|text| File { path: format!("{COPY}/{home}/{path}"), text }));
    };
    Sdk::iter().for_each(|path| take(SDK, &path, Sdk::get(&path)));
    Fhir::iter().for_each(|path| take(FHIR, &path, Fhir::get(&path)));
    Ok(files)
}

/// The workspace's manifest with the two crates as its only members.
fn workspace() -> Result<String, Failed> {
    let broken = || miette::miette!("the copy of the SDK in this binary is damaged");
    let mut manifest: Table = toml::from_str(WORKSPACE).map_err(|_| broken())?;
    let workspace = manifest.get_mut("workspace").and_then(Value::as_table_mut).ok_or_else(broken)?;
    workspace.retain(|name, _| ["resolver", "package", "dependencies", "lints"].contains(&name));
    workspace.insert("members".to_owned(), Value::from(vec![SDK, FHIR]));
    manifest.retain(|name, _| name == "workspace");
    toml::to_string(&manifest).map_err(|_| broken())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_is_whole() {
        let files = copied().unwrap();
        let has = |path: &str| files.iter().any(|file| file.path == path);
        for path in [
            "Cargo.toml",
            "wit/plugin.wit",
            "plugins/sdk/Cargo.toml",
            "plugins/sdk/src/lib.rs",
            "proxy/fhir/src/lib.rs",
        ] {
            assert!(has(&format!("fireguard/{path}")), "{path}");
        }
        let manifest: Table = toml::from_str(&files[0].text).unwrap();
        assert_eq!(manifest["workspace"]["members"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn types_are_named_after_the_project() {
        assert_eq!(type_name("hide-restricted"), "HideRestricted");
        assert_eq!(type_name("a1"), "A1");
    }
}

//! The licences of all crates that a binary is made of, with their texts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::error::{Error, output};
use crate::lint::cargo;

/// How the files are called that hold a licence or what it wants to be told.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT"];

/// Every crate that `package` is built of, but our own: its licence, and each text once.
///
/// # Errors
/// Cargo does not say, or a crate has no licence.
pub(super) fn text(package: &str) -> Result<String, Error> {
    let tree = [
        "tree",
        "--locked",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
        "--package",
        package,
    ];
    let tree = output(cargo().args(tree), "cargo")?;
    let built: BTreeSet<(String, String)> = tree.lines().filter_map(name_and_version).collect();
    let metadata = output(cargo().args(["metadata", "--locked", "--format-version", "1"]), "cargo")?;
    let metadata: Value = serde_json::from_str(&metadata)
        .map_err(|error| Error::Tool(format!("cargo metadata is not JSON: {error}")))?;
    let mut list = String::from("Fireguard is made of these crates, under these licences.\n\n");
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let of = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
        let (name, version) = (of("name"), of("version"));
        if package["source"].is_null() || !built.contains(&(name.clone(), version.clone())) {
            continue;
        }
        let licence = match (of("license"), of("license_file")) {
            (licence, _) if !licence.is_empty() => licence,
            (_, file) if !file.is_empty() => format!("see {file}"),
            _ => return Err(Error::Tool(format!("{name} {version} does not say its licence"))),
        };
        // Writing into a text does not fail.
        let _ = writeln!(list, "{name} {version}: {licence} {}", of("repository"));
        for text in found(Path::new(&of("manifest_path")).parent().unwrap_or(Path::new("."))) {
            texts.entry(text).or_default().push(format!("{name} {version}"));
        }
    }
    for (text, crates) in texts {
        let _ = write!(list, "\n{}\n{}\n\n{}\n", "=".repeat(80), crates.join(", "), text.trim_end());
    }
    Ok(list)
}

/// `serde v1.0.0 (proc-macro)` → `serde`, `1.0.0`.
fn name_and_version(line: &str) -> Option<(String, String)> {
    let mut words = line.split(' ');
    Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
}

fn found(folder: &Path) -> Vec<String> {
    let mut files: Vec<_> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    let is_one = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        path.is_file() && NAMES.iter().any(|wanted| name.starts_with(wanted))
    };
    files.iter().filter(|path| is_one(path)).filter_map(|path| fs::read_to_string(path).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_tree() {
        for (line, expected) in [
            ("serde v1.0.228", Some(("serde", "1.0.228"))),
            ("thiserror-impl v2.0.21 (proc-macro)", Some(("thiserror-impl", "2.0.21"))),
            ("fireguard v0.1.0 (/a/path)", Some(("fireguard", "0.1.0"))),
            ("serde v1.0.228 (*)", Some(("serde", "1.0.228"))),
            ("", None),
        ] {
            let found = name_and_version(line);
            assert_eq!(found.as_ref().map(|(n, v)| (n.as_str(), v.as_str())), expected, "{line}");
        }
    }
}

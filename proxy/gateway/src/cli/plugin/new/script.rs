//! Projects in Python and JavaScript: put together from a head and a part for each phase.

use super::{File, MANIFEST, Phase};

/// The pieces that a language's project is made of.
pub(super) struct Pieces {
    language: &'static str,
    /// The module's file name, and that of what modules share.
    module: &'static str,
    shared: (&'static str, &'static str),
    head: &'static str,
    parts: [Part; 4],
}

/// What a phase adds: its imports, its wish, and its code.
struct Part {
    phase: Phase,
    imports: &'static str,
    interest: &'static str,
    setting: Option<&'static str>,
    code: &'static str,
}

pub(super) const PYTHON: Pieces = Pieces {
    language: "python",
    module: "plugin.py",
    shared: ("fireguard.py", include_str!("../../../../../../plugins/examples/python/fireguard.py")),
    head: include_str!("../python/head.py"),
    parts: [
        Part {
            phase: Phase::Request,
            imports: "from wit_world.exports.request import Action_Forward, Action_Refuse",
            interest: "            fireguard.wants(\"request\", interactions=[\"search-type\"]),",
            setting: Some("\"refuse\""),
            code: include_str!("../python/request.py"),
        },
        Part {
            phase: Phase::Resources,
            imports: "",
            interest: "            fireguard.wants(\"resources\", directions=[fireguard.TO_CLIENT]),",
            setting: Some("\"remove\""),
            code: include_str!("../python/resources.py"),
        },
        Part {
            phase: Phase::Written,
            imports: "from wit_world.exports.written import Settled_Done\nfrom wit_world.imports import log",
            interest: "            fireguard.wants(\"written\"),",
            setting: None,
            code: include_str!("../python/written.py"),
        },
        Part {
            phase: Phase::Ingest,
            imports: "from componentize_py_types import Err, Ok\nfrom wit_world.exports.ingest import Problem",
            interest: "            fireguard.wants(\"ingest\"),",
            setting: None,
            code: include_str!("../python/ingest.py"),
        },
    ],
};

pub(super) const JAVASCRIPT: Pieces = Pieces {
    language: "javascript",
    module: "plugin.js",
    shared: ("fireguard.js", include_str!("../../../../../../plugins/examples/javascript/fireguard.js")),
    head: include_str!("../javascript/head.js"),
    parts: [
        Part {
            phase: Phase::Request,
            imports: "",
            interest: "      fireguard.wants(\"request\", { interactions: [\"search-type\"] }),",
            setting: Some("\"refuse\""),
            code: include_str!("../javascript/request.js"),
        },
        Part {
            phase: Phase::Resources,
            imports: "",
            interest: "      fireguard.wants(\"resources\", { directions: [\"to-client\"] }),",
            setting: Some("\"remove\""),
            code: include_str!("../javascript/resources.js"),
        },
        Part {
            phase: Phase::Written,
            imports: "import { write as log } from \"fireguard:plugin/log@0.1.0\";",
            interest: "      fireguard.wants(\"written\"),",
            setting: None,
            code: include_str!("../javascript/written.js"),
        },
        Part {
            phase: Phase::Ingest,
            imports: "",
            interest: "      fireguard.wants(\"ingest\"),",
            setting: None,
            code: include_str!("../javascript/ingest.js"),
        },
    ],
};

/// The files of a project, without its cases.
pub(super) fn files(pieces: &Pieces, name: &str, phases: &[Phase]) -> Vec<File> {
    let chosen: Vec<&Part> = pieces.parts.iter().filter(|part| phases.contains(&part.phase)).collect();
    let joined = |of: fn(&Part) -> Option<&'static str>, between: &str| {
        chosen.iter().filter_map(|part| of(part)).collect::<Vec<_>>().join(between)
    };
    let imports = joined(|part| Some(part.imports).filter(|text| !text.is_empty()), "\n");
    let head = pieces
        .head
        .replace("@name@", name)
        .replace("@imports@\n", &if imports.is_empty() { imports } else { format!("{imports}\n") })
        .replace("@known@", &joined(|part| part.setting, ", "))
        .replace("@interests@", &joined(|part| Some(part.interest), "\n"));
    let code = joined(|part| Some(part.code), "");
    let listed = phases.iter().map(|phase| format!("\"{}\"", phase.name())).collect::<Vec<_>>().join(", ");
    let manifest = include_str!("script.toml")
        .replace("@name@", name)
        .replace("@language@", pieces.language)
        .replace("@phases@", &listed);
    let file = |path: &str, text: String| File { path: path.to_owned(), text };
    vec![
        file(MANIFEST, manifest),
        file(pieces.module, format!("{head}{code}")),
        file(pieces.shared.0, pieces.shared.1.to_owned()),
        file(".gitignore", "/.fireguard\n/*.wasm\n__pycache__\n".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_to_fill_in() {
        let phases = [Phase::Request, Phase::Resources, Phase::Written, Phase::Ingest];
        for pieces in [PYTHON, JAVASCRIPT] {
            for chosen in [&phases[..], &phases[..1], &phases[1..2], &phases[2..3], &phases[3..]] {
                for file in files(&pieces, "name", chosen) {
                    let left = file
                        .text
                        .split_whitespace()
                        .find(|word| word.starts_with('@') && word.ends_with('@'));
                    assert_eq!(left, None, "{}", file.path);
                }
            }
        }
    }
}

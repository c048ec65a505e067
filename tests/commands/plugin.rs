//! `fireguard plugin …` as an author uses it, and the cases of every plugin in the repository.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use fireguard_test_support::{gateway, plugins, repository};
use serde_json::Value;

use crate::{fireguard, folder, text};

/// All that have cases: the examples and the ready-made ones.
const PROJECTS: [&str; 5] =
    ["examples/rust", "examples/python", "examples/javascript", "profile-validate", "publish-events"];

#[test]
fn the_cases_of_every_plugin_pass() {
    let plugins = repository::root().join("plugins");
    for project in PROJECTS {
        let output = fireguard(&plugins, &["plugin", "test", project]);
        assert!(output.status.success(), "{project}: {}", text(&output));
    }
}

/// In every language, with every phase: what `new` makes is right as it is.
#[test]
fn a_new_project_passes_its_cases() {
    let folder = folder();
    for language in ["rust", "python", "javascript"] {
        let mut arguments = vec!["plugin", "new", language, "--lang", language];
        for phase in ["request", "resources", "written", "ingest"] {
            arguments.extend(["--phase", phase]);
        }
        let made = fireguard(folder.path(), &arguments);
        assert!(made.status.success(), "{}", text(&made));
        if language == "rust" {
            // The versions we have, so that nothing needs the network.
            fs::copy(repository::root().join("Cargo.lock"), folder.path().join("rust/Cargo.lock")).unwrap();
        }
        let tested = fireguard(folder.path(), &["plugin", "test", language]);
        let said = text(&tested);
        assert!(tested.status.success() && said.contains("4 cases, 0 failed"), "{language}: {said}");
    }
    a_panic_is_seen_while_one_works(&folder.path().join("rust"));
}

/// `--watch` builds and plays again when the code changes, and shows file and line of a panic.
fn a_panic_is_seen_while_one_works(project: &Path) {
    let mut watching = Command::new(gateway::binary().unwrap())
        .args(["plugin", "test", "--watch"])
        .current_dir(project)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (sender, lines) = mpsc::channel();
    let said = BufReader::new(watching.stdout.take().unwrap());
    std::thread::spawn(move || said.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let until = |end: &str| {
        let mut all = Vec::new();
        while !all.last().is_some_and(|line: &String| line.contains(end)) {
            match lines.recv_timeout(Duration::from_secs(600)) {
                Ok(line) => all.push(line),
                Err(error) => return Err(format!("{end}: {error} after {all:?}")),
            }
        }
        Ok(all.join("\n"))
    };
    let code = project.join("src/lib.rs");
    let good = until("4 cases, 0 failed");
    let right = fs::read_to_string(&code).unwrap();
    let place = right.find("fn resources(").unwrap();
    let body = place + right[place..].find("{\n").unwrap() + 1;
    let line = right[..body].lines().count() + 1;
    fs::write(&code, format!("{}\n        panic!(\"on purpose\");{}", &right[..body], &right[body..]))
        .unwrap();
    let panicked = until("4 cases, 1 failed");
    fs::write(&code, right).unwrap();
    let mended = until("4 cases, 0 failed");
    // Before anything can fail here: nobody else ends it.
    let _ = watching.kill();
    let _ = watching.wait();
    good.unwrap();
    let panicked = panicked.unwrap();
    assert!(panicked.contains(&format!("at src/lib.rs:{line}:")), "line {line}: {panicked}");
    mended.unwrap();
}

#[test]
fn what_is_wrong_is_said() {
    let folder = folder();
    fs::create_dir(folder.path().join("full")).unwrap();
    fs::write(folder.path().join("full/x"), "").unwrap();
    fs::write(folder.path().join("not.wasm"), "text").unwrap();
    let cases: [(&[&str], &str); 7] = [
        (&["new", "A", "--lang", "rust"], "`A` is no name for a plugin"),
        (&["new", "full", "--lang", "rust"], "is there already and is not empty"),
        (&["new", "a", "--lang", "python", "--sdk", "."], "--sdk is for Rust"),
        (&["new", "a", "--lang", "rust", "--sdk", "."], "this is not the folder plugins/sdk"),
        (&["build", "full"], "has a plugin.toml"),
        (&["inspect", "not.wasm"], "not.wasm: not a WebAssembly component"),
        (&["trace"], "required"),
    ];
    for (arguments, expected) in cases {
        let output = fireguard(folder.path(), &[&["plugin"], arguments].concat());
        assert!(
            !output.status.success() && text(&output).contains(expected),
            "{arguments:?}: {}",
            text(&output)
        );
    }
}

/// A case that fails shows the difference and where a panic was; the exit status says it too.
#[test]
fn a_failure_shows_its_place() {
    let folder = folder();
    let project = folder.path().join("p");
    copy(&repository::root().join("plugins/examples/rust/cases"), &project.join("cases"));
    fs::write(project.join("plugin.toml"), "name = \"p\"\nlanguage = \"rust\"\n").unwrap();
    let expected = project.join("cases/settings-are-checked/expected.json");
    fs::write(&expected, fs::read_to_string(&expected).unwrap().replace("a profile", "no profile")).unwrap();
    let component = plugins::component("examples/rust").unwrap();
    let output = fireguard(&project, &["plugin", "test", "--component", component.to_str().unwrap()]);
    let said = text(&output);
    assert!(!output.status.success(), "{said}");
    for line in [
        "FAILED  settings-are-checked",
        "-       \"message\": \"no profile",
        "+       \"message\": \"a profile",
        "3 cases, 1 failed",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
}

#[test]
fn inspect_bench_and_trace_tell_of_a_component() {
    let component = plugins::component("examples/rust").unwrap();
    let component = component.to_str().unwrap();
    let folder = folder();
    let output = fireguard(folder.path(), &["plugin", "inspect", "--json", component]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["contract"], &found["phases"][0]), (&"0.1.0".into(), &"resources".into()));
    assert!(
        found["digest"].as_str().unwrap().starts_with("sha256:") && found["engine"] == "pooled",
        "{found}"
    );

    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("settings.json", r#"{"profiles": {"Patient": ["http://p"]}}"#);
    write("patient.json", r#"{"resourceType": "Patient", "meta": {"profile": ["http://p"]}}"#);
    write("other.json", r#"{"resourceType": "Patient"}"#);
    let arguments = [
        "plugin",
        "bench",
        component,
        "--input",
        "patient.json",
        "--settings",
        "settings.json",
        "--seconds",
        "1",
        "--direction",
        "to-server",
    ];
    let said = text(&fireguard(folder.path(), &arguments));
    assert!(said.contains("fresh instance") && said.contains("reused instance"), "{said}");

    write(
        "fireguard.toml",
        &format!(
            "[upstreams.hapi]\nurl = \"http://127.0.0.1:1/fhir\"\n[routes.clinic]\npath = \"/clinic\"\n\
             upstream = \"hapi\"\nauthentication = \"none\"\nplugins = [\"tags\"]\n[plugins.tags]\ncomponent = {component:?}\n\
             settings = {{ profiles = {{ Patient = [\"http://p\"] }} }}\n"
        ),
    );
    for (file, expected) in [("patient.json", ": keep"), ("other.json", "\"code\": \"business-rule\"")] {
        let arguments =
            ["plugin", "trace", file, "--dev", "--direction", "to-server", "--interaction", "create"];
        let output = fireguard(folder.path(), &arguments);
        let said = text(&output);
        assert!(output.status.success() && said.contains(expected), "{file}: {said}");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

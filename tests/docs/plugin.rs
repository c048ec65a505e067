//! The plugin author's example, as the page has it: it builds, its test passes, and it answers as described.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use fireguard_test_support::gateway::{self, Gateway};
use fireguard_test_support::repository;
use fireguard_test_support::standin::{Answer, StandIn};
use serde_json::Value;

use crate::blocks::{Block, blocks, read};

const PAGE: &str = "docs/plugin-author/rust.md";

/// The component that a configuration in the documentation names: one of ours, or the page's.
pub(crate) fn component(path: &str) -> PathBuf {
    match path.strip_prefix("target/plugins/") {
        Some(name) => repository::target().join("plugins").join(name),
        None => example().join(path),
    }
}

#[test]
fn the_example_s_own_test_passes() {
    cargo(&example(), &["test", "--quiet", "--lib"]);
}

#[tokio::test]
async fn the_example_answers_as_described() {
    let page = read(PAGE);
    let shown = blocks(&page);
    let json: Vec<&Block> = shown.iter().filter(|block| block.language == "json").collect();
    let [stored, answered] = json.as_slice() else { panic!("{} has two resources", PAGE) };
    let restricted = r#"{"resourceType":"Condition","id":"hidden","meta":{"security":[{"code":"R"}]}}"#;
    let standin = StandIn::start().await.unwrap();
    standin.always("GET", "/fhir/Condition/open", Answer::json(200, stored.text.trim()));
    standin.always("GET", "/fhir/Condition/hidden", Answer::json(200, restricted));
    let both = format!(
        r#"{{"resourceType":"Bundle","type":"searchset","entry":[{{"resource":{restricted}}},{{"resource":{}}}]}}"#,
        stored.text.trim()
    );
    standin.always("GET", "/fhir/Condition", Answer::json(200, both));

    let config = configuration(&shown);
    let (built, base) =
        tokio::task::spawn_blocking(|| (example(), gateway::binary().unwrap())).await.unwrap();
    says_what_the_page_says(&base, &built, &config, &page);
    let config = config
        .replace("http://127.0.0.1:8080/fhir", &standin.base_url())
        .replace("hide-restricted.wasm", &built.join("hide-restricted.wasm").display().to_string());
    let config = format!("[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n{config}");
    let gateway = tokio::task::spawn_blocking(move || Gateway::start(&config).unwrap()).await.unwrap();
    let get = |path: &str| reqwest::get(format!("{}/students/{path}", gateway.url()));

    assert_eq!(get("Condition/open").await.unwrap().text().await.unwrap(), answered.text.trim());
    assert_eq!(get("Condition/hidden").await.unwrap().status(), 404);
    let found: Value = serde_json::from_str(&get("Condition").await.unwrap().text().await.unwrap()).unwrap();
    let ids: Vec<_> = found["entry"].as_array().unwrap().iter().map(|e| &e["resource"]["id"]).collect();
    assert_eq!(ids, ["open"]);
}

/// The check of a configuration with a slip, as the page quotes it.
fn says_what_the_page_says(binary: &Path, folder: &Path, config: &str, page: &str) {
    let slip = folder.join("slip.toml");
    fs::write(&slip, config.replace("codes =", "code =")).unwrap();
    let mut check = Command::new(binary);
    let output =
        check.args(["check", "--dev", "--config", "slip.toml"]).current_dir(folder).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && !said.trim().is_empty());
    assert!(page.contains(said.trim()), "{said}");
}

fn configuration(shown: &[Block]) -> String {
    let config = shown.iter().find(|block| block.language == "toml" && block.text.contains("[routes."));
    config.unwrap().text.clone()
}

/// Makes the project in a folder under `target` as the page says, with the page's code, and builds the component, once
/// in a process.
fn example() -> PathBuf {
    static BUILT: Mutex<bool> = Mutex::new(false);
    let mut built = BUILT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = repository::target().join("docs/hide-restricted");
    if !*built {
        let shown = blocks(&read(PAGE));
        let code = shown.iter().find(|block| block.language == "rust" && block.text.contains("export!"));
        let fresh = tempfile::tempdir().unwrap();
        fireguard(fresh.path(), &["plugin", "new", "hide-restricted", "--lang", "rust"]);
        copy(&fresh.path().join("hide-restricted"), &folder);
        write(&folder.join("src/lib.rs"), &code.unwrap().text);
        // The versions we have, so that nothing needs the network.
        write(&folder.join("Cargo.lock"), &read("Cargo.lock"));
        fireguard(&folder, &["plugin", "build", "--release"]);
        *built = true;
    }
    folder
}

fn fireguard(folder: &Path, arguments: &[&str]) {
    let binary = gateway::binary().unwrap();
    let output = Command::new(binary).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Over what was there before, of which cargo keeps what it built.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &target) } else { write(&target, &fs::read_to_string(&path).unwrap()) }
    }
}

/// Leaves an equal file alone, so that cargo need not build again.
fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        fs::write(path, text).unwrap();
    }
}

fn cargo(folder: &Path, arguments: &[&str]) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(arguments).arg("--target-dir").arg(folder.join("target")).current_dir(folder);
    let output = cargo.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "cargo {arguments:?}: {said}{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

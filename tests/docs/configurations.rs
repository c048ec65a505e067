//! Every configuration and every rules file in the documentation passes `fireguard check`.

use std::fs;
use std::path::Path;
use std::process::Command;

use fireguard_test_support::{gateway, repository};
use rcgen::generate_simple_self_signed;
use toml::{Table, Value};

use crate::blocks::{blocks, pages};
use crate::plugin;

/// A key that is one.
pub(crate) const KEY: &str = "8d0c1f4be27a95360f3be1a47cd92856f01b6ea3d4c8792580ae37bd16f4952c";

#[test]
fn every_configuration_passes_the_check() {
    let mut checked = 0;
    for (page, text) in documents() {
        for block in blocks(&text).iter().filter(|block| block.language == "toml") {
            let table: Table = block.text.parse().unwrap_or_else(|error| panic!("{page}: {error}"));
            if !(table.contains_key("routes") && table.contains_key("upstreams")) {
                continue;
            }
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("fireguard.toml"), &block.text).unwrap();
            provide(folder.path(), &table);
            check(&page, folder.path());
            checked += 1;
        }
    }
    assert!(checked >= 5, "only {checked} configurations were found");
}

#[test]
fn every_rules_file_is_accepted() {
    let mut checked = 0;
    for (page, text) in documents() {
        let rules = blocks(&text).into_iter().filter(|block| block.text.contains("\"fhirPathRules\""));
        for block in rules.filter(|block| block.language == "json") {
            let folder = tempfile::tempdir().unwrap();
            let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
            write("rules.json", &block.text);
            write("key", KEY);
            let component = repository::target().join("plugins/deid.wasm");
            write(
                "fireguard.toml",
                &format!(
                    "[upstreams.hapi]\nurl = \"http://127.0.0.1:1/fhir\"\n[routes.research]\n\
                     path = \"/research\"\nupstream = \"hapi\"\nauthentication = \"none\"\nread_only = true\nplugins = [\"deid\"]\n\
                     [plugins.deid]\ncomponent = {component:?}\nfiles = {{ rules = \"rules.json\" }}\n\
                     grants.pseudonym = {{ key = \"file:key\" }}\n"
                ),
            );
            check(&page, folder.path());
            checked += 1;
        }
    }
    assert!(checked >= 1, "no rules were found");
}

/// The pages that show configurations, with their names.
fn documents() -> impl Iterator<Item = (String, String)> {
    let shown =
        pages().into_iter().filter(|page| page.starts_with("docs") || *page == Path::new("README.md"));
    shown.map(|page| {
        let text = fs::read_to_string(repository::root().join(&page)).unwrap();
        (page.display().to_string(), text)
    })
}

fn check(page: &str, folder: &Path) {
    let mut command = Command::new(gateway::binary().unwrap());
    // What a page shows has no digest: the component is built on the reader's machine.
    let output =
        command.args(["check", "--dev"]).current_dir(folder).env("FIREGUARD_KEY", KEY).output().unwrap();
    let config = fs::read_to_string(folder.join("fireguard.toml")).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{page}: {said}\n{config}");
}

/// Puts the files that a configuration names where it looks for them.
fn provide(folder: &Path, config: &Table) {
    if let Some(tls) = config.get("server").and_then(|server| server.get("tls")) {
        let pair = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        put(folder, text(tls, "certificate").unwrap(), pair.cert.pem());
        secret(folder, text(tls, "key").unwrap(), &pair.signing_key.serialize_pem());
    }
    for server in config.get("upstreams").and_then(Value::as_table).into_iter().flat_map(Table::values) {
        let Some(tls) = server.get("tls") else { continue };
        let pair = generate_simple_self_signed(["fireguard".to_owned()]).unwrap();
        for certificate in [text(tls, "ca"), text(tls, "client_certificate")].into_iter().flatten() {
            put(folder, certificate, pair.cert.pem());
        }
        if let Some(key) = text(tls, "client_key") {
            secret(folder, key, &pair.signing_key.serialize_pem());
        }
    }
    if let Some(users) = config.get("users").and_then(|users| text(users, "file")) {
        put(folder, users, "");
    }
    if let Some(policies) = config.get("policies").and_then(|policies| text(policies, "folder")) {
        put(folder, &format!("{policies}/all.cedar"), "@id(\"all\") permit(principal, action, resource);");
    }
    for bucket in config.get("buckets").and_then(Value::as_table).into_iter().flat_map(Table::values) {
        for key in [text(bucket, "access_key"), text(bucket, "secret_key")].into_iter().flatten() {
            secret(folder, key, KEY);
        }
    }
    for plugin in config.get("plugins").and_then(Value::as_table).into_iter().flat_map(Table::values) {
        let component = text(plugin, "component").unwrap();
        put(folder, component, fs::read(plugin::component(component)).unwrap());
        let files = plugin.get("files").and_then(Value::as_table).into_iter().flat_map(Table::values);
        for file in files.filter_map(Value::as_str) {
            put(folder, file, fs::read(repository::root().join(file)).unwrap());
        }
        let grant = plugin.get("grants").and_then(|grants| grants.get("pseudonym"));
        if let Some(key) = grant.and_then(|grant| text(grant, "key")) {
            secret(folder, key, KEY);
        }
    }
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

fn put(folder: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// A secret that is a file; one of the environment must be the one that [`check`] sets.
fn secret(folder: &Path, source: &str, content: &str) {
    match source.split_once(':') {
        Some(("file", path)) => put(folder, path, content),
        other => assert_eq!(other, Some(("env", "FIREGUARD_KEY"))),
    }
}

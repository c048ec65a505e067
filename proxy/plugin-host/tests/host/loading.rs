//! What is a plugin and what is not, settings, plans, and the cache.

use std::fs;

use bytes::Bytes;
use fireguard_plugin_host::{
    Direction, Engine, EngineConfig, Grants, LoadError, NamedFile, OnFailure, Plugin, PluginSpec,
    PseudonymGrant,
};
use serde_json::{Value, json};

use crate::guests::{build, engine, load, spec, try_load};

async fn refused(component: impl Into<fireguard_plugin_host::Source>) -> String {
    Plugin::load(engine(), PluginSpec::new("p", component)).await.unwrap_err().to_string()
}

#[tokio::test]
async fn what_is_no_plugin_is_told_so() {
    let setup = r#"(export "fireguard:plugin/setup@0.1.0" (instance $i))"#;
    let resources = r#"(export "fireguard:plugin/resources@0.1.0" (instance $i))"#;
    let cases: [(&str, String, &[&str]); 8] = [
        ("core module", "(module)".into(), &["core WebAssembly module", "wasm32-wasip2"]),
        (
            "exports nothing",
            "(component)".into(),
            &[
                "no fireguard:plugin/setup@0.1.0;",
                "it exports nothing",
            ],
        ),
        (
            "only setup",
            format!("(component (instance $i) {setup})"),
            &["another version of the plugin contract", "setup@0.1.0 has no function configure"],
        ),
        (
            "another version",
            r#"(component (instance $i) (export "fireguard:plugin/setup@0.2.0" (instance $i)))"#.into(),
            &["built for version 0.2.0", "serves 0.1.0"],
        ),
        (
            "unknown imports",
            format!(
                r#"(component (import "acme:db/query@1.0.0" (instance)) (import "plain" (func))
                   (instance $i) {setup} {resources})"#
            ),
            &["imports acme:db/query@1.0.0 and plain,", "does not offer"],
        ),
        (
            "WASI that is not linked",
            format!(
                r#"(component (import "wasi:http/types@0.2.0" (instance (export "f" (func))))
                   (instance $i) {setup} {resources})"#
            ),
            &["another version of the plugin contract", "wasi:http/types@0.2.0"],
        ),
        (
            "empty interfaces",
            format!("(component (instance $i) {setup} {resources})"),
            &["another version of the plugin contract", "configure"],
        ),
        (
            "another type",
            r#"(component (import "fireguard:plugin/log@0.1.0" (instance (export "write" (func (param "n" u32)))))
               (instance $i) (export "fireguard:plugin/setup@0.1.0" (instance $i))
               (export "fireguard:plugin/resources@0.1.0" (instance $i)))"#
                .into(),
            &["another version of the plugin contract", "fireguard:plugin/log@0.1.0"],
        ),
    ];
    for (name, text, expected) in cases {
        let said = refused(Bytes::from(wat::parse_str(&text).unwrap())).await;
        for part in expected {
            assert!(said.contains(part), "{name}: {said}");
        }
    }
    for bytes in [&b""[..], b"\0asm", b"#!/bin/sh\nexit 0", b"PK\x03\x04aaaaaaaaaa"] {
        assert!(refused(Bytes::from_static(bytes)).await.contains("not a WebAssembly component"));
    }
    assert!(refused(Bytes::from_static(b"\0asm\x0d\0\x01\0\xff\xff")).await.contains("does not compile"));
    let missing = refused("no/such/plugin.wasm").await;
    assert_eq!(missing, "cannot read no/such/plugin.wasm");
}

#[tokio::test]
async fn settings_problems_point_at_file_and_line() {
    let rules = NamedFile {
        name: "rules".into(),
        path: "policies/research.json".into(),
        content: Bytes::from_static(b"[]"),
    };
    let with = |settings: Value| PluginSpec { files: vec![rules.clone()], ..spec(settings) };
    let error = Plugin::load(engine(), with(json!({ "configure": "problems" }))).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "settings#/configure: is \"problems\" and that is one\n\
         policies/research.json:3:7: 2 bytes at policies/research.json"
    );
    let many = with(json!({ "configure": "problems", "many": 5000 }));
    let LoadError::Settings(problems) = Plugin::load(engine(), many).await.unwrap_err() else { panic!() };
    assert_eq!(problems.len(), 100);
    assert!(problems.iter().all(|problem| problem.message.len() <= 1024));
}

#[tokio::test]
async fn no_settings_are_an_empty_object() {
    try_load(Value::Null).await.unwrap();
    try_load(json!({ "configure": "no-settings" })).await.unwrap_err();
}

#[tokio::test]
async fn weak_keys_are_refused_at_load() {
    for key in ["", "secret", "changeme-changeme", "aaaaaaaaaaaaaaaaaaaaaaaa"] {
        let pseudonym = PseudonymGrant {
            key: key.to_owned().into(),
            project: String::new(),
            date_range_days: 182,
            open: false,
        };
        let spec = PluginSpec {
            grants: Grants { pseudonym: Some(pseudonym), ..Grants::default() },
            ..spec(json!({}))
        };
        let said = Plugin::load(engine(), spec).await.unwrap_err().to_string();
        assert!(said.contains("[plugins.guest.grants.pseudonym]"), "{said}");
        assert!(said.contains("openssl rand -hex 32"), "{said}");
        assert!(key.is_empty() || !said.contains(key), "{said}");
    }
}

#[tokio::test]
async fn the_plan_decides_what_is_wanted() {
    let plugin =
        load(json!({ "interactions": ["search"], "types": ["Patient"], "direction": "to-client" })).await;
    assert!(plugin.wants("search-type", Direction::ToClient, "Patient"));
    assert!(!plugin.wants("search-type", Direction::ToServer, "Patient"));
    assert!(!plugin.wants("search-type", Direction::ToClient, "Observation"));
    assert!(!plugin.wants("read", Direction::ToClient, "Patient"));
    assert!(!load(json!({ "direction": "none" })).await.wants("read", Direction::ToClient, "Patient"));

    let error = try_load(json!({ "interactions": ["raed"], "types": ["patient"] })).await.unwrap_err();
    let said = error.to_string();
    assert!(said.contains("interests/0: \"raed\" is no interaction"), "{said}");
    assert!(said.contains("interests/0: \"patient\" is no resource type"), "{said}");
}

#[tokio::test]
async fn a_plugin_gets_what_it_needs_or_is_not_loaded() {
    let needs = |what: &str| spec(json!({ "needs": [what] }));
    let error = Plugin::load(engine(), needs("pseudonym")).await.unwrap_err();
    assert!(matches!(&error, LoadError::MissingGrant { .. }), "{error}");
    assert!(error.to_string().contains("[plugins.guest.grants.pseudonym]"), "{error}");
    let key = "0d9f4c6be1a87253".to_owned().into();
    let pseudonym = PseudonymGrant { key, project: String::new(), date_range_days: 182, open: false };
    let granted = PluginSpec {
        grants: Grants { pseudonym: Some(pseudonym), ..Grants::default() },
        ..needs("pseudonym")
    };
    Plugin::load(engine(), granted).await.unwrap();
    let error = Plugin::load(engine(), needs("network")).await.unwrap_err();
    assert!(error.to_string().contains("needs/0: \"network\" is no capability"), "{error}");
}

#[tokio::test]
async fn a_plugin_tells_what_it_is() {
    let plugin = load(json!({ "types": ["Patient"] })).await;
    assert_eq!(plugin.name(), "guest");
    assert_eq!(plugin.plan().interests[0].resource_types, ["Patient"]);
    assert_eq!(plugin.on_failure(), OnFailure::Refuse);
    assert_eq!(plugin.limits(), crate::guests::wide());
    assert_eq!(plugin.digest().len(), 64);
}

#[tokio::test]
async fn a_component_is_the_one_that_the_configuration_names() {
    use sha2::{Digest, Sha256};
    let digest: [u8; 32] = Sha256::digest(fs::read(build()).unwrap()).into();
    let pinned = |digest| PluginSpec { digest: Some(digest), ..spec(json!({})) };
    let plugin = Plugin::load(engine(), pinned(digest)).await.unwrap();
    let said = Plugin::load(engine(), pinned([7; 32])).await.unwrap_err().to_string();
    assert!(said.contains(&format!("is sha256:{}", plugin.digest())), "{said}");
    assert!(said.contains(&format!("says sha256:{}", "07".repeat(32))), "{said}");
}

#[tokio::test]
async fn a_damaged_cache_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let load = || async {
        // An engine of its own each time, as after a restart.
        let config = EngineConfig {
            instances: 1,
            cache_dir: Some(dir.path().join("cwasm")),
            templates: false,
            ..EngineConfig::default()
        };
        Plugin::load(&Engine::new(config).unwrap(), spec(json!({}))).await.unwrap()
    };
    let first = load().await;
    let cached = || fs::read_dir(dir.path().join("cwasm")).unwrap().next().unwrap().unwrap().path();
    assert!(cached().file_name().unwrap().to_str().unwrap().starts_with(first.digest()));
    let sound = fs::read(cached()).unwrap();
    load().await;
    // Another file of that name: the code of the first is mapped from this one.
    let path = cached();
    fs::remove_file(&path).unwrap();
    fs::write(&path, &sound[..sound.len() / 2]).unwrap();
    load().await;
    assert_eq!(fs::read(cached()).unwrap().len(), sound.len(), "made anew");
    assert!(build().exists());
}

//! Plugins that are configured once, and what keeps one from it.

use bytes::Bytes;
use fireguard_plugin_host::{Direction, Engine, EngineConfig, NamedFile, Plugin, PluginSpec};
use serde_json::json;

use crate::guests::{answer, exchange, items, spec};

/// An engine that makes templates, with a cache that outlives the tests.
fn engine() -> &'static Engine {
    static ENGINE: std::sync::OnceLock<Engine> = std::sync::OnceLock::new();
    ENGINE.get_or_init(|| {
        let cache_dir = Some(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("cwasm"));
        Engine::new(EngineConfig { instances: 64, cache_dir, ..EngineConfig::default() }).unwrap()
    })
}

#[tokio::test]
async fn an_instance_has_its_settings_without_being_handed_them() {
    for text in ["one", "two"] {
        let plugin = Plugin::load(engine(), spec(json!({"act": "say", "text": text}))).await.unwrap();
        assert!(plugin.is_configured_once());
        assert_eq!(answer(&plugin).await, text);
    }
}

#[tokio::test]
async fn files_and_settings_make_templates_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let engine =
        Engine::new(EngineConfig { cache_dir: Some(dir.path().into()), ..EngineConfig::default() }).unwrap();
    let cached = || std::fs::read_dir(dir.path()).unwrap().count();
    let file = |content: &'static [u8]| NamedFile {
        name: "rules".to_owned(),
        path: "rules.json".to_owned(),
        content: Bytes::from_static(content),
    };
    let specs = [
        (spec(json!({"act": "keep"})), 2),
        (spec(json!({"act": "keep"})), 2),
        (spec(json!({"act": "drop"})), 3),
        (PluginSpec { files: vec![file(b"a")], ..spec(json!({"act": "keep"})) }, 4),
        (PluginSpec { files: vec![file(b"b")], ..spec(json!({"act": "keep"})) }, 5),
        (PluginSpec { files: vec![file(b"b")], ..spec(json!({"act": "keep"})) }, 5),
    ];
    for (number, (spec, expected)) in specs.into_iter().enumerate() {
        let plugin = Plugin::load(&engine, spec).await.unwrap();
        assert!(plugin.is_configured_once());
        assert_eq!(cached(), expected, "case {number}: the component itself, and each template");
    }
}

/// What one instance does to its memory is not in the next one.
#[tokio::test]
async fn instances_do_not_see_each_other() {
    let plugin = Plugin::load(engine(), spec(json!({"act": "echo"}))).await.unwrap();
    let resources = items(&[Bytes::from_static(b"{}")]);
    for id in ["a", "b"] {
        let mut session = plugin.session();
        for call in 0..2 {
            let verdicts = session.process(&exchange(id), Direction::ToClient, &resources).await.unwrap();
            let expected = format!("{id} research read 0 to-client {call}");
            assert_eq!(format!("{:?}", verdicts[0]), format!("Replace({} bytes)", expected.len()));
        }
    }
    assert_eq!(answer(&plugin).await, "x research read 0 to-client 0");
}

/// What it was answered could be another answer next time; a handle leads nowhere in another instance.
#[tokio::test]
async fn who_asks_the_host_while_it_is_configured_is_configured_each_time() {
    for configure in ["ask", "print"] {
        let settings = json!({"configure": configure, "act": "say", "text": "still"});
        let plugin = Plugin::load(engine(), spec(settings)).await.unwrap();
        assert!(!plugin.is_configured_once(), "{configure}");
        assert_eq!(answer(&plugin).await, "still");
    }
}

#[tokio::test]
async fn without_a_pool_there_is_no_template() {
    let engine = Engine::new(EngineConfig { instances: 200_000, ..EngineConfig::default() }).unwrap();
    let plugin = Plugin::load(&engine, spec(json!({"act": "say", "text": "x"}))).await.unwrap();
    assert!(!plugin.is_configured_once());
    assert_eq!(answer(&plugin).await, "x");
}

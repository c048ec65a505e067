//! The guest, built once, and plugins made of it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use fireguard_plugin_host::{
    Direction, Engine, EngineConfig, Exchange, Item, Limits, LoadError, Outcome, Plugin, PluginSpec,
};
use serde_json::Value;

/// What the guest says where it must not be repeated.
pub(crate) const MARKER: &str = "guest-text-7391";

/// A resource that the guest always keeps.
pub(crate) const CALM: Bytes = Bytes::from_static(br#"{"calm":true}"#);

/// Resources as the host takes them.
pub(crate) fn items(resources: &[Bytes]) -> Vec<Item> {
    resources.iter().cloned().map(Item::from).collect()
}

/// The component that plays what its settings say. Builds it if need be; cargo's own lock makes other
/// processes wait.
pub(crate) fn build() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("..");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--package", "fireguard-test-guest"])
            .args(["--target", "wasm32-wasip2", "--profile", "plugin"])
            .arg("--target-dir")
            .arg(&target)
            .current_dir(root)
            .status()
            .expect("cargo runs");
        assert!(built.success(), "the guest does not build; is there `rustup target add wasm32-wasip2`?");
        target.join("wasm32-wasip2/plugin/fireguard_test_guest.wasm")
    })
}

/// One engine for all tests, with a cache that outlives them. It makes no templates: nearly every test has settings of
/// its own, and would compile the guest once more.
pub(crate) fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let cache_dir = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("cwasm"));
        Engine::new(EngineConfig { instances: 64, cache_dir, templates: false, ..EngineConfig::default() })
            .unwrap()
    })
}

/// Wide enough that only the limit under test is met, even on a busy machine.
pub(crate) fn wide() -> Limits {
    Limits {
        cpu_per_call: Duration::from_secs(30),
        wall_per_call: Duration::from_secs(120),
        ..Limits::default()
    }
}

pub(crate) fn spec(settings: Value) -> PluginSpec {
    PluginSpec { settings, limits: wide(), ..PluginSpec::new("guest", build().to_owned()) }
}

pub(crate) async fn try_load(settings: Value) -> Result<Plugin, LoadError> {
    Plugin::load(engine(), spec(settings)).await
}

pub(crate) async fn load(settings: Value) -> Plugin {
    try_load(settings).await.unwrap()
}

pub(crate) fn exchange(id: &str) -> Exchange {
    Exchange { id: id.into(), route: "research".into(), interaction: "read".into(), extras: Vec::new() }
}

/// What a fresh session makes of one resource.
pub(crate) async fn outcome(plugin: &Plugin, resource: &Bytes) -> Outcome {
    let resources = [Item::new(resource.clone())];
    let verdicts = plugin.session().process(&exchange("x"), Direction::ToClient, &resources).await.unwrap();
    let [verdict] = <[_; 1]>::try_from(verdicts).unwrap();
    verdict.apply(resource).unwrap()
}

/// The text that a plugin answered instead of a resource.
pub(crate) async fn answer(plugin: &Plugin) -> String {
    match outcome(plugin, &Bytes::from_static(b"{}")).await {
        Outcome::Changed(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

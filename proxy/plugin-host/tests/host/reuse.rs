//! Instances that serve several exchanges, where the operator chose that.

use std::time::Duration;

use bytes::Bytes;
use fireguard_plugin_host::{Direction, Instances, Plugin, PluginSpec, Reuse, Session};
use serde_json::{Value, json};

use crate::guests::{CALM, engine, exchange, items, spec};

/// Long enough that nothing goes by itself while a test runs.
const LONG: Duration = Duration::from_secs(3600);

async fn reused(settings: Value, reuse: Reuse) -> Plugin {
    Plugin::load(engine(), PluginSpec { instances: Instances::Reuse(reuse), ..spec(settings) }).await.unwrap()
}

fn reuse() -> Reuse {
    Reuse { uses: 1000, idle: LONG, kept: 64, ..Reuse::default() }
}

/// How many calls the instance has had before this one.
async fn before(session: &mut Session) -> String {
    let resource = Bytes::from_static(b"{}");
    let items = items(std::slice::from_ref(&resource));
    let verdict = session.process(&exchange("x"), Direction::ToClient, &items).await.unwrap().remove(0);
    let fireguard_plugin_host::Outcome::Changed(said) = verdict.apply(&resource).unwrap() else { panic!() };
    String::from_utf8(said.to_vec()).unwrap().rsplit(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn an_instance_serves_one_exchange_after_the_other_up_to_its_uses() {
    let plugin = reused(json!({ "act": "echo" }), Reuse { uses: 3, ..reuse() }).await;
    let mut seen = Vec::new();
    for _ in 0..7 {
        seen.push(before(&mut plugin.session()).await);
    }
    assert_eq!(seen, ["0", "1", "2", "0", "1", "2", "0"]);
}

#[tokio::test]
async fn by_default_every_exchange_has_its_own() {
    let plugin = Plugin::load(engine(), spec(json!({ "act": "echo" }))).await.unwrap();
    for _ in 0..3 {
        assert_eq!(before(&mut plugin.session()).await, "0");
    }
}

#[tokio::test]
async fn exchanges_at_the_same_time_never_share_one() {
    let plugin = reused(json!({ "act": "echo" }), reuse()).await;
    let (mut one, mut other) = (plugin.session(), plugin.session());
    assert_eq!(before(&mut one).await, "0");
    assert_eq!(before(&mut other).await, "0");
    assert_eq!(before(&mut one).await, "1");
    drop((one, other));
    let (mut one, mut other) = (plugin.session(), plugin.session());
    let mut seen = [before(&mut one).await, before(&mut other).await];
    seen.sort();
    assert_eq!(seen, ["1", "2"], "both came back");
}

#[tokio::test]
async fn after_a_failure_an_instance_does_not_come_back() {
    for act in ["panic", "too-many", "out-of-range", "loop-in-host"] {
        let limits = fireguard_plugin_host::Limits {
            cpu_per_call: Duration::from_millis(200),
            ..crate::guests::wide()
        };
        let instances = Instances::Reuse(reuse());
        let spec = PluginSpec { instances, limits, ..spec(json!({ "act": act })) };
        let plugin = Plugin::load(engine(), spec).await.unwrap();
        let calm = items(&[CALM]);
        let instantiations = async |fails: bool| {
            let mut session = plugin.session();
            let resources = if fails { items(&[Bytes::from_static(b"{}")]) } else { calm.clone() };
            let asked = session.process(&exchange("x"), Direction::ToClient, &resources).await;
            assert_eq!(asked.is_err(), fails, "{act}");
            session.stats().instantiations
        };
        let made = [instantiations(false).await, instantiations(true).await, instantiations(false).await];
        assert_eq!(made, [1, 0, 1], "{act}: the one that failed served the first");
    }
}

#[tokio::test]
async fn what_has_grown_too_large_does_not_come_back() {
    for (memory, second) in [(1 << 16, "0"), (64 << 20, "1")] {
        let plugin = reused(json!({ "act": "echo" }), Reuse { memory, ..reuse() }).await;
        before(&mut plugin.session()).await;
        assert_eq!(before(&mut plugin.session()).await, second, "{memory}");
    }
}

#[tokio::test]
async fn what_waits_too_long_goes_and_frees_its_slot() {
    let config = fireguard_plugin_host::EngineConfig { instances: 1, templates: false, ..Default::default() };
    let engine = fireguard_plugin_host::Engine::new(config).unwrap();
    let instances = Instances::Reuse(Reuse { idle: Duration::from_millis(50), ..reuse() });
    let load = |instances| PluginSpec { instances, ..spec(json!({ "act": "echo" })) };
    let reused = Plugin::load(&engine, load(instances)).await.unwrap();
    before(&mut reused.session()).await;
    // The only slot is free again when the instance that waited is gone.
    let other = Plugin::load(&engine, load(Instances::PerExchange)).await.unwrap();
    assert_eq!(before(&mut other.session()).await, "0");
    assert_eq!(before(&mut reused.session()).await, "0");
}

#[tokio::test]
async fn the_age_of_an_instance_is_told() {
    let plugin = reused(json!({ "act": "echo" }), reuse()).await;
    before(&mut plugin.session()).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut session = plugin.session();
    assert_eq!(session.stats().instance_age, Duration::ZERO);
    before(&mut session).await;
    assert!(session.stats().instance_age >= Duration::from_millis(20));
    assert_eq!(session.stats().instantiations, 0);
}

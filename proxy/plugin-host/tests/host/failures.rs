//! Guests that misbehave. Whatever they do, the error says what kind of thing it was and nothing of theirs,
//! and the plugin serves on.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fireguard_plugin_host::{
    CallError, Direction, Engine, EngineConfig, Limits, LoadError, Plugin, PluginSpec,
};
use serde_json::{Value, json};

use crate::guests::{CALM, MARKER, exchange, items, load, spec, try_load, wide};

const ANY: Bytes = Bytes::from_static(b"{}");

async fn limited(settings: Value, limits: Limits) -> Plugin {
    Plugin::load(crate::guests::engine(), PluginSpec { limits, ..spec(settings) }).await.unwrap()
}

/// Fails once, then serves, in the same session and in another.
async fn fails(plugin: &Plugin, what: &str) -> CallError {
    let mut session = plugin.session();
    let error = session.process(&exchange("x"), Direction::ToClient, &items(&[ANY])).await.unwrap_err();
    let said = format!("{error} {error:?}");
    assert!(!said.contains(MARKER), "{what}: {said}");
    for session in [&mut session, &mut plugin.session()] {
        let served = session.process(&exchange("x"), Direction::ToClient, &items(&[CALM])).await;
        assert!(served.is_ok(), "{what}: serves on");
    }
    assert_eq!(session.stats().instantiations, 2, "{what}: a fresh instance");
    error
}

#[tokio::test]
async fn traps_are_typed() {
    let cases = [
        ("panic", CallError::Trap("a panic, or unreachable code")),
        ("exit", CallError::Trap("it exited")),
        ("recursion", CallError::Trap("stack overflow")),
        ("bomb", CallError::Memory(64 << 20)),
        ("huge-arguments", CallError::TooMuch(64 << 20)),
        ("malformed", CallError::Convention),
    ];
    for (act, expected) in cases {
        let plugin = load(json!({ "act": act })).await;
        assert_eq!(fails(&plugin, act).await, expected, "{act}");
    }
}

#[tokio::test]
async fn huge_answers_are_bounded_by_the_memory_limit() {
    // Takes 110 MB in the guest: over the limit there.
    let plugin = load(json!({ "act": "huge-list" })).await;
    assert_eq!(fails(&plugin, "in the guest").await, CallError::Memory(64 << 20));

    // Within the limit it is read, and then found wrong.
    let plugin = limited(json!({ "act": "huge-list" }), Limits { memory: 512 << 20, ..wide() }).await;
    let wrong = CallError::WrongCount { asked: 1, given: 2_500_000 };
    assert_eq!(fails(&plugin, "in the host").await, wrong);

    let plugin = load(json!({ "act": "huge-bytes" })).await;
    let mut session = plugin.session();
    session.process(&exchange("x"), Direction::ToClient, &items(&[ANY])).await.unwrap();
    assert_eq!(session.stats().bytes_out, 20 << 20, "large, and allowed");
}

#[tokio::test]
async fn cpu_time_is_bounded_and_the_thread_stays_free() {
    let cpu_per_call = Duration::from_millis(50);
    // A host call takes its time between two ticks: longer where the host is built without optimisation.
    for (act, least) in [("loop", 10), ("loop-in-host", 1)] {
        let plugin = limited(json!({ "act": act }), Limits { cpu_per_call, ..wide() }).await;
        let turns = Rc::new(Cell::new(0u32));
        let counter = Rc::clone(&turns);
        let local = tokio::task::LocalSet::new();
        let other = local.spawn_local(async move {
            loop {
                counter.set(counter.get() + 1);
                tokio::task::yield_now().await;
            }
        });
        let started = Instant::now();
        let error = local.run_until(fails(&plugin, act)).await;
        assert_eq!(error, CallError::Cpu(cpu_per_call), "{act}");
        // Not the wall clock ended it, however busy the machine is.
        assert!(started.elapsed() < wide().wall_per_call / 2, "{act}");
        assert!(turns.get() > least, "{act}: another task of the thread had {} turns", turns.get());
        other.abort();
    }
}

#[tokio::test]
async fn waiting_is_bounded() {
    let wall_per_call = Duration::from_millis(500);
    let limits = Limits { wall_per_call, ..wide() };
    let plugin = limited(json!({ "act": "sleep" }), limits).await;
    assert_eq!(fails(&plugin, "sleep").await, CallError::Wall(wall_per_call));
}

#[tokio::test]
async fn a_dropped_call_frees_its_slot() {
    let config = EngineConfig {
        instances: 1,
        slot_wait: Duration::from_millis(50),
        templates: false,
        ..Default::default()
    };
    let engine = Engine::new(config).unwrap();
    let plugin = Plugin::load(&engine, spec(json!({ "act": "sleep" }))).await.unwrap();
    let mut session = plugin.session();
    let (told, resources) = (exchange("x"), items(&[ANY]));
    let call = session.process(&told, Direction::ToClient, &resources);
    assert!(tokio::time::timeout(Duration::from_millis(500), call).await.is_err(), "it sleeps");
    let mut other = plugin.session();
    other.process(&exchange("x"), Direction::ToClient, &items(&[CALM])).await.unwrap();

    let full = session.process(&exchange("x"), Direction::ToClient, &items(&[CALM])).await.unwrap_err();
    assert!(full.is_busy(), "the other session holds the only slot: {full}");
    drop(other);
    session.process(&exchange("x"), Direction::ToClient, &items(&[CALM])).await.unwrap();
    assert_eq!(session.stats().instantiations, 3);
}

#[tokio::test]
async fn configuring_is_bounded_too() {
    let limits = Limits {
        cpu_per_call: Duration::from_millis(50),
        wall_per_call: Duration::from_millis(500),
        ..wide()
    };
    let cases = [
        ("panic", wide(), CallError::Trap("a panic, or unreachable code")),
        (
            "loop",
            Limits { wall_per_call: wide().wall_per_call, ..limits },
            CallError::Cpu(limits.cpu_per_call),
        ),
        (
            "sleep",
            Limits { cpu_per_call: wide().cpu_per_call, ..limits },
            CallError::Wall(limits.wall_per_call),
        ),
    ];
    for (act, limits, expected) in cases {
        let spec = PluginSpec { limits, ..spec(json!({ "configure": act })) };
        let error = Plugin::load(crate::guests::engine(), spec).await.unwrap_err();
        let LoadError::Start(error) = error else { panic!("{act}: {error}") };
        assert_eq!(error, expected, "{act}");
    }
    assert!(try_load(json!({})).await.is_ok());
}

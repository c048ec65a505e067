//! What a hostile plugin may try, in every language that plugins are written in: escapes, and misbehaviour. Nothing is
//! reached, every failure has its kind, and the plugin serves on.
//!
//! The guests in Python and JavaScript are built as their authors would; where their tools cannot be had, only Rust is
//! tried.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "that is how a test fails and tells"
)]

mod shipped;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use fireguard_plugin_host::{
    CallError, Direction, Engine, EngineConfig, Exchange, Item, Limits, LoadError, Outcome, Plugin,
    PluginSpec,
};
use fireguard_test_support::plugins;
use serde_json::json;

/// A resource that every guest keeps, whatever its act.
const CALM: &[u8] = br#"{"calm":true}"#;

/// What must become of an act.
#[derive(Clone, Copy)]
enum Expected {
    /// The guest answers this list: of what it found, or how it was answered.
    Says(&'static str),
    /// The call fails so.
    Fails(fn(&CallError) -> bool),
    /// Loading fails with this text in it.
    NotLoaded(&'static str),
}

use Expected::{Fails, NotLoaded, Says};

/// Each act, and what must become of it.
const ACTS: [(&str, Expected); 14] = [
    ("keep", Says("kept")),
    ("network", Says("[]")),
    ("file", Says("[]")),
    ("environment", Says("[]")),
    ("key-value", Says("[\"not-granted\"]")),
    ("remember", Says("[]")),
    ("bomb", Fails(|error| matches!(error, CallError::Memory(_)))),
    ("loop", Fails(|error| matches!(error, CallError::Cpu(_)))),
    // In Python and JavaScript it may be their own error, or the stack's end.
    ("recursion", Fails(|error| matches!(error, CallError::Trap(_) | CallError::Memory(_)))),
    // Where the strings are copied before they are handed over, memory or time ends first.
    (
        "giant-strings",
        Fails(|error| matches!(error, CallError::TooMuch(_) | CallError::Memory(_) | CallError::Cpu(_))),
    ),
    // In Python and JavaScript the bindings stop it.
    ("malformed", Fails(|error| matches!(error, CallError::Convention | CallError::Trap(_)))),
    ("out-of-range", Fails(|error| matches!(error, CallError::BadVerdict { .. }))),
    ("wrong-count", Fails(|error| matches!(error, CallError::WrongCount { asked: 2, given: 0 }))),
    ("bad-settings", NotLoaded("settings#/act: is bad-settings")),
];

fn engine() -> Engine {
    let cache_dir = Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("cwasm"));
    Engine::new(EngineConfig { instances: 8, cache_dir, templates: false, ..EngineConfig::default() })
        .unwrap()
}

#[tokio::test]
async fn whatever_our_own_plugins_are_handed_they_answer_or_fail_closed() {
    let wrong = shipped::wrong(&engine()).await;
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn nothing_a_hostile_plugin_tries_gets_it_anywhere() {
    let engine = engine();
    let mut failed = 0;
    println!("{:<12}{:<15}{:<70}", "language", "act", "what became of it");
    for (language, component) in guests() {
        for (act, expected) in ACTS {
            let (became, right) = tried(&engine, &component, act, expected).await;
            failed += u32::from(!right);
            let mark = if right { "" } else { "  <-- WRONG" };
            println!("{language:<12}{act:<15}{became}{mark}");
        }
    }
    assert_eq!(failed, 0, "of the rows above");
}

/// Plays one act; answers what became of it, and whether that is right.
async fn tried(engine: &Engine, component: &Path, act: &str, expected: Expected) -> (String, bool) {
    let limits = Limits {
        cpu_per_call: Duration::from_secs(2),
        wall_per_call: Duration::from_secs(120),
        memory: 256 << 20,
        ..Limits::default()
    };
    let spec = PluginSpec {
        settings: json!({ "act": act }),
        limits,
        ..PluginSpec::new("guest", component.to_owned())
    };
    let plugin = match Plugin::load(engine, spec).await {
        Ok(plugin) => plugin,
        Err(error) => {
            let said = chain(&error);
            let right = matches!(expected, NotLoaded(part) if said.contains(part));
            return (said, right);
        }
    };
    let (mut session, two) = (plugin.session(), [Item::new(&b"{}"[..]), Item::new(&b"{}"[..])]);
    let (became, right) = match session.process(&exchange(), Direction::ToClient, &two).await {
        Ok(mut verdicts) => {
            let said = match verdicts.remove(0).apply(&Bytes::from_static(b"{}")) {
                Ok(Outcome::Unchanged) => "kept".to_owned(),
                Ok(Outcome::Changed(said)) => String::from_utf8_lossy(&said).into_owned(),
                other => format!("{other:?}"),
            };
            let right = matches!(expected, Says(text) if said == text);
            (said, right)
        }
        Err(error) => (error.to_string(), matches!(expected, Fails(kind) if kind(&error))),
    };
    // Whatever it was: the same session and another one are served.
    let calm = [Item::new(CALM)];
    for session in [&mut session, &mut plugin.session()] {
        if let Err(error) = session.process(&exchange(), Direction::ToClient, &calm).await {
            return (format!("{became}; afterwards: {error}"), false);
        }
    }
    // Nor is anything of this exchange known to the next.
    if act == "remember" {
        let asked = plugin.session().process(&exchange(), Direction::ToClient, &two).await.unwrap().remove(0);
        let Ok(Outcome::Changed(said)) = asked.apply(&Bytes::from_static(b"{}")) else { panic!("{act}") };
        let right = right && said == "[]";
        return (format!("{became}, and in the next exchange {}", String::from_utf8_lossy(&said)), right);
    }
    (became, right)
}

fn chain(error: &LoadError) -> String {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        said.push_str(&format!(": {error}"));
        cause = error.source();
    }
    said
}

/// Builds a component of this workspace; cargo's own lock makes other processes wait.
fn built(package: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("..");
    let built = std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--package", package, "--target", "wasm32-wasip2"])
        .args(["--profile", "plugin", "--target-dir"])
        .arg(&target)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .status();
    assert!(
        built.unwrap().success(),
        "{package} does not build; is there `rustup target add wasm32-wasip2`?"
    );
    target.join(format!("wasm32-wasip2/plugin/{}.wasm", package.replace('-', "_")))
}

/// The languages that there are guests in.
fn guests() -> Vec<(&'static str, PathBuf)> {
    let mut guests = vec![("Rust", built("fireguard-test-guest"))];
    for (language, folder) in
        [("Python", "../tests/guests/python"), ("JavaScript", "../tests/guests/javascript")]
    {
        match plugins::component(folder) {
            Ok(component) => guests.push((language, component)),
            Err(why) => println!("skipped: {language}: {why}"),
        }
    }
    guests
}

fn exchange() -> Exchange {
    Exchange { id: "x".into(), route: "r".into(), interaction: "read".into(), extras: Vec::new() }
}

//! What a plugin may use of the host, with and without a grant.

use std::io;
use std::sync::{Arc, Mutex};

use fireguard_plugin_host::{Grants, Plugin, PluginSpec, PseudonymGrant};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tracing_subscriber::fmt::MakeWriter;

use crate::guests::{MARKER, answer, engine, load, spec};

const KEY: &str = "c2a4b51b0f8e2f9d3ab7a6f4e1d0c9b8";

async fn granted(settings: Value) -> Plugin {
    let pseudonym = PseudonymGrant {
        key: KEY.to_owned().into(),
        project: "study-7".into(),
        date_range_days: PseudonymGrant::DATE_RANGE_DAYS,
        open: true,
    };
    let grants = Grants { pseudonym: Some(pseudonym), ..Grants::default() };
    Plugin::load(engine(), PluginSpec { grants, ..spec(settings) }).await.unwrap()
}

fn hmac(key: &[u8], message: &str) -> [u8; 32] {
    let mut mac: Hmac<Sha256> = Hmac::new_from_slice(key).unwrap();
    mac.update(message.as_bytes());
    mac.finalize().into_bytes().into()
}

fn token(message: &str) -> String {
    hmac(KEY.as_bytes(), message).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The contract's mapping, for digests whose first word is not rejected (all but one in ten million).
fn offset(patient: &str) -> i64 {
    let key = Sha256::digest(["fireguard date offsets\0", KEY].concat());
    let digest = hmac(&key, &format!("study-7\0{patient}"));
    let drawn = u32::from_be_bytes(digest[..4].try_into().unwrap());
    let days = i64::from(drawn % 364) - 182;
    if days < 0 { days } else { days + 1 }
}

#[tokio::test]
async fn without_a_grant_every_call_names_the_missing_one() {
    for act in ["tokens", "offsets"] {
        let plugin = load(json!({ "act": act, "values": ["a"] })).await;
        let text = answer(&plugin).await;
        assert!(text.starts_with("Err("), "{text}");
        assert!(text.contains("[plugins.guest.grants.pseudonym]"), "{text}");
    }
}

#[tokio::test]
async fn tokens_and_offsets_are_those_of_the_contract() {
    let values = ["123", "", "Jürgen", "Patient/123"];
    let plugin = granted(json!({ "act": "tokens", "values": values })).await;
    assert_eq!(answer(&plugin).await, format!("Ok({:?})", values.map(token)));

    let plugin = granted(json!({ "act": "tokens", "values": values, "domain": "ids" })).await;
    let expected = values.map(|value| token(&format!("ids\0{value}")));
    assert_eq!(answer(&plugin).await, format!("Ok({expected:?})"));

    let plugin = granted(json!({ "act": "offsets", "values": values })).await;
    assert_eq!(answer(&plugin).await, format!("Ok({:?})", values.map(offset)));
}

#[tokio::test]
async fn the_key_stays_in_the_host() {
    let plugin = granted(json!({})).await;
    assert!(!format!("{plugin:?}").contains(KEY));
}

#[tokio::test]
async fn long_lists_are_answered_in_turns_and_too_long_ones_refused() {
    for (times, expected) in [(65_536, "Ok("), (65_537, "Err(Error { code: \"too-much\"")] {
        let plugin = granted(json!({ "act": "tokens", "values": ["a"], "times": times })).await;
        let text = answer(&plugin).await;
        assert!(text.starts_with(expected), "{times}");
        assert_eq!(text.matches(&token("a")).count(), if times == 65_536 { times } else { 0 });
    }
}

#[tokio::test]
async fn there_are_no_files_no_network_and_no_environment() {
    let plugin = load(json!({ "act": "surroundings" })).await;
    let text = answer(&plugin).await;
    assert_eq!(text.lines().count(), 12);
    for line in text.lines() {
        assert!(line.ends_with(": none"), "{line}");
    }
}

#[tokio::test]
async fn there_are_clocks_a_seed_and_an_output() {
    let (guard, log) = logged();
    let plugin = load(json!({ "act": "allowed" })).await;
    assert_eq!(answer(&plugin).await, "2 true true");
    drop(guard);
    let outputs = log.records("output");
    let [output] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!(output["level"], "DEBUG");
    let text = output["fields"]["text"].as_str().unwrap();
    assert!(text.starts_with(MARKER) && text.len() <= 4096, "{} bytes", text.len());
}

#[tokio::test]
async fn the_text_of_a_panic_goes_to_the_debug_log_only() {
    let (guard, log) = logged();
    let plugin = load(json!({ "act": "panic" })).await;
    let asked = plugin
        .session()
        .process(
            &crate::guests::exchange("x-17"),
            fireguard_plugin_host::Direction::ToClient,
            &crate::guests::items(&[bytes::Bytes::from_static(b"{}")]),
        )
        .await;
    drop(guard);
    assert!(asked.is_err());
    let mut outputs = log.records("");
    outputs.retain(|record| record.to_string().contains(MARKER));
    let [output] = &outputs[..] else { panic!("{outputs:?}") };
    assert_eq!((&output["level"], &output["fields"]["request_id"]), (&json!("DEBUG"), &json!("x-17")));
}

#[tokio::test]
async fn log_lines_are_marked_cut_and_counted() {
    let cases = [(0, 1, 0), (99, 100, 0), (10_000, 100, 9_901)];
    for (lines, written, cut) in cases {
        let (guard, log) = logged();
        let plugin = load(json!({ "act": "log", "lines": lines })).await;
        crate::guests::outcome(&plugin, &bytes::Bytes::from_static(b"{}")).await;
        drop(guard);
        let mut records = log.records("");
        records.retain(|record| record["target"] == "fireguard::plugin");
        if cut > 0 {
            assert_eq!(records.pop().unwrap()["fields"]["cut"], cut, "{lines}");
        }
        assert_eq!(records.len(), written, "{lines}");
        for record in &records {
            assert_eq!(record["fields"]["plugin"], "guest");
            assert_eq!(record["fields"]["request_id"], "x");
        }
        if cut == 0 {
            let last = records.last().unwrap();
            let text = last["fields"]["message"].as_str().unwrap();
            assert_eq!(last["level"], "WARN");
            assert!(text.starts_with("forged yyy") && text.len() == 1024, "{} bytes", text.len());
        }
    }
}

/// Collects this thread's log for as long as the guard lives.
fn logged() -> (tracing::subscriber::DefaultGuard, Log) {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(log.clone())
        .finish();
    (tracing::subscriber::set_default(subscriber), log)
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// The records with this message; all, without one.
    fn records(&self, message: &str) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.filter(|record| message.is_empty() || record["fields"]["message"] == message).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

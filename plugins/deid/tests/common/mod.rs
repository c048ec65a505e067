//! What the tests share.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests; no file calls all of them"
)]

use fireguard_deid::{Engine, config};
use fireguard_sdk::{File, Host, Problem, Verdict};
use serde_json::Value;

/// An engine for a configuration, or what is wrong with it.
pub(crate) fn load(rules: &str) -> Result<Engine, Vec<Problem>> {
    let file = File { name: "rules".into(), path: "rules.json".into(), content: rules.as_bytes().to_vec() };
    config::read(&file).map(Engine::new)
}

/// De-identifies one resource.
pub(crate) fn run(engine: &mut Engine, host: &dyn Host, resource: &str) -> String {
    let resource = resource.as_bytes().to_vec();
    let verdict = engine.process(host, std::slice::from_ref(&resource)).remove(0);
    String::from_utf8(applied(&verdict, &resource)).unwrap()
}

/// The resource after its verdict.
pub(crate) fn applied(verdict: &Verdict, resource: &[u8]) -> Vec<u8> {
    match verdict {
        Verdict::Keep => resource.to_vec(),
        Verdict::Replace(bytes) => bytes.clone(),
        other => panic!("{other:?}"),
    }
}

/// A configuration of these rules.
pub(crate) fn rules(rules: &[(&str, &str)], parameters: Value) -> String {
    let rules: Vec<_> =
        rules.iter().map(|(path, method)| serde_json::json!({"path": path, "method": method})).collect();
    serde_json::json!({"fhirPathRules": rules, "parameters": parameters}).to_string()
}

//! A plugin that does whatever its settings say, however hostile, for the tests of the host.
//!
//! The settings are `{"act": NAME, …}`; the acts are in [`acts`]. It is written without the SDK, so that it
//! can break every rule of the contract. For other targets than WebAssembly the crate is empty.
#![cfg(target_family = "wasm")]
#![expect(
    missing_docs,
    unsafe_code,
    reason = "the bindings of a component are generated functions with a C interface"
)]

mod acts;
mod capabilities;
mod phases;

use std::cell::RefCell;

use serde_json::Value;

wit_bindgen::generate!({ path: "../../wit/plugin.wit", world: "plugin" });

use exports::fireguard::plugin::{ingest, request, resources, setup, written};
use fireguard::plugin::types::{Direction, Exchange};

struct Guest;

thread_local! {
    static SETTINGS: RefCell<Value> = const { RefCell::new(Value::Null) };
}

impl setup::Guest for Guest {
    fn configure(settings: String, files: Vec<setup::File>) -> Result<setup::Plan, Vec<setup::Problem>> {
        let settings: Value = serde_json::from_str(&settings).unwrap();
        let plan = acts::configure(&settings, &files);
        SETTINGS.set(settings);
        plan
    }
}

impl request::Guest for Guest {
    fn process(exchange: Exchange, head: request::Head) -> request::Action {
        SETTINGS.with_borrow(|settings| phases::request(settings, &exchange, head))
    }
}

impl resources::Guest for Guest {
    fn process(
        exchange: Exchange,
        direction: Direction,
        resources: Vec<resources::Item>,
    ) -> Vec<resources::Verdict> {
        SETTINGS.with_borrow(|settings| acts::process(settings, &exchange, direction, resources))
    }
}

impl written::Guest for Guest {
    fn process(events: Vec<written::Event>) -> Vec<written::Settled> {
        SETTINGS.with_borrow(|settings| phases::written(settings, &events))
    }
}

impl ingest::Guest for Guest {
    fn process(
        exchange: Exchange,
        messages: Vec<ingest::Message>,
    ) -> Vec<Result<Vec<Vec<u8>>, ingest::Problem>> {
        SETTINGS.with_borrow(|settings| phases::ingest(settings, &exchange, messages))
    }
}

export!(Guest);

//! The plugin contract (`wit/plugin.wit`) as Rust types.
//!
//! What the contract calls `verdict` and `problem` has its own public type elsewhere in this crate: the
//! generated ones print the bytes of a resource with `{:?}`.

#[expect(missing_docs, reason = "the WIT leaves the fields of `extra` to their names")]
mod generated {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "resource-plugin",
        imports: { default: async },
        exports: { default: async },
        additional_derives: [PartialEq, Eq],
    });
}

pub use generated::exports::fireguard::plugin::setup::Plan;
pub use generated::fireguard::plugin::types::{Direction, Exchange, Extra, Refusal};

pub(crate) use generated::exports::fireguard::plugin::resources as wire;
pub(crate) use generated::exports::fireguard::plugin::setup;
pub(crate) use generated::fireguard::plugin::{log, pseudonym, types};
pub(crate) use generated::{ResourcePlugin, ResourcePluginPre};

/// The interfaces that a plugin must export.
pub(crate) const EXPORTS: [&str; 2] = ["fireguard:plugin/setup@0.1.0", "fireguard:plugin/resources@0.1.0"];

/// The interfaces of the contract that a plugin may import, without their version.
pub(crate) const IMPORTS: [&str; 3] =
    ["fireguard:plugin/types", "fireguard:plugin/pseudonym", "fireguard:plugin/log"];

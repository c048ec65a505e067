//! The plugin contract (`wit/plugin.wit`) as Rust types.
//!
//! What the guest imports is generated. What it exports is written here, one file for each phase: the generated calls
//! would copy every resource into a vector of its own, want every phase to be there, and print what patients sent with
//! `{:?}`.

mod exports;
pub(crate) mod ingest;
pub(crate) mod request;
pub(crate) mod resources;
pub(crate) mod setup;
pub(crate) mod written;

#[expect(missing_docs, reason = "the contract leaves some fields to their names")]
mod generated {
    wasmtime::component::bindgen!({
        path: "../../wit/plugin.wit",
        world: "capabilities",
        imports: { default: async },
        additional_derives: [PartialEq, Eq],
    });
}

pub use exports::{Phase, Phases};
pub use generated::fireguard::plugin::types::{Direction, Exchange, Field, Refusal};
pub use ingest::{Message, MessageProblem};
pub use request::{Action, Answer, Head};
pub use resources::Item;
pub use setup::{Interest, Plan};
pub use written::{Event, Settled};

pub(crate) use exports::{Exports, checked_function, function, version};
pub(crate) use generated::fireguard::plugin::types::Error;
pub(crate) use generated::fireguard::plugin::{
    fhir_client, http_out, key_value, log, metrics, object_store, pseudonym, terminology, types,
};

/// The versions of the contract that the host serves. A component says which one it was built for in the names of its
/// exports.
pub(crate) const VERSIONS: [&str; 1] = ["0.1.0"];

/// What the names of the contract's interfaces begin with.
pub(crate) const PACKAGE: &str = "fireguard:plugin/";

/// The interfaces of the contract that a plugin may import, without package and version.
pub(crate) const IMPORTS: [&str; 9] = [
    "types",
    "log",
    "metrics",
    "pseudonym",
    "key-value",
    "terminology",
    "fhir-client",
    "object-store",
    "http-out",
];

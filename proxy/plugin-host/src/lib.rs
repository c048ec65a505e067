//! The wasmtime host of Fireguard plugins: engine, phases, capabilities, limits.
//!
//! A plugin is a WebAssembly component that exports the interfaces of `wit/plugin.wit`. [`Plugin::load`]
//! compiles it, checks it and hands it its settings; [`Plugin::session`] opens one exchange; and the session's calls, one
//! for each phase, ask it what becomes of a request, of the resources of a body, of writes, of messages.
//!
//! ```no_run
//! # async fn demo() -> Result<(), Box<dyn std::error::Error>> {
//! use fireguard_plugin_host::{Direction, Engine, EngineConfig, Exchange, Item, Outcome, Plugin, PluginSpec};
//!
//! let engine = Engine::new(EngineConfig::default())?;
//! let plugin = Plugin::load(&engine, PluginSpec::new("deid", "deid.wasm")).await?;
//! let exchange = Exchange {
//!     id: "018f".to_owned(),
//!     route: "research".to_owned(),
//!     interaction: "read".to_owned(),
//!     extras: Vec::new(),
//! };
//! let resource = bytes::Bytes::from_static(br#"{"resourceType":"Patient"}"#);
//! let mut session = plugin.session();
//! for verdict in session.process(&exchange, Direction::ToClient, &[Item::new(resource.clone())]).await? {
//!     match verdict.apply(&resource)? {
//!         Outcome::Unchanged => { /* pass the resource on */ }
//!         Outcome::Changed(_bytes) => { /* pass these bytes on */ }
//!         Outcome::Dropped => { /* leave it out */ }
//!         Outcome::Refused(_why) => { /* refuse the exchange */ }
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! What holds whatever a plugin does: it sees only what a call hands it and the capabilities it was
//! granted; it cannot keep a thread, since it yields every [`TICK`]; CPU time, wall time and memory end at
//! its [`Limits`]; and no text of its own reaches an error. After any failure the instance is thrown away.

#![deny(unsafe_code)]

mod cache;
mod capability;
mod clock;
mod contract;
mod engine;
mod error;
mod host;
mod inspect;
mod instance;
mod plan;
mod plugin;
mod pool;
mod session;
mod spec;
mod template;
mod verdict;

pub use capability::fhir_client::{
    By, FhirAnswer, FhirAnswers, FhirClient, FhirClientGrant, FhirFault, FhirRequest,
};
pub use capability::grant::GrantFault;
pub use capability::http_out::{HttpOutFault, HttpOutGrant};
pub use capability::key::{Secret, WeakKey};
pub use capability::key_value::{Kept, KeyValueEntry, KeyValueFault, KeyValueGrant, KeyValueStore};
pub use capability::object_store::{
    Directory, DirectoryFault, Object, ObjectStore, ObjectStoreGrant, StoreFault, Stored, is_object_name,
};
pub use capability::pseudonym::{PseudonymFault, PseudonymGrant};
pub use capability::terminology::{MapFault, TerminologyGrant};
pub use clock::TICK;
pub use contract::{
    Action, Answer, Direction, Event, Exchange, Field, Head, Interest, Item, Message, MessageProblem, Phase,
    Phases, Plan, Refusal, Settled,
};
pub use engine::{Allocation, Engine, EngineConfig, EngineError};
pub use error::{CallError, LoadError, Problem};
pub use inspect::{Inspection, Parts, inspect};
pub use plugin::Plugin;
pub use session::{Ingested, Session, Stats};
pub use spec::{Grants, Instances, Limits, NamedFile, OnFailure, PluginSpec, Reuse, Source};
pub use verdict::{BadVerdict, Edit, Outcome, Verdict};

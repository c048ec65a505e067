//! Capability: figures under the plugin's name. It needs no grant, since it is bounded.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker};

use crate::contract::metrics;
use crate::host::HostState;

/// Adds `fireguard:plugin/metrics`.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    metrics::add_to_linker::<HostState, Metrics>(linker, |host| &mut host.capabilities.metrics)
}

/// The state of one instance of the plugin `name`.
pub(crate) fn prepare(name: &Arc<str>) -> State {
    State { plugin: Arc::clone(name) }
}

/// Names the state's type for wasmtime.
pub(crate) struct Metrics;

impl HasData for Metrics {
    type Data<'a> = &'a mut State;
}

/// Whose figures they are.
pub(crate) struct State {
    plugin: Arc<str>,
}

impl metrics::Host for State {
    async fn count(&mut self, name: String, by: u64) {
        tracing::trace!(target: "fireguard::plugin", plugin = &*self.plugin, name, by, "count");
    }

    async fn observe(&mut self, name: String, value: f64) {
        tracing::trace!(target: "fireguard::plugin", plugin = &*self.plugin, name, value, "observe");
    }
}

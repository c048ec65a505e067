//! Capability: translation of codes.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker};

use crate::capability::not_granted;
use crate::contract::{Error, terminology};
use crate::host::HostState;

/// Adds `fireguard:plugin/terminology`.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    terminology::add_to_linker::<HostState, Terminology>(linker, |host| &mut host.capabilities.terminology)
}

/// The state of one instance of the plugin `name`.
pub(crate) fn prepare(name: &Arc<str>) -> State {
    State { plugin: Arc::clone(name) }
}

/// Names the state's type for wasmtime.
pub(crate) struct Terminology;

impl HasData for Terminology {
    type Data<'a> = &'a mut State;
}

/// Refuses: there is no grant.
pub(crate) struct State {
    plugin: Arc<str>,
}

impl State {
    fn refusal(&self) -> Error {
        not_granted(&self.plugin, "terminology")
    }
}

impl terminology::Host for State {
    async fn translate(
        &mut self,
        _: String,
        _: Vec<terminology::Coding>,
    ) -> Result<Vec<Vec<terminology::Match>>, Error> {
        Err(self.refusal())
    }
}

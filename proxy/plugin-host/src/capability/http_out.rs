//! Capability: HTTP requests to granted hosts.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker};

use crate::capability::not_granted;
use crate::contract::{Error, http_out};
use crate::host::HostState;

/// Adds `fireguard:plugin/http-out`.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    http_out::add_to_linker::<HostState, HttpOut>(linker, |host| &mut host.capabilities.http_out)
}

/// The state of one instance of the plugin `name`.
pub(crate) fn prepare(name: &Arc<str>) -> State {
    State { plugin: Arc::clone(name) }
}

/// Names the state's type for wasmtime.
pub(crate) struct HttpOut;

impl HasData for HttpOut {
    type Data<'a> = &'a mut State;
}

/// Refuses: there is no grant.
pub(crate) struct State {
    plugin: Arc<str>,
}

impl State {
    fn refusal(&self) -> Error {
        not_granted(&self.plugin, "http_out")
    }
}

impl http_out::Host for State {
    async fn send(&mut self, _: http_out::Request) -> Result<http_out::Response, Error> {
        Err(self.refusal())
    }
}

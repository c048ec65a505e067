//! Capability: values that outlive the instance.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker};

use crate::capability::not_granted;
use crate::contract::{Error, key_value};
use crate::host::HostState;

/// Adds `fireguard:plugin/key-value`.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    key_value::add_to_linker::<HostState, KeyValue>(linker, |host| &mut host.capabilities.key_value)
}

/// The state of one instance of the plugin `name`.
pub(crate) fn prepare(name: &Arc<str>) -> State {
    State { plugin: Arc::clone(name) }
}

/// Names the state's type for wasmtime.
pub(crate) struct KeyValue;

impl HasData for KeyValue {
    type Data<'a> = &'a mut State;
}

/// Refuses: there is no grant.
pub(crate) struct State {
    plugin: Arc<str>,
}

impl State {
    fn refusal(&self) -> Error {
        not_granted(&self.plugin, "key_value")
    }
}

impl key_value::Host for State {
    async fn get(&mut self, _: Vec<String>) -> Result<Vec<Option<Vec<u8>>>, Error> {
        Err(self.refusal())
    }

    async fn set(&mut self, _: Vec<key_value::Entry>) -> Result<(), Error> {
        Err(self.refusal())
    }

    async fn delete(&mut self, _: Vec<String>) -> Result<(), Error> {
        Err(self.refusal())
    }

    async fn swap(&mut self, _: key_value::Entry, _: Option<Vec<u8>>) -> Result<bool, Error> {
        Err(self.refusal())
    }
}

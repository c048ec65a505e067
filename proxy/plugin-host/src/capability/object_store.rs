//! Capability: objects in a place of the operator.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker};

use crate::capability::not_granted;
use crate::contract::{Error, Field, object_store};
use crate::host::HostState;

/// Adds `fireguard:plugin/object-store`.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    object_store::add_to_linker::<HostState, ObjectStore>(linker, |host| &mut host.capabilities.object_store)
}

/// The state of one instance of the plugin `name`.
pub(crate) fn prepare(name: &Arc<str>) -> State {
    State { plugin: Arc::clone(name) }
}

/// Names the state's type for wasmtime.
pub(crate) struct ObjectStore;

impl HasData for ObjectStore {
    type Data<'a> = &'a mut State;
}

/// Refuses: there is no grant.
pub(crate) struct State {
    plugin: Arc<str>,
}

impl State {
    fn refusal(&self) -> Error {
        not_granted(&self.plugin, "object_store")
    }
}

impl object_store::Host for State {
    async fn put(&mut self, _: String, _: Vec<u8>, _: Vec<Field>) -> Result<(), Error> {
        Err(self.refusal())
    }

    async fn get(&mut self, _: String) -> Result<Option<Vec<u8>>, Error> {
        Err(self.refusal())
    }

    async fn delete(&mut self, _: String) -> Result<(), Error> {
        Err(self.refusal())
    }

    async fn names(&mut self, _: String, _: String) -> Result<Vec<String>, Error> {
        Err(self.refusal())
    }
}

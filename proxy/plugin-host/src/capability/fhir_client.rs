//! Capability: requests to the FHIR server.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker};

use crate::capability::not_granted;
use crate::contract::{Error, fhir_client};
use crate::host::HostState;

/// Adds `fireguard:plugin/fhir-client`.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    fhir_client::add_to_linker::<HostState, FhirClient>(linker, |host| &mut host.capabilities.fhir_client)
}

/// The state of one instance of the plugin `name`.
pub(crate) fn prepare(name: &Arc<str>) -> State {
    State { plugin: Arc::clone(name) }
}

/// Names the state's type for wasmtime.
pub(crate) struct FhirClient;

impl HasData for FhirClient {
    type Data<'a> = &'a mut State;
}

/// Refuses: there is no grant.
pub(crate) struct State {
    plugin: Arc<str>,
}

impl State {
    fn refusal(&self) -> Error {
        not_granted(&self.plugin, "fhir_client")
    }
}

impl fhir_client::Host for State {
    async fn send(
        &mut self,
        requests: Vec<fhir_client::Request>,
    ) -> Vec<Result<fhir_client::Response, Error>> {
        requests.iter().map(|_| Err(self.refusal())).collect()
    }
}

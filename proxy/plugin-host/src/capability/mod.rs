//! What a plugin may use of the host: one file for each capability.
//!
//! Every capability has the same four moments. *link* adds it to the linker, for every plugin alike.
//! *validate* checks a grant when a plugin is loaded. *prepare* makes the state of one instance. The *state*
//! answers the guest's calls; without a grant it is a stand-in that refuses, because languages with a
//! runtime import everything the contract has, whether they use it or not.

use wasmtime::component::Linker;

use crate::contract::types;
use crate::host::HostState;

pub(crate) mod key;
pub(crate) mod log;
pub(crate) mod pseudonym;
pub(crate) mod wasi;

/// Links every capability.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    // Only types: nothing answers, and some components import it all the same.
    types::add_to_linker::<HostState, log::Log>(linker, |host| &mut host.log)?;
    log::link(linker)?;
    pseudonym::link(linker)?;
    wasi::link(linker)
}

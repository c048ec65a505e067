//! Capability: objects in a place of the operator.

mod directory;
mod name;
mod store;

use std::sync::Arc;

use wasmtime::component::{HasData, Linker};

use self::name::is_prefix;
use super::error;
use super::grant::{Allowance, Held};
use crate::contract::{Error, Field, object_store};
use crate::host::HostState;

pub use self::directory::{Directory, DirectoryFault};
pub use self::name::is_object_name;
pub use self::store::{Object, ObjectStore, StoreFault, Stored};

/// The largest object. It is all there at once, here and in the guest.
const OBJECT_BYTES: usize = 16 << 20;
/// Names in one answer, as the contract says.
const NAMES: usize = 1000;
/// Questions in one call of the guest.
const QUESTIONS: u32 = 256;

/// `[plugins.<name>.grants.object_store]`.
#[derive(Debug)]
pub struct ObjectStoreGrant {
    /// What keeps them.
    pub store: Arc<dyn ObjectStore>,
}

/// Adds `fireguard:plugin/object-store`.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    object_store::add_to_linker::<HostState, Objects>(linker, |host| &mut host.capabilities.object_store)
}

/// The state of one instance of the plugin `name`.
pub(crate) fn prepare(granted: Option<&Arc<ObjectStoreGrant>>, name: &Arc<str>) -> State {
    State { granted: Held::new(name, "object_store", granted), questions: Allowance::new(QUESTIONS) }
}

/// Names the state's type for wasmtime.
pub(crate) struct Objects;

impl HasData for Objects {
    type Data<'a> = &'a mut State;
}

/// Answers the guest.
pub(crate) struct State {
    granted: Held<ObjectStoreGrant>,
    questions: Allowance,
}

impl State {
    pub(crate) fn begin_call(&mut self) {
        self.questions.begin_call();
    }

    fn store(&mut self) -> Result<&dyn ObjectStore, Error> {
        let granted = self.granted.get()?;
        self.questions.take()?;
        Ok(&*granted.store)
    }
}

impl object_store::Host for State {
    async fn put(&mut self, name: String, content: Vec<u8>, _: Vec<Field>) -> Result<(), Error> {
        let store = self.store()?;
        named(&name)?;
        if content.len() > OBJECT_BYTES {
            return Err(error("too-much", format!("an object has {OBJECT_BYTES} bytes at most")));
        }
        store.put(Object { name, content }).await.map_err(refused)
    }

    async fn get(&mut self, name: String) -> Result<Option<Vec<u8>>, Error> {
        let store = self.store()?;
        named(&name)?;
        store.get(name, OBJECT_BYTES as u64).await.map_err(refused)
    }

    async fn delete(&mut self, name: String) -> Result<(), Error> {
        let store = self.store()?;
        named(&name)?;
        store.delete(name).await.map_err(refused)
    }

    async fn names(&mut self, prefix: String, after: String) -> Result<Vec<String>, Error> {
        let store = self.store()?;
        if !is_prefix(&prefix) || !is_prefix(&after) {
            return Err(error("invalid", "no name of an object begins so"));
        }
        store.names(prefix, after, NAMES).await.map_err(refused)
    }
}

fn named(name: &str) -> Result<(), Error> {
    let message = "a name has segments of letters, digits, '.', '-', '_' and '=' that do not begin with '.', up to \
                   512 bytes";
    if is_object_name(name) { Ok(()) } else { Err(error("invalid", message)) }
}

fn refused(fault: StoreFault) -> Error {
    let code = match fault {
        StoreFault::Full { .. } | StoreFault::TooLarge { .. } => "too-much",
        StoreFault::IsFolder | StoreFault::IsObject => "invalid",
        StoreFault::Outside => "denied",
        StoreFault::Unavailable => "unavailable",
    };
    error(code, fault.to_string())
}

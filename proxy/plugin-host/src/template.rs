//! A plugin as its configuration leaves it, made into a component of its own.
//!
//! A fresh instance for each exchange would read its settings each time: rules of de-identification take twenty times
//! as long to read as the instance to make. So the plugin is configured once more when it is loaded, with its memory
//! in view; what stands there afterwards becomes the initial memory of a second component, and instances are made of
//! that.
//!
//! What could differ from one instance to the next must not be in it. While it is made, capabilities trap, but for the
//! log: a plugin that asks them while it is configured is configured anew for each instance. So is one that holds
//! streams or other handles of the host. What remains the same for all are the seeds of hash maps drawn so far.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{self, Component, InstancePre, Lift, Linker, WasmList};
use wasmtime::{Error, Result, Store};
use wasmtime_wizer::{ComponentInstanceState, Wizer};

use crate::cache::aside;
use crate::capability;
use crate::contract::{Exports, PACKAGE, Plan};
use crate::engine::Allocation;
use crate::host::HostState;
use crate::instance::Instance;
use crate::plugin::{Loaded, place};

/// Any other change of what a template is made from changes the key by itself.
const FORMAT: &[u8] = b"template 1";

/// Bytes of the largest component that is compiled a second time. An interpreter takes a quarter of a minute to compile,
/// for each change of its settings, and reads them in less time than it starts.
const LARGEST: usize = 4 << 20;

/// The same plugin with instances that need not be configured, where that is possible. `component` is what it was
/// compiled from, `plan` what it answered.
pub(crate) async fn applied(loaded: Arc<Loaded>, component: Bytes, plan: &Plan) -> Arc<Loaded> {
    // An engine without a pool is for what is too large for one.
    let fits = loaded.allocation == Allocation::Pooled && component.len() <= LARGEST;
    if !fits || !loaded.engine.makes_templates() {
        return loaded;
    }
    let (plain, plan, handle) = (Arc::clone(&loaded), plan.clone(), Handle::current());
    let made = tokio::task::spawn_blocking(move || handle.block_on(make(&plain, &component, &plan)));
    let tried = match made.await {
        Ok(Ok((pre, exports))) => match Arc::try_unwrap(loaded) {
            Ok(loaded) => Ok(Arc::new(Loaded { pre, exports, configured: true, ..loaded })),
            Err(loaded) => Err((loaded, Error::msg("it is in use"))),
        },
        Ok(Err(error)) => Err((loaded, error)),
        Err(error) => Err((loaded, error.into())),
    };
    match tried {
        Ok(template) => template,
        Err((loaded, error)) => {
            let plugin = &*loaded.name;
            tracing::debug!(plugin, error = format!("{error:#}"), "each instance is configured anew");
            loaded
        }
    }
}

type Made = (InstancePre<HostState>, Exports);

async fn make(loaded: &Arc<Loaded>, component: &[u8], plan: &Plan) -> Result<Made> {
    let engine = &loaded.engine;
    let key = key(loaded);
    let known = engine
        .cache()
        .find(&key, &loaded.name)
        .and_then(|compiled| fit(loaded, place(engine, &compiled).ok()?));
    let made = match known {
        Some(made) => made,
        None => {
            let snapshot = snapshot(loaded, component, plan).await?;
            let compiled = engine.cache().recompile(&engine.on_demand().engine, &snapshot, &key)?;
            fit(loaded, place(engine, &compiled)?).ok_or_else(|| Error::msg("it does not fit the pool"))?
        }
    };
    checked(loaded, &made).await?;
    Ok(made)
}

/// Makes one instance: a start function may not be made to run a second time. Its functions must be what they were.
async fn checked(loaded: &Loaded, (pre, exports): &Made) -> Result<()> {
    let mut store = Instance::store(loaded, pre.engine());
    let instance = pre.instantiate_async(&mut store).await?;
    Ok(exports.check(&mut store, &instance)?)
}

/// Templates of one plugin with other settings are others.
fn key(loaded: &Loaded) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |part: &[u8]| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    add(FORMAT);
    add(loaded.digest.as_bytes());
    add(loaded.settings.as_bytes());
    for file in &loaded.files {
        add(file.name.as_bytes());
        add(file.path.as_bytes());
        add(&file.content);
    }
    hash.finalize().into()
}

fn fit(loaded: &Loaded, (component, backend): (Component, &crate::engine::Backend)) -> Option<Made> {
    let pre = (backend.allocation == loaded.allocation).then(|| backend.linker.instantiate_pre(&component));
    Some((pre?.ok()?, Exports::find(&component).ok()?))
}

/// Configures an instance and takes its picture.
async fn snapshot(loaded: &Arc<Loaded>, component: &[u8], plan: &Plan) -> Result<Vec<u8>> {
    let wizer = Wizer::new();
    let (context, instrumented) = wizer.instrument_component(component)?;
    let engine = &loaded.engine.on_demand().engine;
    let instrumented = aside(|| Component::new(engine, instrumented))?;
    let mut linker = Linker::new(engine);
    capability::link_for_template(&mut linker)?;
    trap_capabilities(&mut linker, &instrumented)?;
    let mut store = Instance::store(loaded, engine);
    let pre = linker.instantiate_pre(&instrumented)?;
    let exports = Exports::find(&instrumented)?;
    let (instance, configured) = Instance::configure(loaded, &mut store, &pre, &exports).await?;
    if configured.ok().as_ref() != Some(plan) {
        return Err(Error::msg("its second plan is not its first"));
    }
    if !store.data().wasi.is_empty() {
        return Err(Error::msg("it holds handles of the host"));
    }
    // Reading the memory runs code as well, but none of the plugin's.
    store.set_epoch_deadline(u64::MAX / 2);
    let mut view = View { store, instance, fault: None };
    let snapshot = wizer.snapshot_component(&context, &mut view).await?;
    view.fault.map_or(Ok(snapshot), Err)
}

/// Puts a trap where the component imports a capability that is not linked. (wasmtime's own way to do so knows no
/// versions: it would put traps in the place of an older WASI as well.)
fn trap_capabilities(linker: &mut Linker<HostState>, component: &Component) -> Result<()> {
    let engine = component.engine();
    for (name, item) in component.component_type().imports(engine) {
        let ComponentItem::ComponentInstance(interface) = item.ty else { continue };
        let linked = |kept: &&str| name.strip_prefix(PACKAGE).is_some_and(|rest| rest.starts_with(*kept));
        if !name.starts_with(PACKAGE) || ["types@", "log@"].iter().any(linked) {
            continue;
        }
        let mut traps = linker.instance(name)?;
        for (function, item) in interface.exports(engine) {
            if matches!(item.ty, ComponentItem::ComponentFunc(_)) {
                traps.func_new(function, |_, _, _, _| Err(Error::msg("asked while it is configured")))?;
            }
        }
    }
    Ok(())
}

/// Reads an instance through the functions that the instrumented component has for it.
struct View {
    store: Store<HostState>,
    instance: component::Instance,
    /// The trait has no place for it.
    fault: Option<Error>,
}

impl View {
    async fn call<R, T>(
        &mut self,
        interface: &str,
        name: &str,
        take: impl FnOnce(&Store<HostState>, R) -> T,
    ) -> Option<T>
    where
        R: Lift + Send + Sync + 'static,
    {
        match self.called(interface, name).await {
            Ok(answer) => Some(take(&self.store, answer)),
            Err(fault) => {
                self.fault = Some(fault);
                None
            }
        }
    }

    async fn called<R: Lift + Send + Sync + 'static>(&mut self, interface: &str, name: &str) -> Result<R> {
        let View { store, instance, .. } = self;
        let missing = || Error::msg("the instrumented component lacks a function");
        let interface = instance.get_export_index(&mut *store, None, interface).ok_or_else(missing)?;
        let function = instance.get_export_index(&mut *store, Some(&interface), name).ok_or_else(missing)?;
        let function = instance.get_typed_func::<(), (R,)>(&mut *store, function)?;
        let (answer,) = function.call_async(&mut *store, ()).await?;
        Ok(answer)
    }
}

impl ComponentInstanceState for View {
    async fn call_func_ret_list_u8(
        &mut self,
        interface: &str,
        name: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        self.call(interface, name, |store, list: WasmList<u8>| contents(list.as_le_slice(store))).await;
    }

    async fn call_func_ret_s32(&mut self, interface: &str, name: &str) -> i32 {
        self.call(interface, name, |_, value| value).await.unwrap_or_default()
    }

    async fn call_func_ret_s64(&mut self, interface: &str, name: &str) -> i64 {
        self.call(interface, name, |_, value| value).await.unwrap_or_default()
    }

    async fn call_func_ret_f32(&mut self, interface: &str, name: &str) -> u32 {
        self.call(interface, name, |_, value: f32| value.to_bits()).await.unwrap_or_default()
    }

    async fn call_func_ret_f64(&mut self, interface: &str, name: &str) -> u64 {
        self.call(interface, name, |_, value: f64| value.to_bits()).await.unwrap_or_default()
    }
}

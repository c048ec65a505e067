//! One instance of a plugin: a store, its slot, and the guarded calls into it.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use wasmtime::Store;

use crate::capability::{log, pseudonym, wasi};
use crate::clock::{Meter, on_tick};
use crate::contract::{Direction, Exchange, Plan, ResourcePlugin, setup, wire};
use crate::error::CallError;
use crate::host::{HostState, MemoryLimit};
use crate::plugin::Loaded;
use crate::spec::Limits;

/// An instance that has been configured. After a failed call it is of no use: the guest may have stopped
/// halfway through anything.
pub(crate) struct Instance {
    store: Store<HostState>,
    guest: ResourcePlugin,
    limits: Limits,
    /// Given back after the store is gone: fields are dropped in this order.
    _slot: OwnedSemaphorePermit,
}

/// What the guest answered to its settings.
pub(crate) type Configured = Result<Plan, Vec<setup::Problem>>;

impl Instance {
    /// Makes an instance and hands it its settings.
    ///
    /// # Errors
    /// [`CallError`], as any call.
    pub(crate) async fn start(plugin: &Loaded) -> Result<(Instance, Configured), CallError> {
        let slot = plugin.engine.slot(&plugin.slots).await.ok_or(CallError::Busy)?;
        let mut store = store(plugin);
        let meter = Arc::clone(&store.data().meter);
        store.data_mut().begin_call("");
        // Instantiating already runs code of the guest: the start functions of its modules.
        let call = async {
            let guest = plugin.pre.instantiate_async(&mut store).await?;
            let settings = guest.fireguard_plugin_setup();
            let configured = settings.call_configure(&mut store, &plugin.settings, &plugin.files).await?;
            Ok((guest, configured))
        };
        let answer = guarded(&meter, &plugin.limits, call).await;
        store.data_mut().end_call();
        let (guest, configured) = answer?;
        Ok((Instance { store, guest, limits: plugin.limits, _slot: slot }, configured))
    }

    /// Asks for the verdicts on `resources`; their number and fit are not checked here.
    ///
    /// # Errors
    /// [`CallError`]; the instance is to be dropped then.
    pub(crate) async fn process(
        &mut self,
        exchange: &Exchange,
        direction: Direction,
        resources: &[Bytes],
    ) -> Result<Vec<wire::Verdict>, CallError> {
        let meter = Arc::clone(&self.store.data().meter);
        let Instance { store, guest, limits, _slot } = self;
        store.data_mut().begin_call(&exchange.id);
        store.set_epoch_deadline(1);
        let resources: Vec<&[u8]> = resources.iter().map(|bytes| &bytes[..]).collect();
        let call = async {
            // The generated call would want each resource in a vector of its own.
            let process = *guest.fireguard_plugin_resources().func_process().func();
            let process =
                process.typed::<(&Exchange, Direction, &[&[u8]]), (Vec<wire::Verdict>,)>(&mut *store)?;
            let (verdicts,) = process.call_async(&mut *store, (exchange, direction, &resources)).await?;
            Ok(verdicts)
        };
        let verdicts = guarded(&meter, limits, call).await;
        store.data_mut().end_call();
        verdicts
    }
}

fn store(plugin: &Loaded) -> Store<HostState> {
    let limits = &plugin.limits;
    let host = HostState {
        log: log::prepare(Arc::clone(&plugin.name)),
        pseudonym: pseudonym::prepare(plugin.keyed.clone(), &plugin.name),
        wasi: wasi::prepare(),
        memory: MemoryLimit::new(limits.memory),
        meter: plugin.engine.clock().meter(limits.cpu_per_call),
    };
    let mut store = Store::new(plugin.pre.engine(), host);
    store.limiter(|host| &mut host.memory);
    store.epoch_deadline_callback(on_tick);
    store.set_epoch_deadline(1);
    // What the host copies out of the guest in one call, and the handles it keeps for it.
    store.set_hostcall_fuel(limits.memory);
    store.set_max_component_handles(wasi::HANDLES);
    store
}

/// Runs one call within its CPU budget and its deadline.
async fn guarded<T>(
    meter: &Meter,
    limits: &Limits,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> Result<T, CallError> {
    match tokio::time::timeout(limits.wall_per_call, meter.run(call)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(CallError::new(&error, limits.cpu_per_call, limits.memory)),
        Err(_) => Err(CallError::Wall(limits.wall_per_call)),
    }
}

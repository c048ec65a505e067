//! One instance of a plugin: a store, its slot, and the guarded calls into it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};
use wasmtime::Store;
use wasmtime::component::{self, ComponentNamedList, InstancePre, Lift, Lower};

use crate::capability::fhir_client::Lent;
use crate::capability::wasi;
use crate::clock::{Meter, on_tick};
use crate::contract::{
    Direction, Event, Exchange, Exports, Head, Item, Message, Phase, Plan, Settled, checked_function,
    function, ingest, request, resources, setup, written,
};
use crate::error::{CallError, LoadError};
use crate::host::{HostState, MemoryLimit};
use crate::plugin::Loaded;

/// An instance that has been configured. After a failed call it is of no use: the guest may have stopped
/// halfway through anything.
pub(crate) struct Instance {
    store: Store<HostState>,
    guest: component::Instance,
    plugin: Arc<Loaded>,
    born: Instant,
    /// The exchanges that it has served.
    uses: u32,
    /// Given back after the store is gone: fields are dropped in this order.
    _slot: OwnedSemaphorePermit,
}

/// What the guest answered to its settings.
pub(crate) type Configured = Result<Plan, Vec<setup::Problem>>;

impl Instance {
    /// Makes an instance that is ready for calls.
    ///
    /// # Errors
    /// [`CallError`], as any call.
    pub(crate) async fn fresh(plugin: &Arc<Loaded>) -> Result<Instance, CallError> {
        if !plugin.configured {
            let (instance, configured) = Instance::start(plugin).await?;
            return configured.map(|_| instance).map_err(|_| CallError::Settings);
        }
        let slot = plugin.engine.slot(&plugin.slots).await.ok_or(CallError::Busy)?;
        let mut store = Instance::store(plugin, plugin.pre.engine());
        // Its modules have start functions all the same.
        let guest =
            entered(plugin, &mut store, async |store| plugin.pre.instantiate_async(store).await).await?;
        Ok(Instance::new(store, guest, plugin, slot))
    }

    /// Makes an instance and hands it its settings.
    ///
    /// # Errors
    /// [`CallError`], as any call.
    pub(crate) async fn start(plugin: &Arc<Loaded>) -> Result<(Instance, Configured), CallError> {
        let slot = plugin.engine.slot(&plugin.slots).await.ok_or(CallError::Busy)?;
        let mut store = Instance::store(plugin, plugin.pre.engine());
        let (guest, configured) =
            Instance::configure(plugin, &mut store, &plugin.pre, &plugin.exports).await?;
        Ok((Instance::new(store, guest, plugin, slot), configured))
    }

    fn new(
        store: Store<HostState>,
        guest: component::Instance,
        plugin: &Arc<Loaded>,
        slot: OwnedSemaphorePermit,
    ) -> Instance {
        Instance { store, guest, plugin: Arc::clone(plugin), born: Instant::now(), uses: 0, _slot: slot }
    }

    /// Instantiates, which already runs code of the guest, and configures.
    ///
    /// # Errors
    /// [`CallError`], as any call.
    pub(crate) async fn configure(
        plugin: &Loaded,
        store: &mut Store<HostState>,
        pre: &InstancePre<HostState>,
        exports: &Exports,
    ) -> Result<(component::Instance, Configured), CallError> {
        entered(plugin, store, async |store| {
            let guest = pre.instantiate_async(&mut *store).await?;
            let configure =
                function::<setup::Configure<'_>, setup::Configured>(&mut *store, &guest, &exports.configure)?;
            let (configured,) =
                configure.call_async(&mut *store, (&plugin.settings, &plugin.files[..])).await?;
            Ok((guest, configured))
        })
        .await
    }

    /// A store for an instance in one of the engines.
    pub(crate) fn store(plugin: &Loaded, engine: &wasmtime::Engine) -> Store<HostState> {
        let limits = &plugin.limits;
        let host = HostState {
            capabilities: plugin.granted.prepare(&plugin.name),
            wasi: wasi::prepare(),
            memory: MemoryLimit::new(limits.memory, limits.table_elements),
            meter: plugin.engine.clock().meter(limits.cpu_per_call),
        };
        let mut store = Store::new(engine, host);
        store.limiter(|host| &mut host.memory);
        store.epoch_deadline_callback(on_tick);
        store.set_epoch_deadline(1);
        // What the host copies out of the guest in one call, and the handles it keeps for it.
        store.set_hostcall_fuel(limits.memory);
        store.set_max_component_handles(wasi::HANDLES);
        store
    }

    /// How long ago it was made.
    pub(crate) fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// The exchanges that it has served.
    pub(crate) fn uses(&self) -> u32 {
        self.uses
    }

    /// Bytes of memory that it has grown to.
    pub(crate) fn memory(&self) -> usize {
        self.store.data().memory.used()
    }

    /// Ends its work for one exchange: what the host keeps for it starts afresh. What the guest keeps stays.
    pub(crate) fn end_exchange(&mut self) {
        self.uses = self.uses.saturating_add(1);
        let plugin = &self.plugin;
        self.store.data_mut().capabilities = plugin.granted.prepare(&plugin.name);
    }

    /// Checks the types of all functions of the contract that the component exports.
    ///
    /// # Errors
    /// [`LoadError::Contract`].
    pub(crate) fn check(&mut self) -> Result<(), LoadError> {
        self.plugin.exports.check(&mut self.store, &self.guest)
    }

    /// The instance works for the exchange that lends this.
    pub(crate) fn lend(&mut self, lent: Option<Lent>) {
        self.store.data_mut().capabilities.fhir_client.lend(lent);
    }

    /// Asks what becomes of a request.
    ///
    /// # Errors
    /// [`CallError`], as for all calls; the instance is to be dropped then.
    pub(crate) async fn request(
        &mut self,
        exchange: &Exchange,
        head: &Head,
    ) -> Result<request::Wire, CallError> {
        let (action,): request::Processed =
            self.call::<request::Process<'_>, _>(Phase::Request, Some(exchange), (exchange, head)).await?;
        Ok(action)
    }

    /// Asks for the verdicts on `resources`; their number and fit are not checked here.
    pub(crate) async fn resources(
        &mut self,
        exchange: &Exchange,
        direction: Direction,
        resources: &[Item],
    ) -> Result<Vec<resources::Verdict>, CallError> {
        let resources: Vec<_> = resources.iter().map(Item::borrowed).collect();
        let (verdicts,): resources::Processed = self
            .call::<resources::Process<'_>, _>(
                Phase::Resources,
                Some(exchange),
                (exchange, direction, &resources[..]),
            )
            .await?;
        Ok(verdicts)
    }

    /// Tells of writes; the number of answers is not checked here.
    pub(crate) async fn written(&mut self, events: &[Event]) -> Result<Vec<Settled>, CallError> {
        let exchange = events.first().map(|event| &event.exchange);
        let events: Vec<_> = events.iter().map(Event::borrowed).collect();
        let (settled,): written::Processed =
            self.call::<written::Process<'_>, _>(Phase::Written, exchange, (&events[..],)).await?;
        Ok(settled)
    }

    /// Asks what messages become; the number of answers is not checked here.
    pub(crate) async fn ingest(
        &mut self,
        exchange: &Exchange,
        messages: &[Message],
    ) -> Result<ingest::Processed, CallError> {
        let messages: Vec<_> = messages.iter().map(Message::borrowed).collect();
        self.call::<ingest::Process<'_>, _>(Phase::Ingest, Some(exchange), (exchange, &messages[..])).await
    }

    async fn call<P, R>(
        &mut self,
        phase: Phase,
        exchange: Option<&Exchange>,
        parameters: P,
    ) -> Result<R, CallError>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentNamedList + Lift + Send + Sync + 'static,
    {
        let Instance { store, guest, plugin, .. } = self;
        let index = plugin.exports.process(phase).ok_or(CallError::NoPhase(phase))?;
        let meter = Arc::clone(&store.data().meter);
        store.data_mut().begin_call(exchange);
        store.set_epoch_deadline(1);
        let call = async {
            let process = checked_function::<P, R>(&mut *store, guest, index)?;
            process.call_async(&mut *store, parameters).await
        };
        let answer = guarded(&meter, plugin, call).await;
        store.data_mut().end_call();
        answer
    }
}

/// Runs the first code of an instance.
async fn entered<T>(
    plugin: &Loaded,
    store: &mut Store<HostState>,
    first: impl AsyncFnOnce(&mut Store<HostState>) -> wasmtime::Result<T>,
) -> Result<T, CallError> {
    let meter = Arc::clone(&store.data().meter);
    store.data_mut().begin_call(None);
    let answer = guarded(&meter, plugin, first(store)).await;
    store.data_mut().end_call();
    answer
}

/// Runs one call within its CPU budget and its deadline. Most calls never wait, and a timer costs as much as they do: it
/// is set when a call waits for the first time.
async fn guarded<T>(
    meter: &Meter,
    plugin: &Loaded,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> Result<T, CallError> {
    let limits = &plugin.limits;
    let mut call = pin!(meter.run(call));
    let mut deadline = pin!(None::<Sleep>);
    let answer = poll_fn(|cx| {
        if let Poll::Ready(answer) = call.as_mut().poll(cx) {
            return Poll::Ready(Some(answer));
        }
        if deadline.is_none() {
            deadline.set(Some(sleep(limits.wall_per_call)));
        }
        let over = deadline.as_mut().as_pin_mut().map_or(Poll::Pending, |deadline| deadline.poll(cx));
        over.map(|()| None)
    });
    match answer.await {
        Some(Ok(answer)) => Ok(answer),
        Some(Err(error)) => Err(CallError::new(&error, limits.cpu_per_call, limits.memory)),
        None => Err(CallError::Wall(limits.wall_per_call)),
    }
}

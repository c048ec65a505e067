//! The wasmtime engines that every plugin of a process shares.
//!
//! There are two, with the same compiler settings so that one compiled artefact fits both. The *pooled* one
//! keeps `instances` slots of reserved address space, memory and stacks, so that a fresh instance costs
//! microseconds and no system call that all threads would queue for. The *on-demand* one asks the operating
//! system each time; it takes the components that do not fit a slot (Python and JavaScript bring whole
//! interpreters) and everything where the address space cannot be reserved, as in a small container.
//!
//! Decided in the settings below: no component-model concurrency (a call is four times cheaper and the
//! experimental part of wasmtime stays off), epochs instead of fuel, no 64-bit and no multiple memories, no
//! back traces (they would only name functions of stripped guests).

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::cache::Cache;
use crate::capability;
use crate::clock::Clock;
use crate::host::HostState;

/// What a slot of the pool holds; a component over any of these goes to the on-demand engine. A component
/// made of Rust or C has three core modules, one memory and two tables.
const CORE_INSTANCES_PER_SLOT: u32 = 16;
const MEMORIES_PER_SLOT: u32 = 1;
const TABLES_PER_SLOT: u32 = 4;
const TABLE_ELEMENTS: usize = 20_000;
const TABLE_KEEP_RESIDENT: usize = 64 << 10;

/// Settings of an [`Engine`].
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// How many instances may live at once, over all plugins. An exchange holds one for each plugin that it
    /// meets. The pool reserves about 4 GiB of address space (not of memory) for each. Default 256.
    pub instances: u32,
    /// Bytes of a slot's memory that stay mapped between instances, so that a fresh one causes no page
    /// faults. Bounds what an idle pool occupies: `instances` times this. Default 1 MiB.
    pub keep_resident: usize,
    /// How long a call waits for a free slot before it fails with [`CallError::Busy`](crate::CallError::Busy).
    /// Default 1 s.
    pub slot_wait: Duration,
    /// Where compiled plugins are kept; none: they are compiled at each start. The directory must belong to
    /// the user that the host runs as, and nobody else may write to it: what lies there is run as machine
    /// code. It may be emptied at any time. Default none.
    pub cache_dir: Option<PathBuf>,
    /// Whether a plugin is compiled once more, as its settings leave it, so that instances need not read them. Not for
    /// whom a plugin serves only a few calls: it takes as long again. Default true.
    pub templates: bool,
}

impl Default for EngineConfig {
    fn default() -> Self {
        EngineConfig {
            instances: 256,
            keep_resident: 1 << 20,
            slot_wait: Duration::from_secs(1),
            cache_dir: None,
            templates: true,
        }
    }
}

/// Why no engine could be made.
#[derive(Debug, thiserror::Error)]
#[error("the WebAssembly engine cannot start: {0}")]
pub struct EngineError(String);

impl From<wasmtime::Error> for EngineError {
    fn from(error: wasmtime::Error) -> Self {
        EngineError(format!("{error:#}"))
    }
}

/// Where the memory of a plugin's instances comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// A slot of the pool.
    Pooled,
    /// The operating system, for each instance anew.
    OnDemand,
}

/// Compiles and runs plugins. Cheap to clone; one for each process is enough.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    pooled: Option<Backend>,
    on_demand: Backend,
    clock: Clock,
    cache: Cache,
    slot_wait: Duration,
    templates: bool,
}

/// A wasmtime engine with everything that plugins may import.
pub(crate) struct Backend {
    pub(crate) allocation: Allocation,
    pub(crate) engine: wasmtime::Engine,
    pub(crate) linker: Linker<HostState>,
    pub(crate) slots: Arc<Semaphore>,
}

impl Engine {
    /// Reserves the pool and starts the clock. Where the pool's address space cannot be had, the engine
    /// works without and says so in the log.
    ///
    /// # Errors
    /// When this machine is none that wasmtime compiles for, or no thread can be started.
    pub fn new(config: EngineConfig) -> Result<Engine, EngineError> {
        let slots = config.instances.max(1);
        let on_demand = Backend::new(Allocation::OnDemand, &compiler(), slots)?;
        let mut pooling = compiler();
        pooling.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(slots, config.keep_resident)));
        let pooled = match Backend::new(Allocation::Pooled, &pooling, slots) {
            Ok(backend) => Some(backend),
            Err(error) => {
                tracing::warn!(%error, slots, "no pool of plugin instances; they will start more slowly");
                None
            }
        };
        let mut engines = vec![on_demand.engine.clone()];
        engines.extend(pooled.as_ref().map(|backend| backend.engine.clone()));
        let clock = Clock::start(engines).map_err(|error| EngineError(error.to_string()))?;
        let cache = Cache::open(config.cache_dir, &on_demand.engine);
        Ok(Engine {
            inner: Arc::new(Inner {
                pooled,
                on_demand,
                clock,
                cache,
                slot_wait: config.slot_wait,
                templates: config.templates,
            }),
        })
    }

    /// Whether there is a pool; without, every plugin is [`Allocation::OnDemand`].
    pub fn is_pooled(&self) -> bool {
        self.pooled().is_some()
    }

    pub(crate) fn pooled(&self) -> Option<&Backend> {
        self.inner.pooled.as_ref()
    }

    pub(crate) fn on_demand(&self) -> &Backend {
        &self.inner.on_demand
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    pub(crate) fn makes_templates(&self) -> bool {
        self.inner.templates
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.inner.cache
    }

    /// Waits for the right to make one instance; none when there was no slot in time.
    pub(crate) async fn slot(&self, slots: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        // Taking a free slot needs no timer.
        if let Ok(slot) = Arc::clone(slots).try_acquire_owned() {
            return Some(slot);
        }
        let waited = tokio::time::timeout(self.inner.slot_wait, Arc::clone(slots).acquire_owned()).await;
        waited.ok()?.ok()
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("pooled", &self.is_pooled()).finish_non_exhaustive()
    }
}

impl Backend {
    fn new(allocation: Allocation, config: &Config, slots: u32) -> Result<Backend, EngineError> {
        let engine = wasmtime::Engine::new(config)?;
        let mut linker = Linker::new(&engine);
        capability::link(&mut linker)?;
        Ok(Backend { allocation, engine, linker, slots: Arc::new(Semaphore::new(slots as usize)) })
    }
}

/// The settings that decide what code is compiled. Changing one changes the key of the cache.
fn compiler() -> Config {
    let mut config = Config::new();
    config
        .concurrency_support(false)
        .epoch_interruption(true)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_backtrace_max_frames(None)
        // Tables that only traces would need: a third of the machine code's size.
        .generate_address_map(false)
        .native_unwind_info(false);
    config
}

fn pool(slots: u32, keep_resident: usize) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(CORE_INSTANCES_PER_SLOT))
        .total_memories(slots.saturating_mul(MEMORIES_PER_SLOT))
        .total_tables(slots.saturating_mul(TABLES_PER_SLOT))
        .total_stacks(slots)
        .max_core_instances_per_component(CORE_INSTANCES_PER_SLOT)
        .max_memories_per_component(MEMORIES_PER_SLOT)
        .max_tables_per_component(TABLES_PER_SLOT)
        .table_elements(TABLE_ELEMENTS)
        // Resetting pages in place instead of unmapping them: threads do not queue for the address space.
        .linear_memory_keep_resident(keep_resident)
        .table_keep_resident(TABLE_KEEP_RESIDENT)
        .pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{DefaultHasher, Hash, Hasher};

    fn hash(engine: &wasmtime::Engine) -> u64 {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        hasher.finish()
    }

    #[test]
    fn one_artefact_fits_both_engines() {
        let engine = Engine::new(EngineConfig { instances: 2, ..EngineConfig::default() }).unwrap();
        let pooled = &engine.pooled().unwrap().engine;
        assert_eq!(hash(pooled), hash(&engine.inner.on_demand.engine));
    }

    #[test]
    fn an_address_space_too_small_for_the_pool_is_no_error() {
        // 4 GiB each: 800 TiB, where a process has 128.
        let engine = Engine::new(EngineConfig { instances: 200_000, ..EngineConfig::default() }).unwrap();
        assert!(!engine.is_pooled());
    }

    #[tokio::test]
    async fn a_slot_is_waited_for_but_not_for_ever() {
        let engine = |slot_wait| {
            Engine::new(EngineConfig { instances: 1, slot_wait, ..EngineConfig::default() }).unwrap()
        };
        let impatient = engine(Duration::from_millis(20));
        let slots = &impatient.inner.on_demand.slots;
        let _held = impatient.slot(slots).await.unwrap();
        assert!(impatient.slot(slots).await.is_none());

        let patient = engine(Duration::from_secs(600));
        let slots = &patient.inner.on_demand.slots;
        let held = patient.slot(slots).await.unwrap();
        let ((), waited) = tokio::join!(async { drop(held) }, patient.slot(slots));
        assert!(waited.is_some());
    }
}

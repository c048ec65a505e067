//! A plugin that is compiled, checked and configured.

use std::fmt;
use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::task::JoinError;
use wasmtime::component::{Component, InstancePre};

use crate::cache::Compiled;
use crate::capability::Granted;
use crate::contract::{Direction, Exports, IMPORTS, PACKAGE, Phase, Phases, Plan, setup, version};
use crate::engine::{Allocation, Backend, Engine};
use crate::error::{LoadError, Problem};
use crate::host::{HostState, hex, one_line};
use crate::instance::Instance;
use crate::plan::Wants;
use crate::pool::Pool;
use crate::session::Session;
use crate::spec::{Instances, Limits, NamedFile, OnFailure, PluginSpec, Source};
use crate::template;

/// What is kept of the problems a plugin reports.
const PROBLEMS: usize = 100;
const PROBLEM_BYTES: usize = 1024;

/// A loaded plugin. Cheap to clone, and fit for any thread and runtime.
#[derive(Clone)]
pub struct Plugin {
    loaded: Arc<Loaded>,
    wants: Arc<Wants>,
}

/// What every instance of the plugin is made from.
pub(crate) struct Loaded {
    pub(crate) name: Arc<str>,
    pub(crate) engine: Engine,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) pre: InstancePre<HostState>,
    pub(crate) exports: Exports,
    /// Its instances need not be handed their settings.
    pub(crate) configured: bool,
    pub(crate) settings: String,
    pub(crate) files: Vec<setup::File>,
    pub(crate) granted: Granted,
    pub(crate) limits: Limits,
    pub(crate) on_failure: OnFailure,
    /// The instances that wait for another exchange, where the plugin's instances are used again.
    pub(crate) pool: Option<Pool>,
    pub(crate) allocation: Allocation,
    /// SHA-256 of the component, in hexadecimal digits.
    pub(crate) digest: String,
}

impl Loaded {
    /// Whether the plugin gets the capabilities that it cannot work without.
    fn provide(&self, needs: &[String]) -> Result<(), LoadError> {
        for (number, need) in needs.iter().enumerate() {
            match self.granted.has(need) {
                Ok(true) => {}
                Ok(false) => {
                    let (plugin, grant) = (self.name.to_string(), need.replace('-', "_"));
                    return Err(LoadError::MissingGrant { plugin, grant });
                }
                Err(all) => {
                    let need = one_line(need, PROBLEM_BYTES);
                    let fault = format!("needs/{number}: {need:?} is no capability: {}", all.join(", "));
                    return Err(LoadError::Plan { faults: vec![fault] });
                }
            }
        }
        Ok(())
    }
}

impl Plugin {
    /// Compiles the component (on a thread for blocking work), checks that it is a plugin and that the host
    /// offers what it imports, makes one instance and configures it.
    ///
    /// Must be called within a tokio runtime with its timer enabled.
    ///
    /// # Errors
    /// [`LoadError`]; the message says what to do, for a settings problem with file, line and column.
    pub async fn load(engine: &Engine, spec: PluginSpec) -> Result<Plugin, LoadError> {
        let engine = engine.clone();
        let loaded = tokio::task::spawn_blocking(move || prepare(engine, spec));
        let (loaded, component) = loaded.await.map_err(interrupted)??;
        let loaded = Arc::new(loaded);
        let (mut instance, configured) = Instance::start(&loaded).await.map_err(LoadError::Start)?;
        instance.check()?;
        let plan =
            configured.map_err(|problems| LoadError::Settings(problems_of(problems, &loaded.files)))?;
        let wants = Wants::new(plan, loaded.exports.phases()).map_err(|faults| LoadError::Plan {
            faults: faults.iter().take(PROBLEMS).map(|fault| one_line(fault, PROBLEM_BYTES)).collect(),
        })?;
        loaded.provide(&wants.plan().needs)?;
        drop(instance);
        let loaded = template::applied(loaded, component, wants.plan()).await;
        Ok(Plugin { loaded, wants: Arc::new(wants) })
    }

    /// Opens an exchange. Nothing is instantiated before the first call.
    pub fn session(&self) -> Session {
        Session::new(Arc::clone(&self.loaded))
    }

    /// The phases that the component exports.
    pub fn phases(&self) -> Phases {
        self.loaded.exports.phases()
    }

    /// Whether the plugin's plan asks for requests of this FHIR interaction (`read`, `search-type`, …) for this type;
    /// without a type, for the whole system. The groups `search` and `history` and their members stand for each other:
    /// who wants one is asked when nobody knows which. So it is for the other questions.
    pub fn wants_request(&self, interaction: &str, resource_type: Option<&str>) -> bool {
        self.wants.includes(Phase::Request, interaction, resource_type)
    }

    /// Whether the plan asks for resources of this type, travelling in this direction, in this interaction.
    pub fn wants(&self, interaction: &str, direction: Direction, resource_type: &str) -> bool {
        self.wants.includes_resources(interaction, direction, Some(resource_type))
    }

    /// Whether the plan may ask for any resource of a body that travels in this direction, in this interaction.
    pub fn wants_direction(&self, interaction: &str, direction: Direction) -> bool {
        self.wants.includes_resources(interaction, direction, None)
    }

    /// Whether the plan asks for writes of this kind (`create`, `update`, `patch`, `delete`) of this type.
    pub fn wants_written(&self, interaction: &str, resource_type: &str) -> bool {
        self.wants.includes(Phase::Written, interaction, Some(resource_type))
    }

    /// Whether the plan asks for messages.
    pub fn wants_messages(&self) -> bool {
        self.wants.includes(Phase::Ingest, "", None)
    }

    /// The name under `[plugins]`.
    pub fn name(&self) -> &str {
        &self.loaded.name
    }

    /// What the plugin asked to see.
    pub fn plan(&self) -> &Plan {
        self.wants.plan()
    }

    /// What a call may cost.
    pub fn limits(&self) -> Limits {
        self.loaded.limits
    }

    /// What becomes of an exchange when the plugin fails.
    pub fn on_failure(&self) -> OnFailure {
        self.loaded.on_failure
    }

    /// Where the memory of its instances comes from.
    pub fn allocation(&self) -> Allocation {
        self.loaded.allocation
    }

    /// Whether it was configured when it was loaded, once for all its instances.
    pub fn is_configured_once(&self) -> bool {
        self.loaded.configured
    }

    /// The version of the contract that it was built for.
    pub fn contract_version(&self) -> &str {
        self.loaded.exports.version
    }

    /// SHA-256 of the component, in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.loaded.digest
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("name", &self.loaded.name)
            .field("digest", &self.loaded.digest)
            .field("allocation", &self.loaded.allocation)
            .finish_non_exhaustive()
    }
}

/// Everything about a plugin that needs no call of the guest. Blocks.
fn prepare(engine: Engine, spec: PluginSpec) -> Result<(Loaded, Bytes), LoadError> {
    let name: Arc<str> = spec.name.into();
    let granted = Granted::validate(spec.grants, &name)?;
    let bytes = read(spec.component)?;
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    if let Some(wanted) = spec.digest.filter(|wanted| *wanted != digest) {
        return Err(LoadError::Digest { found: hex(&digest), wanted: hex(&wanted) });
    }
    let (component, backend) = compile(&engine, &bytes, &digest, &name)?;
    // The version first: a plugin for another one may differ anywhere.
    version(&component)?;
    check_imports(&component)?;
    let (slots, allocation) = (Arc::clone(&backend.slots), backend.allocation);
    let contract = |error: wasmtime::Error| LoadError::Contract(format!("{error:#}"));
    let pre = backend.linker.instantiate_pre(&component).map_err(contract)?;
    let exports = Exports::find(&component)?;
    let loaded = Loaded {
        slots,
        pre,
        exports,
        configured: false,
        settings: if spec.settings.is_null() { "{}".to_owned() } else { Value::to_string(&spec.settings) },
        files: spec.files.into_iter().map(file).collect(),
        granted,
        limits: spec.limits,
        on_failure: spec.on_failure,
        pool: match spec.instances {
            Instances::PerExchange => None,
            Instances::Reuse(reuse) => Some(Pool::new(reuse)),
        },
        allocation,
        digest: hex(&digest),
        name,
        engine,
    };
    Ok((loaded, bytes))
}

/// Compiling does not end early but for one reason, unless wasmtime has a fault.
fn interrupted(error: JoinError) -> LoadError {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => LoadError::ShuttingDown,
    }
}

pub(crate) fn read(source: Source) -> Result<Bytes, LoadError> {
    let bytes = match source {
        Source::Bytes(bytes) => bytes,
        Source::Path(path) => match fs::read(&path) {
            Ok(bytes) => bytes.into(),
            Err(source) => return Err(LoadError::Read { path, source }),
        },
    };
    // The preamble: magic number, version, and layer (0 for core modules, 1 for components).
    match bytes.get(..8) {
        Some([0, b'a', b's', b'm', _, _, 1, 0]) => Ok(bytes),
        Some([0, b'a', b's', b'm', _, _, 0, 0]) => Err(LoadError::CoreModule),
        _ => Err(LoadError::NotWasm),
    }
}

/// Compiles, or takes what the cache has, and picks the engine whose slots are large enough.
pub(crate) fn compile<'e>(
    engine: &'e Engine,
    bytes: &[u8],
    digest: &[u8; 32],
    plugin: &str,
) -> Result<(Component, &'e Backend), LoadError> {
    let failed = |error: wasmtime::Error| LoadError::Compile(format!("{error:#}"));
    let compiler = &engine.on_demand().engine;
    let (compiled, cached) = engine.cache().compile(compiler, bytes, digest, plugin).map_err(failed)?;
    match place(engine, &compiled) {
        Err(_) if cached => {
            let compiled = engine.cache().recompile(compiler, bytes, digest).map_err(failed)?;
            place(engine, &compiled).map_err(failed)
        }
        placed => placed.map_err(failed),
    }
}

/// The pool refuses what does not fit a slot.
pub(crate) fn place<'e>(
    engine: &'e Engine,
    compiled: &Compiled,
) -> wasmtime::Result<(Component, &'e Backend)> {
    let pooled = engine.pooled().and_then(|pool| Some((compiled.load(&pool.engine).ok()?, pool)));
    match pooled {
        Some(placed) => Ok(placed),
        None => Ok((compiled.load(&engine.on_demand().engine)?, engine.on_demand())),
    }
}

pub(crate) fn check_imports(component: &Component) -> Result<(), LoadError> {
    let known = |name: &str| {
        let interface = name.split_once('@').map_or(name, |(interface, _)| interface);
        // The linker knows which interfaces of WASI there are.
        interface.starts_with("wasi:")
            || interface.strip_prefix(PACKAGE).is_some_and(|interface| IMPORTS.contains(&interface))
    };
    let world = component.component_type();
    let imports = world.imports(component.engine()).map(|(name, _)| name.to_owned());
    let unknown: Vec<String> = imports.filter(|name| !known(name)).collect();
    if unknown.is_empty() { Ok(()) } else { Err(LoadError::UnknownImports { unknown }) }
}

fn file(file: NamedFile) -> setup::File {
    setup::File { name: file.name, path: file.path, content: file.content.into() }
}

/// The guest's problems, bounded, and with the paths that the operator knows.
fn problems_of(problems: Vec<setup::Problem>, files: &[setup::File]) -> Vec<Problem> {
    let path = |name: String| {
        let file = files.iter().find(|file| file.name == name);
        file.map_or_else(|| one_line(&name, PROBLEM_BYTES), |file| file.path.clone())
    };
    let problem = |problem: setup::Problem| Problem {
        file: problem.file.map(path),
        line: problem.line,
        column: problem.column,
        pointer: one_line(&problem.pointer, PROBLEM_BYTES),
        message: one_line(&problem.message, PROBLEM_BYTES),
    };
    problems.into_iter().take(PROBLEMS).map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineConfig;

    #[test]
    fn what_fits_no_slot_is_allocated_on_demand() {
        let engine = Engine::new(EngineConfig { instances: 1, ..EngineConfig::default() }).unwrap();
        let modules = |text: &str, many: usize| {
            let instances = "(core instance (instantiate $m))".repeat(many);
            format!("(component (core module $m {text}) {instances})")
        };
        let cases = [
            (modules("", 16), Allocation::Pooled),
            (modules("", 17), Allocation::OnDemand),
            (modules("(memory 1)", 1), Allocation::Pooled),
            (modules("(memory 1)", 2), Allocation::OnDemand),
            (modules("(table 20000 funcref)", 4), Allocation::Pooled),
            (modules("(table 1 funcref)", 5), Allocation::OnDemand),
            (modules("(table 20001 funcref)", 1), Allocation::OnDemand),
        ];
        for (text, expected) in cases {
            let bytes = wat::parse_str(&text).unwrap();
            let (_, backend) = compile(&engine, &bytes, &[0; 32], "p").unwrap();
            assert_eq!(backend.allocation, expected, "{text}");
        }
    }
}

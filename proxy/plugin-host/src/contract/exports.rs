//! Which phases a component takes part in, and where in it they are.

use std::fmt;

use wasmtime::AsContextMut;
use wasmtime::component::{
    Component, ComponentExportIndex, ComponentNamedList, Func, Instance, Lift, Lower, TypedFunc,
};

use super::{PACKAGE, VERSIONS, ingest, request, resources, setup, written};
use crate::error::LoadError;

/// A phase of an exchange that plugins may take part in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// A request that may go to the server.
    Request,
    /// The resources of a body.
    Resources,
    /// Writes that the server has acknowledged.
    Written,
    /// Messages that become resources.
    Ingest,
}

impl Phase {
    /// All of them, in the order they come in an exchange.
    pub const ALL: [Phase; 4] = [Phase::Request, Phase::Resources, Phase::Written, Phase::Ingest];

    /// The name of its interface.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Request => "request",
            Phase::Resources => "resources",
            Phase::Written => "written",
            Phase::Ingest => "ingest",
        }
    }
}

/// Some of the phases.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Phases(u8);

impl Phases {
    /// Whether `phase` is one of them.
    pub fn contains(self, phase: Phase) -> bool {
        self.0 & Self::bit(phase) != 0
    }

    /// They, in the order they come in an exchange.
    pub fn iter(self) -> impl Iterator<Item = Phase> {
        Phase::ALL.into_iter().filter(move |phase| self.contains(*phase))
    }

    fn bit(phase: Phase) -> u8 {
        1 << phase as u8
    }
}

impl FromIterator<Phase> for Phases {
    fn from_iter<I: IntoIterator<Item = Phase>>(phases: I) -> Self {
        Phases(phases.into_iter().fold(0, |bits, phase| bits | Self::bit(phase)))
    }
}

impl fmt::Debug for Phases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Where the functions of the contract are in a component.
#[derive(Clone)]
pub(crate) struct Exports {
    /// The version that the component was built for.
    pub(crate) version: &'static str,
    pub(crate) configure: ComponentExportIndex,
    /// In the order of [`Phase::ALL`].
    process: [Option<ComponentExportIndex>; 4],
}

impl Exports {
    /// Looks them up.
    ///
    /// # Errors
    /// The component is no plugin, or one of another version.
    pub(crate) fn find(component: &Component) -> Result<Exports, LoadError> {
        let found = names(component);
        let version = version(component)?;
        let function = |interface: &str, function: &str| -> Result<_, LoadError> {
            let name = format!("{PACKAGE}{interface}@{version}");
            let Some(instance) = component.get_export_index(None, &name) else { return Ok(None) };
            match component.get_export_index(Some(&instance), function) {
                Some(index) => Ok(Some(index)),
                None => Err(LoadError::Contract(format!("{name} has no function {function}"))),
            }
        };
        let configure = function("setup", "configure")?;
        let mut process = [None; 4];
        for (place, phase) in process.iter_mut().zip(Phase::ALL) {
            *place = function(phase.name(), "process")?;
        }
        let missing =
            |what: &str| LoadError::MissingExports { missing: what.to_owned(), found: found.clone() };
        let configure = configure.ok_or_else(|| missing(&format!("{PACKAGE}setup@{version}")))?;
        if process.iter().all(Option::is_none) {
            return Err(missing("phase: request, resources, written or ingest"));
        }
        Ok(Exports { version, configure, process })
    }

    pub(crate) fn phases(&self) -> Phases {
        Phase::ALL.into_iter().filter(|phase| self.process(*phase).is_some()).collect()
    }

    pub(crate) fn process(&self, phase: Phase) -> Option<&ComponentExportIndex> {
        self.process[phase as usize].as_ref()
    }

    /// Checks the types of all functions.
    ///
    /// # Errors
    /// The component was built for another contract of the same version.
    pub(crate) fn check(&self, mut store: impl AsContextMut, instance: &Instance) -> Result<(), LoadError> {
        let checked = |name: &str, checked: wasmtime::Result<()>| {
            let told = |error: wasmtime::Error| LoadError::Contract(format!("{name}: {error:#}"));
            checked.map_err(told)
        };
        let configure =
            function::<setup::Configure<'_>, setup::Configured>(&mut store, instance, &self.configure);
        checked("setup", configure.map(drop))?;
        for phase in Phase::ALL {
            let Some(index) = self.process(phase) else { continue };
            let store = &mut store;
            let found = match phase {
                Phase::Request => {
                    function::<request::Process<'_>, request::Processed>(store, instance, index).map(drop)
                }
                Phase::Resources => {
                    function::<resources::Process<'_>, resources::Processed>(store, instance, index).map(drop)
                }
                Phase::Written => {
                    function::<written::Process<'_>, written::Processed>(store, instance, index).map(drop)
                }
                Phase::Ingest => {
                    function::<ingest::Process<'_>, ingest::Processed>(store, instance, index).map(drop)
                }
            };
            checked(phase.name(), found)?;
        }
        Ok(())
    }
}

/// One of an instance's functions.
///
/// # Errors
/// Its type is another.
pub(crate) fn function<P, R>(
    mut store: impl AsContextMut,
    instance: &Instance,
    index: &ComponentExportIndex,
) -> wasmtime::Result<TypedFunc<P, R>>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    exported(&mut store, instance, index)?.typed::<P, R>(&store)
}

/// One of an instance's functions, of a component whose functions [`Exports::check`] has checked.
#[expect(unsafe_code, reason = "checking the types takes a third of a call that does nothing")]
pub(crate) fn checked_function<P, R>(
    mut store: impl AsContextMut,
    instance: &Instance,
    index: &ComponentExportIndex,
) -> wasmtime::Result<TypedFunc<P, R>>
where
    P: ComponentNamedList + Lower,
    R: ComponentNamedList + Lift,
{
    let function = exported(&mut store, instance, index)?;
    // SAFETY: the type belongs to the component, not to the instance, and `Exports::check` asked for these very types
    // before there was a session: `Plugin::load` calls it for the component, `template` for the one made of it.
    Ok(unsafe { TypedFunc::new_unchecked(function) })
}

fn exported(
    store: impl AsContextMut,
    instance: &Instance,
    index: &ComponentExportIndex,
) -> wasmtime::Result<Func> {
    instance.get_func(store, index).ok_or_else(|| wasmtime::Error::msg("it is no function"))
}

/// The version of the contract that a component was built for: the names of its exports say so.
///
/// # Errors
/// The component is no plugin, or one of a version that the host does not serve.
pub(crate) fn version(component: &Component) -> Result<&'static str, LoadError> {
    let found = names(component);
    let versions = || found.iter().filter_map(|name| name.strip_prefix(PACKAGE)?.split_once('@'));
    let is_there = |served: &&str| versions().any(|(_, version)| version == *served);
    if let Some(served) = VERSIONS.into_iter().find(is_there) {
        return Ok(served);
    }
    match versions().next() {
        Some((_, version)) => Err(LoadError::Version { built_for: version.to_owned() }),
        None => {
            let missing = format!("{PACKAGE}setup@{}", VERSIONS[VERSIONS.len() - 1]);
            Err(LoadError::MissingExports { missing, found })
        }
    }
}

fn names(component: &Component) -> Vec<String> {
    component.component_type().exports(component.engine()).map(|(name, _)| name.to_owned()).collect()
}

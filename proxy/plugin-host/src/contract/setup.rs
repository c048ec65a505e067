//! `setup`: settings in, a plan or problems out.

use wasmtime::component::{ComponentType, Lift, Lower};

use super::{Direction, Field};

/// What the plugin wants to see.
#[derive(Debug, Clone, Default, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct Plan {
    /// A call is made when one of them fits.
    pub interests: Vec<Interest>,
    /// Capabilities without which the plugin cannot work.
    pub needs: Vec<String>,
    /// Further wishes. Unknown ones are passed over.
    pub extras: Vec<Field>,
}

/// When the host calls one phase.
#[derive(Debug, Clone, Default, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct Interest {
    /// `request`, `resources`, `written` or `ingest`.
    pub phase: String,
    /// FHIR interaction codes; empty: every interaction.
    pub interactions: Vec<String>,
    /// Resource types; empty: every type.
    #[component(name = "resource-types")]
    pub resource_types: Vec<String>,
    /// For `resources`: the directions; empty: none.
    pub directions: Vec<Direction>,
    /// Further conditions. Unknown ones are passed over.
    pub extras: Vec<Field>,
}

/// A file of the configuration.
#[derive(Clone, ComponentType, Lower)]
#[component(record)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) content: Vec<u8>,
}

/// Something wrong with the settings or with a file, as the guest says it.
#[derive(Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct Problem {
    pub(crate) file: Option<String>,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) pointer: String,
    pub(crate) message: String,
}

/// What `configure` takes and answers.
pub(crate) type Configure<'a> = (&'a str, &'a [File]);
pub(crate) type Configured = (Result<Plan, Vec<Problem>>,);

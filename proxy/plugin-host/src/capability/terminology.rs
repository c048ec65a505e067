//! Capability: translation of codes by maps that are read when the plugin is loaded.

mod concept_map;
mod csv;
mod fault;
mod maps;
mod table;

use std::sync::Arc;

use wasmtime::component::{HasData, Linker};

use self::maps::{Found, Maps};
use super::error;
use super::grant::{GrantFault, Held};
use crate::contract::{Error, Field, terminology};
use crate::host::{HostState, one_line};
use crate::spec::NamedFile;

pub use self::fault::MapFault;

/// What one call may ask, and what it may be answered.
const CODINGS: usize = 4096;
const MATCHES: usize = 65_536;
/// Codes that are looked up between two yields: a fraction of a millisecond.
const CODINGS_PER_TURN: usize = 512;
/// How much is repeated of a name that is none.
const NAME_BYTES: usize = 64;

/// `[plugins.<name>.grants.terminology]`.
#[derive(Debug)]
pub struct TerminologyGrant {
    /// The maps: ConceptMap resources (`.json`) and tables (`.csv`), by the names that the plugin knows them by.
    pub maps: Vec<NamedFile>,
}

/// The maps, read.
pub(crate) struct Terms(Maps);

/// Adds `fireguard:plugin/terminology`.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    terminology::add_to_linker::<HostState, Terminology>(linker, |host| &mut host.capabilities.terminology)
}

/// Reads the maps.
///
/// # Errors
/// The file that is wrong, and where.
pub(crate) fn validate(grant: &TerminologyGrant) -> Result<Terms, GrantFault> {
    Maps::read(&grant.maps).map(Terms).map_err(|(file, fault)| GrantFault::Map { file, fault })
}

/// The state of one instance of the plugin `name`.
pub(crate) fn prepare(granted: Option<&Arc<Terms>>, name: &Arc<str>) -> State {
    State(Held::new(name, "terminology", granted))
}

/// Names the state's type for wasmtime.
pub(crate) struct Terminology;

impl HasData for Terminology {
    type Data<'a> = &'a mut State;
}

/// Answers the guest.
pub(crate) struct State(Held<Terms>);

impl terminology::Host for State {
    async fn translate(
        &mut self,
        concept_map: String,
        codings: Vec<terminology::Coding>,
    ) -> Result<Vec<Vec<terminology::Match>>, Error> {
        let Terms(maps) = &**self.0.get()?;
        if codings.len() > CODINGS {
            return Err(error("too-much", format!("one call carries {CODINGS} codes at most")));
        }
        let map = maps.named(&concept_map).ok_or_else(|| {
            let names: Vec<_> = maps.names().collect();
            let name = one_line(&concept_map, NAME_BYTES);
            error("invalid", format!("no map named {name:?} is granted, only: {}", names.join(", ")))
        })?;
        let (mut answers, mut total) = (Vec::with_capacity(codings.len()), 0);
        for turn in codings.chunks(CODINGS_PER_TURN) {
            if !answers.is_empty() {
                tokio::task::yield_now().await;
            }
            for coding in turn {
                let found = maps.translate(map, &coding.system, &coding.code);
                total += found.len();
                if total > MATCHES {
                    return Err(error("too-much", format!("one call is answered {MATCHES} matches at most")));
                }
                answers.push(found.into_iter().map(written).collect());
            }
        }
        Ok(answers)
    }
}

fn written(found: Found<'_>) -> terminology::Match {
    let Found { target, unmapped } = found;
    let extra = |mode: &str| Field { name: "unmapped".to_owned(), value: mode.to_owned() };
    terminology::Match {
        system: target.system.to_owned(),
        code: target.code.to_owned(),
        display: target.display.map(str::to_owned),
        equivalence: target.equivalence.to_owned(),
        extras: unmapped.into_iter().map(extra).collect(),
    }
}

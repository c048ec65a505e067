//! What can go wrong while a plugin is loaded, and while it is called.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use wasmtime::Trap;
use wasmtime_wasi::I32Exit;

use crate::capability::grant::GrantFault;
use crate::clock::CpuSpent;
use crate::contract::{Phase, VERSIONS};
use crate::host::{MemorySpent, one_line};
use crate::verdict::BadVerdict;

/// Why a plugin was not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Its file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is no WebAssembly at all.
    #[error("not a WebAssembly component: the file does not begin like one")]
    NotWasm,
    /// The file is WebAssembly, but of the older kind.
    #[error(
        "a core WebAssembly module, not a component: build it for the target wasm32-wasip2, \
         or turn it into a component with `wasm-tools component new`"
    )]
    CoreModule,
    /// The component is damaged or uses a feature that is switched off.
    #[error("the component does not compile: {0}")]
    Compile(String),
    /// It is a component, but no plugin.
    #[error("the component exports no {missing}; it exports {}", list(found))]
    MissingExports {
        /// The interface it lacks.
        missing: String,
        /// What it exports instead.
        found: Vec<String>,
    },
    /// It is a plugin of another version of the contract.
    #[error(
        "the component was built for version {built_for} of the plugin contract; this host serves {}",
        VERSIONS.join(", ")
    )]
    Version {
        /// The version it was built for.
        built_for: String,
    },
    /// It is another component than the configuration names.
    #[error("the component is sha256:{found}, and the configuration says sha256:{wanted}")]
    Digest {
        /// SHA-256 of the component, in hexadecimal digits.
        found: String,
        /// That of the configuration.
        wanted: String,
    },
    /// It needs something that no plugin gets.
    #[error("the component imports {}, which the host does not offer", list(unknown))]
    UnknownImports {
        /// The imports.
        unknown: Vec<String>,
    },
    /// An import or export has the right name and another type: it was built for another contract.
    #[error("the component was built for another version of the plugin contract: {0}")]
    Contract(String),
    /// A grant is not usable.
    #[error("the grant [plugins.{plugin}.grants.{grant}] cannot be used: {fault}")]
    Grant {
        /// The plugin's name.
        plugin: String,
        /// The grant's name.
        grant: &'static str,
        /// What is wrong.
        fault: GrantFault,
    },
    /// The plugin needs a capability that it is not granted.
    #[error("its settings need the capability {grant}: grant it by [plugins.{plugin}.grants.{grant}]")]
    MissingGrant {
        /// The plugin's name.
        plugin: String,
        /// The grant's name in the configuration.
        grant: String,
    },
    /// The plugin failed while it was being configured.
    #[error("the plugin failed while it was being configured")]
    Start(#[source] CallError),
    /// The plugin refuses its settings or files. One line each.
    #[error("{}", lines(.0))]
    Settings(Vec<Problem>),
    /// The plugin wants something that does not exist. One line for each.
    #[error("the plugin's plan asks for what there is not: {}", faults.join("; "))]
    Plan {
        /// What is wrong, each with its place in the plan.
        faults: Vec<String>,
    },
    /// The host is shutting down.
    #[error("the host is shutting down")]
    ShuttingDown,
}

/// Something wrong with the settings or with a file of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The path of the file, as the operator wrote it; none: the settings.
    pub file: Option<String>,
    /// The line, counted from one; zero when there is none to give.
    pub line: u32,
    /// The column in characters, counted from one; zero when there is none to give.
    pub column: u32,
    /// A JSON Pointer (RFC 6901) into the settings or the file; empty: the whole.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Why a call failed. Nothing in it comes from the guest. The instance is gone; the next call makes a new
/// one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// Every slot was taken for as long as a call may wait.
    #[error("no free plugin instance")]
    Busy,
    /// The guest trapped.
    #[error("the plugin trapped: {0}")]
    Trap(&'static str),
    /// It used its CPU budget.
    #[error("the plugin used more than {} ms of CPU time", .0.as_millis())]
    Cpu(Duration),
    /// It did not answer in time.
    #[error("the plugin did not answer within {} ms", .0.as_millis())]
    Wall(Duration),
    /// It asked for more memory than it may have.
    #[error("the plugin needs more than {} KiB of memory", .0 >> 10)]
    Memory(usize),
    /// It handed over more at once than it may have memory.
    #[error("the plugin handed over more than {} KiB in one call", .0 >> 10)]
    TooMuch(usize),
    /// It handed over something that is malformed.
    #[error("the plugin broke the calling convention")]
    Convention,
    /// It gave too few or too many answers.
    #[error("the plugin gave {given} answers to {asked} questions")]
    WrongCount {
        /// How many resources, events or messages it was asked about.
        asked: usize,
        /// How many answers it gave.
        given: usize,
    },
    /// A verdict does not fit its resource.
    #[error("the plugin's verdict on resource {resource} is bad: {fault}")]
    BadVerdict {
        /// Which resource of the call, counted from zero.
        resource: usize,
        /// What is wrong.
        fault: BadVerdict,
    },
    /// It was called in a phase that it takes no part in.
    #[error("the plugin does not export the phase {}", .0.name())]
    NoPhase(Phase),
    /// A fresh instance refused the settings that the first one accepted.
    #[error("the plugin no longer accepts its settings")]
    Settings,
}

impl CallError {
    /// Whether the host had no room, and the plugin did nothing wrong: worth a 503 and another try.
    pub fn is_busy(&self) -> bool {
        *self == CallError::Busy
    }

    /// Classifies what wasmtime answered. The text goes no further than a debug log.
    pub(crate) fn new(error: &wasmtime::Error, cpu: Duration, memory: usize) -> CallError {
        if error.is::<CpuSpent>() {
            return CallError::Cpu(cpu);
        }
        if error.is::<MemorySpent>() {
            return CallError::Memory(memory);
        }
        if error.is::<I32Exit>() {
            return CallError::Trap("it exited");
        }
        if error.is::<wasmtime::PoolConcurrencyLimitError>() {
            return CallError::Busy;
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::UnreachableCodeReached) => CallError::Trap("a panic, or unreachable code"),
            Some(Trap::StackOverflow) => CallError::Trap("stack overflow"),
            Some(Trap::MemoryOutOfBounds) => CallError::Trap("memory access out of bounds"),
            Some(Trap::IntegerDivisionByZero) => CallError::Trap("division by zero"),
            Some(_) => CallError::Trap("a fault in its code"),
            None => {
                let error = one_line(&error.root_cause().to_string(), 200);
                // It has no type that could be asked for; a test holds that these are its words.
                if error.contains("hostcalls has been exhausted") {
                    return CallError::TooMuch(memory);
                }
                tracing::debug!(target: "fireguard::plugin", error, "calling convention");
                CallError::Convention
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file.as_deref().unwrap_or("settings"))?;
        match (self.line, self.column, self.pointer.as_str()) {
            (0, _, "") => {}
            (0, _, pointer) => write!(f, "#{pointer}")?,
            (line, 0, _) => write!(f, ":{line}")?,
            (line, column, _) => write!(f, ":{line}:{column}")?,
        }
        write!(f, ": {}", self.message)
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(" and ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_point_at_the_place() {
        let problem = |file: Option<&str>, line, column, pointer: &str| Problem {
            file: file.map(str::to_owned),
            line,
            column,
            pointer: pointer.to_owned(),
            message: "no such method".to_owned(),
        };
        let cases = [
            (problem(Some("r/deid.json"), 12, 5, "/a"), "r/deid.json:12:5: no such method"),
            (problem(Some("r/deid.json"), 12, 0, "/a"), "r/deid.json:12: no such method"),
            (problem(Some("r/deid.json"), 0, 0, "/a/0"), "r/deid.json#/a/0: no such method"),
            (problem(Some("r/deid.json"), 0, 0, ""), "r/deid.json: no such method"),
            (problem(None, 0, 0, "/range"), "settings#/range: no such method"),
            (problem(None, 0, 0, ""), "settings: no such method"),
        ];
        for (problem, expected) in &cases {
            assert_eq!(problem.to_string(), *expected);
        }
        let all = LoadError::Settings(cases.iter().map(|(problem, _)| problem.clone()).collect());
        assert_eq!(all.to_string().lines().count(), cases.len());
    }
}

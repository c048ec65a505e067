//! What a component is, without its settings: for authors and operators who look at a file before they trust it.

use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use crate::contract::{Exports, PACKAGE, Phases};
use crate::engine::{Allocation, Engine};
use crate::error::LoadError;
use crate::host::hex;
use crate::plugin::{check_imports, compile, read};
use crate::spec::Source;

/// What a component says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Bytes of the component.
    pub size: usize,
    /// SHA-256 of the component, in hexadecimal digits.
    pub digest: String,
    /// The version of the contract that it was built for.
    pub contract_version: &'static str,
    /// The phases that it takes part in.
    pub phases: Phases,
    /// The capabilities that it imports, in the order of their names. Nothing else of the host can it ever ask for.
    pub capabilities: Vec<String>,
    /// The interfaces of WASI that it imports. Seed, clocks and output are there; behind the others is nothing.
    pub wasi: Vec<String>,
    /// Where the memory of its instances comes from.
    pub allocation: Allocation,
    /// Memories and tables of one instance.
    pub parts: Parts,
}

/// What one instance is made of: this decides the allocation. None: it depends on what it imports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// Memories.
    pub memories: u32,
    /// Bytes that the largest memory begins with.
    pub memory: Option<u64>,
    /// Tables.
    pub tables: u32,
    /// Elements that the largest table begins with.
    pub table: Option<u64>,
}

/// Compiles a component and says what it is. Blocks.
///
/// # Errors
/// As [`Plugin::load`](crate::Plugin::load), as far as settings and grants are not concerned.
pub fn inspect(engine: &Engine, component: impl Into<Source>) -> Result<Inspection, LoadError> {
    let bytes = read(component.into())?;
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    let (component, backend) = compile(engine, &bytes, &digest, "inspected")?;
    let exports = Exports::find(&component)?;
    check_imports(&component)?;
    let (capabilities, wasi) = imports(&component);
    Ok(Inspection {
        size: bytes.len(),
        digest: hex(&digest),
        contract_version: exports.version,
        phases: exports.phases(),
        capabilities,
        wasi,
        allocation: backend.allocation,
        parts: parts(&component),
    })
}

/// The imported capabilities, and the imported interfaces of WASI, both without versions.
fn imports(component: &Component) -> (Vec<String>, Vec<String>) {
    let (mut capabilities, mut wasi) = (Vec::new(), Vec::new());
    for (name, _) in component.component_type().imports(component.engine()) {
        let interface = name.split_once('@').map_or(name, |(interface, _)| interface);
        match interface.strip_prefix(PACKAGE) {
            // It has only types.
            Some("types") => {}
            Some(capability) => capabilities.push(capability.to_owned()),
            None => wasi.push(interface.to_owned()),
        }
    }
    for list in [&mut capabilities, &mut wasi] {
        list.sort_unstable();
        list.dedup();
    }
    (capabilities, wasi)
}

/// Bytes of a page of WebAssembly.
const PAGE: u64 = 64 << 10;

fn parts(component: &Component) -> Parts {
    match component.resources_required() {
        Some(required) => Parts {
            memories: required.num_memories,
            memory: required.max_initial_memory_size.map(|pages| pages.saturating_mul(PAGE)),
            tables: required.num_tables,
            table: required.max_initial_table_size,
        },
        None => Parts { memories: 0, memory: None, tables: 0, table: None },
    }
}

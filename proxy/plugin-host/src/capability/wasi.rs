//! A small virtual WASI. Every language's standard library imports some of it: the seed of a hash map is
//! drawn from it, a panic is reported through it. The guest gets random numbers, clocks and output that
//! ends in the debug log; files, sockets, environment and arguments are linked and there are none.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::io::{AsyncWrite, sink};
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView, async_trait};

use crate::capability::log;
use crate::host::{HostState, one_line};

/// How much of a call's output is kept for the debug log.
const OUTPUT_PER_CALL: usize = 4096;
/// Random bytes in one call of the guest; they are made while the thread waits.
const RANDOM_PER_CALL: u64 = 1 << 16;
/// Streams, pollables and the like that one instance may hold.
pub(crate) const HANDLES: usize = 256;

/// Adds WASI 0.2.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)
}

/// The state of one instance.
pub(crate) fn prepare() -> State {
    let mut table = ResourceTable::new();
    table.set_max_capacity(HANDLES);
    State { table, used: None }
}

/// Made at the first use: seeding two random generators costs more than a call, and many guests never ask.
pub(crate) struct State {
    table: ResourceTable,
    used: Option<Used>,
}

struct Used {
    ctx: WasiCtx,
    output: Output,
}

impl State {
    /// Whether the guest holds nothing of it.
    pub(crate) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    pub(crate) fn begin_call(&mut self) {
        if let Some(used) = &self.used {
            used.output.take();
        }
    }

    pub(crate) fn end_call(&mut self, who: &log::State) {
        let Some(text) = self.used.as_ref().map(|used| used.output.take()) else { return };
        if !text.is_empty() {
            let (plugin, request_id) = (&*who.plugin, &*who.exchange);
            let text = one_line(&String::from_utf8_lossy(&text), OUTPUT_PER_CALL);
            tracing::debug!(target: "fireguard::plugin", plugin, request_id, text, "output");
        }
    }
}

impl Used {
    fn new() -> Used {
        let output = Output::default();
        let ctx = WasiCtx::builder()
            .stdout(output.clone())
            .stderr(output.clone())
            .max_random_size(RANDOM_PER_CALL)
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .build();
        Used { ctx, output }
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let used = self.wasi.used.get_or_insert_with(Used::new);
        WasiCtxView { ctx: &mut used.ctx, table: &mut self.wasi.table }
    }
}

/// Takes everything and keeps the beginning: an output that failed when full would change what a guest does.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = OUTPUT_PER_CALL - kept.len();
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(OUTPUT_PER_CALL)
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        // Only WASI 0.3 asks for it, which the host does not link.
        Box::new(sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

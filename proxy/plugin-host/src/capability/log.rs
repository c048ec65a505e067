//! Capability: lines in the host's log. It needs no grant, since it is bounded.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker};

use crate::contract::{log, types};
use crate::host::{HostState, one_line};

/// Bounds that the contract names.
const LINE_BYTES: usize = 1024;
const LINES_PER_CALL: u32 = 100;

/// Adds `fireguard:plugin/log`.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    log::add_to_linker::<HostState, Log>(linker, |host| &mut host.capabilities.log)
}

/// The state of one instance of the plugin `name`.
pub(crate) fn prepare(name: Arc<str>) -> State {
    State { plugin: name, exchange: String::new(), lines: 0 }
}

/// Names the state's type for wasmtime.
pub(crate) struct Log;

impl HasData for Log {
    type Data<'a> = &'a mut State;
}

/// Who writes, for which exchange, and how many lines of this call there were.
pub(crate) struct State {
    pub(crate) plugin: Arc<str>,
    pub(crate) exchange: String,
    lines: u32,
}

impl State {
    pub(crate) fn begin_call(&mut self, exchange: &str) {
        self.exchange.clear();
        self.exchange.push_str(exchange);
        self.lines = 0;
    }

    pub(crate) fn end_call(&mut self) {
        let cut = self.lines.saturating_sub(LINES_PER_CALL);
        if cut > 0 {
            let (plugin, request_id) = (&*self.plugin, &*self.exchange);
            tracing::warn!(target: "fireguard::plugin", plugin, request_id, cut, "log lines cut");
        }
    }
}

impl log::Host for State {
    async fn write(&mut self, level: log::Level, message: String) {
        self.lines = self.lines.saturating_add(1);
        if self.lines > LINES_PER_CALL {
            return;
        }
        let (plugin, request_id) = (&*self.plugin, &*self.exchange);
        let line = one_line(&message, LINE_BYTES);
        match level {
            log::Level::Debug => {
                tracing::debug!(target: "fireguard::plugin", plugin, request_id, "{line}");
            }
            log::Level::Info => tracing::info!(target: "fireguard::plugin", plugin, request_id, "{line}"),
            log::Level::Warn => tracing::warn!(target: "fireguard::plugin", plugin, request_id, "{line}"),
            log::Level::Error => {
                tracing::error!(target: "fireguard::plugin", plugin, request_id, "{line}");
            }
        }
    }
}

impl types::Host for State {}

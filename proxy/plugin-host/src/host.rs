//! What the host keeps for each instance.

use std::sync::Arc;

use wasmtime::ResourceLimiter;

use crate::capability::{States, wasi};
use crate::clock::Meter;
use crate::contract::Exchange;

/// The data of one store: the state of each capability, and what bounds the guest.
pub(crate) struct HostState {
    pub(crate) capabilities: States,
    pub(crate) wasi: wasi::State,
    pub(crate) memory: MemoryLimit,
    pub(crate) meter: Arc<Meter>,
}

impl HostState {
    /// Called before each call of the guest: allowances that count by call start afresh.
    pub(crate) fn begin_call(&mut self, exchange: Option<&Exchange>) {
        self.capabilities.begin_call(exchange);
        self.wasi.begin_call();
    }

    /// Called after each call, also a failed one.
    pub(crate) fn end_call(&mut self) {
        self.capabilities.end_call();
        self.wasi.end_call(&self.capabilities.log);
    }
}

/// The guest asked for more memory than its limit.
#[derive(Debug, thiserror::Error)]
#[error("the memory limit is reached")]
pub(crate) struct MemorySpent;

/// Bounds the memory of one instance. Over the limit the guest traps instead of being told: no language's
/// allocator makes anything of the answer but an abort with a less clear cause.
pub(crate) struct MemoryLimit {
    limit: usize,
    memory: usize,
    /// Of tables.
    limit_elements: usize,
    elements: usize,
}

impl MemoryLimit {
    /// With bytes of memory, and elements of tables.
    pub(crate) fn new(limit: usize, limit_elements: usize) -> Self {
        MemoryLimit { limit, memory: 0, limit_elements, elements: 0 }
    }

    /// Bytes of memory that the instance has grown to.
    pub(crate) fn used(&self) -> usize {
        self.memory
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.memory = self.memory.saturating_add(desired.saturating_sub(current));
        if self.memory > self.limit { Err(MemorySpent.into()) } else { Ok(true) }
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.elements = self.elements.saturating_add(desired.saturating_sub(current));
        if self.elements > self.limit_elements { Err(MemorySpent.into()) } else { Ok(true) }
    }

    fn instances(&self) -> usize {
        256
    }

    fn tables(&self) -> usize {
        64
    }

    fn memories(&self) -> usize {
        16
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Text of a guest made fit for one line of a log or a message: at most `limit` bytes, no control
/// characters.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let mut cut = text.len().min(limit);
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    text[..cut].chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_between_characters_and_cleaned() {
        let cases = [
            ("", 4, ""),
            ("plain", 9, "plain"),
            ("plain", 5, "plain"),
            ("plain", 4, "plai"),
            ("a\r\nb\u{1b}[31mc\u{85}d", 99, "a  b [31mc d"),
            ("ää", 3, "ä"),
            ("€", 2, ""),
        ];
        for (text, limit, expected) in cases {
            assert_eq!(one_line(text, limit), expected, "{text:?}");
        }
    }

    #[test]
    fn memories_add_up() {
        let mut limit = MemoryLimit::new(100, 10);
        assert!(limit.memory_growing(0, 60, None).unwrap());
        assert!(limit.memory_growing(60, 70, None).unwrap());
        assert!(limit.memory_growing(0, 30, None).unwrap());
        assert!(limit.memory_growing(30, 31, None).unwrap_err().is::<MemorySpent>());
    }

    #[test]
    fn bytes_become_digits() {
        assert_eq!(hex(&[0x00, 0x9f, 0xa0, 0xff]), "009fa0ff");
    }
}

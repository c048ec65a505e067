//! Write Fireguard plugins in Rust: bindings hidden, a span-copying JSON rewriter included.

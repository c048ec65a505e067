//! The wasmtime host of Fireguard plugins: engine, phases, capabilities, limits.

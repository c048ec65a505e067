//! The fireguard binary.
fn main() {}

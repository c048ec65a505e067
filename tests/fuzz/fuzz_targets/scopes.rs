//! See `fireguard_fuzz::scopes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fireguard_fuzz::scopes(data));

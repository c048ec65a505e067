//! See `fireguard_fuzz::interaction`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fireguard_fuzz::interaction(data));

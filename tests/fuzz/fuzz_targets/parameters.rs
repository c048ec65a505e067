//! See `fireguard_fuzz::parameters`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fireguard_fuzz::parameters(data));

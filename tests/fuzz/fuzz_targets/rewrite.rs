//! See `fireguard_fuzz::rewrite`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fireguard_fuzz::rewrite(data));

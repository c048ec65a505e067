//! See `fireguard_fuzz::split`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fireguard_fuzz::split(data));

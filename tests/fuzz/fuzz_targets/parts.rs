//! See `fireguard_fuzz::parts`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fireguard_fuzz::parts(data));

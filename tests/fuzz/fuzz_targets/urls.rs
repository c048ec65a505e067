//! See `fireguard_fuzz::urls`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fireguard_fuzz::urls(data));

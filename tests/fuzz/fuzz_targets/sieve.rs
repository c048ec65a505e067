//! See `fireguard_fuzz::sieve`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fireguard_fuzz::sieve(data));

//! The bypass catalogue: every way we know in which a gateway showed one patient's data to another, tried on a real HAPI
//! with two patients' data (`cargo xtask test bypass` prints the table).
//!
//! An attack is a request with `{x}` where somebody else's data is named. Through Fireguard, by a token for patient A,
//! it is sent with another patient's names and with names that nobody has: both answers must be the same to the byte,
//! and nothing of the other patient may be in any. Straight to HAPI, the same attack on a third patient must show
//! something, or the attack says that this HAPI does not do it: a catalogue that cannot fail is none.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a helper of a test may fail, and say what it found, like the test"
)]

mod attack;
mod catalogue;
mod data;
mod forms;
mod oracle;
mod own;
mod run;
mod world;

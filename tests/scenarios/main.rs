//! Fireguard before a real HAPI, and before the stand-in where HAPI cannot be made to misbehave.
//!
//! One binary, so that all suites share one HAPI. Most are lists of steps ([`common::steps`]): every request
//! is sent twice, straight to HAPI and through Fireguard, and the answers must be the same but for what has
//! to differ ([`common::normal`]).
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a helper of a test may fail, and say why it was skipped, like the test"
)]

mod audit;
#[path = "../docs/blocks.rs"]
#[expect(dead_code, reason = "the list of pages is for the suite of the documentation")]
mod blocks;
mod browser;
mod bundles;
mod clients;
mod common;
mod conditions;
mod confined;
mod connections;
mod disconnects;
mod exports;
mod formats;
mod framing;
mod guide;
mod gzip;
mod operations;
mod outages;
mod paging;
mod plugin_writes;
mod plugins;
mod reads;
mod research;
mod searches;
mod streaming;
mod tokens;
mod transport;
mod traps;
mod urls;
mod writes;
mod xml;

//! The host against real guests: one that does whatever its settings say (`tests/guests`), and small ones
//! written as text.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "that is how a test fails")]

mod asks;
mod capabilities;
mod failures;
mod guests;
mod loading;
mod phases;
mod released;
mod reuse;
mod sharing;
mod template;
mod verdicts;

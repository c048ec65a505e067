//! What the documentation shows is tried out: configurations, rules, links, the plugin author's example, and
//! the lists that a page repeats from the code.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail like the test")]

mod blocks;
mod configurations;
mod links;
mod lists;
mod plugin;
mod policies;

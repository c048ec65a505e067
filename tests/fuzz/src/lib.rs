//! What each fuzz target does with its bytes, and what must hold whatever they are.
//!
//! `tests/properties` includes this file and runs every body over the seeds, so that none can rot.
#![forbid(unsafe_code)]
#![expect(clippy::expect_used, clippy::panic, reason = "a panic is how a target tells what it found")]

mod access;
mod answers;
mod bundles;
mod json;
mod parts;
mod requests;
pub mod whose;
mod xml;

pub use access::sieve;
pub use answers::answer;
pub use bundles::{entries, responses};
pub use json::{rewrite, scanner, split};
pub use parts::parts;
pub use requests::{interaction, parameters, scopes, urls};
pub use xml::xml;

/// A body and its name, which is also that of its folder of seeds.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 13] = [
    ("scanner", scanner),
    ("rewrite", rewrite),
    ("split", split),
    ("parts", parts),
    ("entries", entries),
    ("responses", responses),
    ("interaction", interaction),
    ("parameters", parameters),
    ("scopes", scopes),
    ("urls", urls),
    ("answer", answer),
    ("xml", xml),
    ("sieve", sieve),
];

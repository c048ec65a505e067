//! What must hold for every document and every cut: over the samples beside the repository, and over the seeds
//! of the fuzz targets.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a helper of a test may fail, and say why it was skipped, like the test"
)]

mod bundles;
#[path = "../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "public where it is a library")]
mod fuzz;
mod requests;
mod samples;
mod seeds;
mod urls;
mod whose;
mod xml;

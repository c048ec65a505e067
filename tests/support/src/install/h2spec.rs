//! h2spec, the conformance suite for HTTP/2, from the Go module registry.

use std::path::PathBuf;
use std::process::Command;

use super::{Error, once, run};
use crate::repository;

const GO: &str = "Go 1.21 or newer";
const MODULE: &str = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible";

/// The command `h2spec`.
///
/// # Errors
/// Go is missing, or the download or build failed.
pub fn h2spec(progress: &dyn Fn(&str)) -> Result<PathBuf, Error> {
    let home = repository::target().join("h2spec");
    once(&home, MODULE, &[], || {
        progress("building h2spec into target/h2spec");
        let mut go = Command::new("go");
        // Its own lists of dependencies are older than Go's modules.
        go.args(["install", MODULE]).env("GOBIN", &home).env("GOFLAGS", "-buildvcs=false");
        run(&mut go, GO).map(drop)
    })?;
    Ok(home.join("h2spec"))
}

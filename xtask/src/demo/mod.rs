//! `cargo xtask demo`: a real HAPI with data behind Fireguard, and lines to try it with.

mod config;
mod dates;
mod leaks;
mod lines;

use std::fs;
use std::time::Duration;

use fireguard_test_support::data::{self, Markers};
use fireguard_test_support::gateway::{self, Gateway};
use fireguard_test_support::hapi::{Options, Package, Server};
use fireguard_test_support::repository;
use serde_json::Value;

use crate::error::Error;
use crate::plugins;
use crate::progress::{Progress, print};

/// Sets everything up, prints the lines, and waits for Ctrl-C; with `check` runs the lines itself, searches
/// what `/research` answers for everything that identifies somebody, and ends.
///
/// # Errors
/// Something cannot be set up, or an answer is not as printed.
pub(crate) fn run(check: bool) -> Result<(), Error> {
    let progress = Progress::begin();
    plugins::build(&progress)?;
    progress.step("building Fireguard");
    gateway::binary()?;
    let package = Package::ensure(&|step| progress.step(&format!("HAPI: {step}")))?;
    let bundles = data::demo(&|step| progress.step(&format!("data: {step}")))?;
    progress.step("starting HAPI, in memory");
    let hapi = Server::start(&package, &Options::default().heap("1g"))?;
    progress.step(&format!("HAPI answers at {}", hapi.base_url()));
    let loaded = data::load(hapi.base_url(), &bundles, &|step| progress.step(&format!("data: {step}")))?;
    progress.step(&format!("loaded {} resources", loaded.resources));
    let folder = repository::target().join("demo");
    fs::create_dir_all(&folder).map_err(Error::io("creating target/demo"))?;
    let gateway = Gateway::start_in(&folder, &config::write(&folder, hapi.base_url())?)?;
    progress.step(&format!("Fireguard serves at {}", gateway.url()));
    let lines = lines::lines(&gateway);
    if check {
        let failed = lines.iter().filter(|line| !line.check(hapi.base_url())).count();
        let documents: Vec<Value> =
            bundles.iter().filter_map(|bundle| serde_json::from_slice(&bundle.json).ok()).collect();
        // Of what HAPI says of itself nothing came with the data.
        let statement = capabilities(hapi.base_url())?;
        let markers = Markers::of(documents.iter().chain([&statement]))
            .map_err(|error| Error::Usage(error.to_string()))?;
        let clean = leaks::search(&gateway, hapi.base_url(), &documents, &markers, &progress)?;
        if failed > 0 || !clean {
            return Err(Error::Usage(format!("the demo is not as printed: {failed} line(s) failed")));
        }
        print("demo: every line answers as printed, and /research told nobody's name");
        return Ok(());
    }
    print(&format!(
        "\nFireguard stands before a real HAPI. Its configuration: {}\n",
        folder.join("fireguard.toml").display()
    ));
    for line in &lines {
        print(&line.to_string());
    }
    print("The ids on /research are hashed; asking by them comes with a later version.");
    print("Ctrl-C stops Fireguard and HAPI.");
    wait_for_interrupt()?;
    drop((gateway, hapi));
    print("\nstopped");
    Ok(())
}

fn capabilities(base: &str) -> Result<Value, Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Usage(format!("{base}/metadata: {error}"));
    let get = ureq::get(format!("{base}/metadata")).header("accept", "application/fhir+json");
    let mut answer = get.call().map_err(|e| failed(&e))?;
    let text = answer.body_mut().with_config().limit(64 << 20).read_to_string().map_err(|e| failed(&e))?;
    serde_json::from_str(&text).map_err(|e| failed(&e))
}

/// Returns when somebody presses Ctrl-C or asks the process to end.
fn wait_for_interrupt() -> Result<(), Error> {
    let (send, interrupted) = std::sync::mpsc::channel();
    ctrlc::set_handler(move || {
        let _ = send.send(());
    })
    .map_err(|error| Error::Usage(format!("cannot wait for Ctrl-C: {error}")))?;
    while interrupted
        .recv_timeout(Duration::from_secs(3600))
        .is_err_and(|e| e == std::sync::mpsc::RecvTimeoutError::Timeout)
    {}
    Ok(())
}

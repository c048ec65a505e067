//! Our side: the gateway as its users run it, with every layer.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use fireguard_test_support::repository;

use super::process::{Front, Proxy, folder, free_address, write};
use crate::error::Error;

/// A limit that costs what a limit costs and is never met.
const RATE: &str = "rate = { per_second = 1000000, burst = 1000000 }\n";
/// Made up, as is all that it hashes.
const KEY: &str = "9f31c0d27ab84e6590d1e3fb62a7c458";

/// The gateway that is measured.
#[derive(Debug, Clone)]
pub(super) struct Fireguard {
    /// The program.
    pub(super) binary: PathBuf,
    /// Where an instrumented program writes what it has counted.
    pub(super) profile: Option<PathBuf>,
}

/// What only ours is told.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extras<'a> {
    /// A second route, `/research`, with the de-identification plugin, kept compiled.
    pub(super) plugin: bool,
    /// A third route, `/large`, with this component.
    pub(super) component: Option<&'a Path>,
    /// Where it is to be told to reload; none: on a free port.
    pub(super) admin: Option<SocketAddr>,
    /// How many requests may be at the server to begin with.
    pub(super) concurrency: Option<usize>,
}

impl Fireguard {
    /// A build that is there.
    ///
    /// # Errors
    /// It is not.
    pub(super) fn at(binary: PathBuf) -> Result<Self, Error> {
        if binary.exists() {
            Ok(Self { binary, profile: None })
        } else {
            Err(Error::Usage(format!("{} is not built", binary.display())))
        }
    }

    /// Starts it before a server.
    ///
    /// # Errors
    /// It does not listen.
    pub(super) fn start(&self, front: &Front<'_>, extras: Extras<'_>) -> Result<Proxy, Error> {
        let address = free_address()?;
        let admin = extras.admin.map_or_else(free_address, Ok)?;
        let file = write("fireguard.toml", &config(front, extras, address, admin)?)?;
        let mut command = Command::new(&self.binary);
        command.args(["run", "--dev", "--config"]).arg(file);
        if let Some(profile) = &self.profile {
            command.env("LLVM_PROFILE_FILE", profile);
        }
        Proxy::start("fireguard", address, front, &command)
    }
}

fn config(
    front: &Front<'_>,
    extras: Extras<'_>,
    address: SocketAddr,
    admin: SocketAddr,
) -> Result<String, Error> {
    let Front { upstream, workers, .. } = front;
    let level = if front.access_log { "info" } else { "error" };
    let mut text = format!("[server]\nlisten = \"{address}\"\nworkers = {workers}\n");
    let mut line = |line: String| {
        // Writing into a text does not fail.
        let _ = writeln!(text, "{line}");
    };
    if extras.plugin {
        line(format!("cache = \"{}\"", cache()?.display()));
    }
    if let Some(made) = front.certificate {
        let (certificate, key) = (made.certificate.display(), made.key.display());
        line(format!("[server.tls]\ncertificate = \"{certificate}\"\nkey = \"file:{key}\""));
    }
    line(format!("[admin]\nlisten = \"{admin}\"\n[log]\nlevel = \"{level}\""));
    line(format!("[upstreams.hapi]\nurl = \"http://{upstream}/fhir\""));
    if let Some(start) = extras.concurrency {
        line(format!("concurrency = {{ start = {start} }}"));
    }
    line(format!(
        "[routes.fhir]\npath = \"/fhir\"\nupstream = \"hapi\"\nauthentication = \"none\"\ncompression = true\n{RATE}"
    ));
    if extras.plugin {
        let rules = repository::root().join("policies/deid/research.json");
        let component = repository::target().join("plugins/deid.wasm");
        let key = write("pseudonym.key", KEY)?;
        line("[routes.research]\npath = \"/research\"\nupstream = \"hapi\"\nauthentication = \"none\"\nread_only = true\nplugins = [\"deid\"]".to_owned());
        line(format!(
            "[plugins.deid]\ncomponent = \"{}\"\non_failure = \"refuse\"\nfiles = {{ rules = \"{}\" }}\n\
             grants.pseudonym = {{ key = \"file:{}\", project = \"bench\" }}",
            component.display(),
            rules.display(),
            key.display()
        ));
    }
    if let Some(component) = extras.component {
        let component = component.display();
        line("[routes.large]\npath = \"/large\"\nupstream = \"hapi\"\nauthentication = \"none\"\nread_only = true\nplugins = [\"large\"]".to_owned());
        line(format!("[plugins.large]\ncomponent = \"{component}\"\non_failure = \"refuse\""));
    }
    Ok(text)
}

/// The folder of compiled plugins.
fn cache() -> Result<PathBuf, Error> {
    use std::os::unix::fs::DirBuilderExt;
    let folder = folder()?.join("cache");
    if !folder.exists() {
        let made = std::fs::DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(Error::io(folder.display().to_string()))?;
    }
    Ok(folder)
}

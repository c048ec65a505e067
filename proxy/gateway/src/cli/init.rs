//! `fireguard init`: a commented configuration for one's own FHIR server, tried out at once.

use std::net::SocketAddr;
use std::path::PathBuf;

use fireguard_fhir::base::Base;

use super::{Failed, probe, report, runtime, say};
use crate::config::{Config, defaults};

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The base URL of your FHIR server: http://127.0.0.1:8080/fhir
    #[arg(long, value_name = "URL")]
    upstream: String,
    /// Where clients shall connect.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = defaults::LISTEN)]
    listen: SocketAddr,
    /// The file to write.
    #[arg(short, long, value_name = "FILE", default_value = "fireguard.toml")]
    output: PathBuf,
    /// Write over a file that is there.
    #[arg(long)]
    force: bool,
    /// Write the file without trying the server.
    #[arg(long)]
    offline: bool,
}

/// Writes the file, then checks metadata, paging and leaks through a Fireguard of its own.
pub(super) fn init(arguments: &Arguments) -> Result<(), Failed> {
    let base = Base::parse(&arguments.upstream)
        .map_err(|error| miette::miette!("--upstream {}: {error}", arguments.upstream))?;
    let path = &arguments.output;
    if path.exists() && !arguments.force {
        return Err(miette::miette!(
            help = "write elsewhere with --output FILE, or over it with --force",
            "{} is already there",
            path.display()
        ));
    }
    let text = template(&base, arguments.listen);
    let config = Config::parse(&text, path)?;
    std::fs::write(path, &text)
        .map_err(|error| miette::miette!("cannot write {}: {error}", path.display()))?;
    say(&format!("wrote {}", path.display()));
    if !arguments.offline {
        let findings = runtime()?.block_on(probe::probe(config)).map_err(|error| report(error.as_ref()))?;
        let failed = findings.iter().filter(|finding| !finding.good).count();
        for finding in &findings {
            say(&finding.to_string());
        }
        if failed > 0 {
            return Err(miette::miette!(
                help = "docs/guide/own-hapi.md says what each finding means",
                "{failed} of {} checks failed; the configuration is written all the same",
                findings.len()
            ));
        }
    }
    say(&format!("start it:   fireguard run --config {}", path.display()));
    say(&format!("and ask it: curl http://{}/fhir/metadata", arguments.listen));
    Ok(())
}

fn template(base: &Base, listen: SocketAddr) -> String {
    include_str!("template.toml")
        .replace("{upstream}", &base.to_string())
        .replace("{listen}", &listen.to_string())
}

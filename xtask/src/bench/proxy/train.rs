//! What profile-guided optimisation learns from: the benchmark's own loads, and a route with a plugin.

use std::path::Path;
use std::time::Duration;

use super::certificate::Certificate;
use super::compare::{get, search};
use super::fireguard::{Extras, Fireguard};
use super::process::{Front, alone};
use crate::bench::load::{Clients, Load, Responder};
use crate::bench::payload;
use crate::error::Error;
use crate::pgo;
use crate::progress::Progress;

const LOAD: Duration = Duration::from_secs(4);

/// Puts each load on an instrumented gateway for some seconds, and lets it end so that it writes what it has counted.
///
/// # Errors
/// It does not start, or answers wrongly.
pub(in crate::bench) fn train(binary: &Path) -> Result<(), Error> {
    super::runtime()?.block_on(run(binary))
}

async fn run(binary: &Path) -> Result<(), Error> {
    let progress = Progress::begin();
    let _alone = alone()?;
    let profile = Some(pgo::raw().join("fireguard-%p.profraw"));
    let fireguard = Fireguard { profile, ..Fireguard::at(binary.to_owned())? };
    let certificate = Certificate::make()?;
    for (tls, rewrite) in [(false, false), (false, true), (true, false)] {
        for large in [false, true] {
            progress.step(&format!("learning: TLS {tls}, addresses {rewrite}, large {large}"));
            let body = |base: &str| {
                payload::searchset(large, if rewrite { base } else { "http://elsewhere.example/fhir" })
            };
            let responder = Responder::start(body).await?;
            let front = Front { certificate: tls.then_some(&certificate), ..Front::plain(responder.address) };
            let proxy = fireguard.start(&front, Extras { plugin: true, ..Extras::default() })?;
            let base = format!("http://{}/fhir", proxy.target.address);
            let pass = search(&proxy.target, 16, body(&base));
            let plugin = get(proxy.target.address, "/research/Observation?code=x");
            let plugin = Load { requests: [plugin].into(), expected: None, ..pass.clone() };
            for load in [pass, plugin] {
                Clients::first(&load).await?;
                let clients = Clients::start(&load);
                let round = clients.during(LOAD).await?;
                clients.finish().await?;
                if round.refused > 0 || round.answered == 0 {
                    return Err(Error::Usage("the instrumented gateway refuses".to_owned()));
                }
            }
            proxy.stop()?;
        }
    }
    Ok(())
}

//! `fireguard check`.

use std::path::Path;

use super::{Failed, access, report, runtime, say};
use crate::config::Config;
use crate::plugins::Plugins;
use crate::server::check_tls;
use crate::state::Shared;

/// Reads the configuration and loads its plugins. `dev`: these need no digests.
pub(super) fn check(path: &Path, dev: bool) -> Result<(), Failed> {
    let config = Config::load(path)?;
    let summary = summary(path, &config);
    if let Some(tls) = &config.server.tls {
        check_tls(tls).map_err(|error| report(&error))?;
    }
    let engine = Plugins::none(None).map_err(|error| report(&error))?.dev(dev).looked_at();
    runtime()?.block_on(Shared::first(&engine, config)).map_err(|error| report(&error))?;
    say(&summary);
    Ok(())
}

/// What clients and plugins get to do with it, on a line for each route.
fn summary(path: &Path, config: &Config) -> String {
    let scheme = if config.server.tls.is_some() { "https" } else { "http" };
    let address = match &config.server.public_url {
        Some(url) => url.to_string(),
        None => format!("{scheme}://{}", config.server.listen),
    };
    let mut text = format!("{} is valid", path.display());
    for route in &config.routes {
        let plugins: Vec<_> = route.plugins.iter().filter_map(|index| config.plugins.get(*index)).collect();
        let plugins = plugins.iter().map(|plugin| format!(" ► plugin {}", plugin.name)).collect::<String>();
        let bases: Vec<_> = route.replicas.bases.iter().map(ToString::to_string).collect();
        let line = format!(
            "\nroute {}: clients use {address}{}{plugins} ► {}",
            route.name,
            route.prefix,
            bases.join(", ")
        );
        text.push_str(&line);
    }
    for line in access::lines(config) {
        text.push('\n');
        text.push_str(&line);
    }
    text
}

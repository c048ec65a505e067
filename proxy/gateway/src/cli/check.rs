//! `fireguard check`.

use std::path::Path;

use super::{Failed, report, runtime, say};
use crate::config::Config;
use crate::server::check_tls;
use crate::state::Shared;

/// Reads the configuration and loads its plugins.
pub(super) fn check(path: &Path) -> Result<(), Failed> {
    let config = Config::load(path)?;
    let summary = format!(
        "{} is valid: {} route(s), {} plugin(s)",
        path.display(),
        config.routes.len(),
        config.plugins.len()
    );
    if let Some(tls) = &config.server.tls {
        check_tls(tls).map_err(|error| report(&error))?;
    }
    runtime()?.block_on(Shared::build(config)).map_err(|error| report(&error))?;
    say(&summary);
    Ok(())
}

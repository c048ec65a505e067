//! What the FHIR servers say of themselves: only R4 is spoken here, so only R4 is served.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fireguard_fhir::base::Base;
use reqwest::Client;
use serde::Deserialize;

use crate::state::Shared;

/// How often a server that does not answer is asked again.
const AGAIN: Duration = Duration::from_secs(2);
/// HAPI needs a second for its first CapabilityStatement.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether every server is known to speak R4.
#[derive(Debug, Clone, Default)]
pub struct Known(Arc<AtomicBool>);

/// A server that speaks another version.
#[derive(Debug, thiserror::Error)]
#[error("the FHIR server at {base} says it speaks FHIR {version}: only R4 (4.0.x) is supported")]
pub struct WrongVersion {
    base: Base,
    version: String,
}

/// What is read of a CapabilityStatement.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    fhir_version: String,
}

impl Known {
    /// Every server has said so.
    pub fn all(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Asks every server for its version until all have answered.
///
/// # Errors
/// One speaks another version.
pub async fn require_r4(shared: &Shared, known: &Known) -> Result<(), WrongVersion> {
    let client =
        Client::builder().timeout(PATIENCE).no_proxy().redirect(reqwest::redirect::Policy::none()).build();
    let Ok(client) = client else { return Ok(()) };
    let mut asked = BTreeSet::new();
    for route in &shared.routes {
        if !asked.insert(route.upstream.to_string()) {
            continue;
        }
        loop {
            match version(&client, &route.upstream).await {
                Ok(version) if version.starts_with("4.0") => break,
                Ok(version) => return Err(WrongVersion { base: route.upstream.clone(), version }),
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(route = route.name, %error, cause, "the FHIR server does not say its version");
                }
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
    known.0.store(true, Ordering::Relaxed);
    Ok(())
}

async fn version(client: &Client, base: &Base) -> Result<String, reqwest::Error> {
    let request = client.get(format!("{base}/metadata")).header("accept", "application/fhir+json");
    let statement: Statement = request.send().await?.error_for_status()?.json().await?;
    Ok(statement.fhir_version)
}

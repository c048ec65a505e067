//! `fireguard doctor`: tries a configuration out on its servers, and names the lines to change.

mod server;

use std::collections::BTreeSet;
use std::path::Path;

use fireguard_state::s3::Bucket;

use super::probe::{self, Finding, Topic};
use super::{Failed, access, report, runtime, say};
use crate::config::{Config, line};

/// Asks each server directly, then each route through a Fireguard of its own, as a careful client does. Nothing is
/// written to a server.
pub(super) fn doctor(path: &Path) -> Result<(), Failed> {
    let text = Config::read(path)?;
    let config = Config::parse(&text, path)?;
    let access = access::lines(&config);
    let mut seen = BTreeSet::new();
    let servers: Vec<_> =
        config.routes.iter().filter(|route| seen.insert(route.upstream_name.clone())).collect();
    let servers: Vec<_> =
        servers.into_iter().flat_map(|route| server::Server::of(route, &config.limits)).collect();
    let buckets: Vec<_> = config.buckets.values().cloned().collect();
    let findings = runtime()?.block_on(async {
        let mut findings = Vec::new();
        for bucket in buckets {
            findings.push(bucket_is_there(&bucket).await);
        }
        for server in servers {
            findings.extend(server.examine().await.map_err(|error| report(&error))?);
        }
        findings.extend(probe::probe(config).await.map_err(|error| report(error.as_ref()))?);
        Ok::<_, Failed>(findings)
    })?;
    let failed = findings.iter().filter(|finding| !finding.good).count();
    for finding in &findings {
        let place = if finding.good { String::new() } else { place(path, &text, finding) };
        say(&format!("{}{place}", finding.with_subject()));
    }
    access.iter().for_each(|line| say(line));
    match failed {
        0 => Ok(()),
        _ => Err(miette::miette!(
            help = "docs/guide/own-hapi.md says what each finding means",
            "{failed} of {} checks failed",
            findings.len()
        )),
    }
}

/// Whether a bucket may be used: nothing is put there.
async fn bucket_is_there(bucket: &Bucket) -> Finding {
    let probed = bucket.probe().await;
    Finding {
        good: probed.is_ok(),
        topic: Topic::Bucket,
        text: probed.map_or_else(|fault| fault.to_string(), |()| "it is there and may be used".to_owned()),
        subject: bucket.name().to_owned(),
        upstream: bucket.name().to_owned(),
    }
}

/// ` (fireguard.toml:12: upstreams.hapi.url)`: what to change, or what it has to do with.
fn place(path: &Path, text: &str, finding: &Finding) -> String {
    let names: Vec<&str> = match finding.topic {
        Topic::Head => vec!["limits", "upstream_head"],
        Topic::Body => vec!["limits", "request_body"],
        Topic::Pool => vec!["upstreams", &finding.upstream, "concurrency", "most"],
        Topic::Bucket => vec!["buckets", &finding.upstream, "bucket"],
        Topic::Metadata | Topic::Paging | Topic::Leaks => vec!["upstreams", &finding.upstream, "url"],
    };
    let path = path.display();
    let line = line(text, &names).map(|line| format!(":{line}")).unwrap_or_default();
    format!(" ({path}{line}: {})", names.join("."))
}

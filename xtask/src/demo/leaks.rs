//! Asks `/research` for everything it has and searches the answers for whatever identifies somebody.

use std::collections::BTreeSet;
use std::time::Duration;

use fireguard_test_support::data::{Found, Kind, Markers};
use fireguard_test_support::gateway::Gateway;
use serde_json::Value;
use ureq::Agent;

use super::dates::Originals;
use crate::error::Error;
use crate::progress::{Progress, print};

/// What has been searched.
#[derive(Default)]
struct Tally {
    answers: usize,
    pages: usize,
    resources: usize,
    hits: usize,
}

struct Search<'a> {
    agent: Agent,
    base: String,
    server: String,
    markers: &'a Markers,
    progress: &'a Progress,
    dates: Originals,
    tally: Tally,
}

/// Every page of every type, every patient's `$everything` and history, and answers that are errors: bodies,
/// headers, links. True if nothing was found.
///
/// # Errors
/// Fireguard cannot be asked.
pub(super) fn search(
    gateway: &Gateway,
    upstream: &str,
    documents: &[Value],
    markers: &Markers,
    progress: &Progress,
) -> Result<bool, Error> {
    let config =
        Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(60)));
    let resources: Vec<&Value> = documents
        .iter()
        .flat_map(|bundle| bundle["entry"].as_array().into_iter().flatten())
        .map(|entry| &entry["resource"])
        .collect();
    let mut search = Search {
        agent: config.build().new_agent(),
        base: format!("{}/research", gateway.url()),
        server: upstream.trim_start_matches("http://").split('/').next().unwrap_or(upstream).to_owned(),
        markers,
        progress,
        dates: Originals::of(resources.iter().copied()),
        tally: Tally::default(),
    };
    let types: BTreeSet<&str> = resources.iter().filter_map(|r| r["resourceType"].as_str()).collect();
    progress.step(&format!(
        "searching what /research answers for {} names, phones, addresses, identifiers and birth dates",
        markers.all().len()
    ));
    for ty in &types {
        search.pages(&format!("{}/{ty}?_count=200", search.base))?;
    }
    // Resources with an id of their own can be asked for by it.
    for resource in resources {
        let (Some(ty), Some(id)) = (resource["resourceType"].as_str(), resource["id"].as_str()) else {
            continue;
        };
        if id.len() > 30 {
            continue;
        }
        for path in ["", "/_history", "/_history/1"] {
            search.answer(&format!("{}/{ty}/{id}{path}", search.base))?;
        }
        if ty == "Patient" {
            search.pages(&format!("{}/{ty}/{id}/$everything?_count=50", search.base))?;
        }
    }
    search.errors()?;
    let Tally { answers, pages, resources, hits } = search.tally;
    print(&format!(
        "searched {answers} answers ({pages} pages, {resources} resources) of /research: {hits} hits"
    ));
    if answers == 0 || resources == 0 {
        return Err(Error::Usage("/research answered nothing: there was nothing to search".into()));
    }
    Ok(hits == 0)
}

impl Search<'_> {
    /// Follows the next links to the end.
    fn pages(&mut self, first: &str) -> Result<(), Error> {
        let mut url = Some(first.to_owned());
        while let Some(page) = url {
            let answer = self.answer(&page)?;
            self.tally.pages += 1;
            self.tally.resources += answer["entry"].as_array().map_or(0, Vec::len);
            let links = answer["link"].as_array().into_iter().flatten();
            url =
                links.filter(|l| l["relation"] == "next").find_map(|l| l["url"].as_str()).map(str::to_owned);
        }
        Ok(())
    }

    /// What is refused must tell nothing either.
    fn errors(&mut self) -> Result<(), Error> {
        let base = self.base.clone();
        for path in [
            "/Patient/no-such-patient",
            "/Patient?identifier=x",
            "/Patient?_format=xml",
            "/Patient/demo-narrative/$validate",
            "/Nope",
            "/metadata",
            "?_getpages=00000000-0000-0000-0000-000000000000",
            "?_page=AAAA",
        ] {
            self.answer(&format!("{base}{path}"))?;
        }
        Ok(())
    }

    fn answer(&mut self, url: &str) -> Result<Value, Error> {
        let failed = |error: ureq::Error| Error::Usage(format!("{url}: {error}"));
        let mut answer = self.agent.get(url).call().map_err(failed)?;
        self.tally.answers += 1;
        if self.tally.answers.is_multiple_of(2_000) {
            self.progress.step(&format!("searched {} answers", self.tally.answers));
        }
        let headers: Vec<String> = answer
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
            .collect();
        let body = answer.body_mut().with_config().limit(256 << 20).read_to_string().map_err(failed)?;
        let value: Value = serde_json::from_str(&body)
            .map_err(|_| Error::Usage(format!("{url}: status {} and no JSON", answer.status())))?;
        for header in &headers {
            // A client's own words come back to it: only what follows the address it asked counts.
            for marker in self.markers.find_in_text(header) {
                self.hit(url, &format!("header {header}"), &marker.text);
            }
            if header.contains(&self.server) {
                self.hit(url, header, &self.server.clone());
            }
        }
        for found in self.markers.find_in_json(&value) {
            let Found { marker, place } = &found;
            if marker.kind == Kind::BirthDate && self.dates.is_moved(&value, place, &marker.text) {
                continue;
            }
            self.hit(url, place, &marker.text);
        }
        if body.contains(&self.server) {
            self.hit(url, "the body", &self.server.clone());
        }
        Ok(value)
    }

    fn hit(&mut self, url: &str, place: &str, text: &str) {
        self.tally.hits += 1;
        if self.tally.hits <= 20 {
            print(&format!("LEAK {text:?} at {place} of {url}"));
        }
    }
}

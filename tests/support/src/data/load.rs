//! Posting Bundles to a server and making sure that all of them arrived.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Bundle, Error};

/// Four at once is where HAPI on two cores stores the most.
const WORKERS: usize = 4;
/// HAPI takes ten seconds for ten thousand entries on an idle machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(300);
/// Transactions that meet may lose a race and are rolled back with 409; that is no reason to give up.
const ATTEMPTS: usize = 5;

/// What was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// How many Bundles.
    pub bundles: usize,
    /// How many resources are in them.
    pub resources: usize,
}

/// Posts the Bundles to a FHIR base URL, stage after stage. `progress` is told how far it is, about once
/// a second.
///
/// # Errors
/// The server cannot be reached, or refuses a Bundle or an entry of one.
pub fn load(base: &str, bundles: &[Bundle], progress: &(dyn Fn(&str) + Sync)) -> Result<Loaded, Error> {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    let agent = config.timeout_global(Some(ANSWER_WITHIN)).build().new_agent();
    let meter = Meter { total: bundles.len(), ..Meter::new(progress) };
    let mut stages: Vec<u8> = bundles.iter().map(|bundle| bundle.stage).collect();
    stages.sort_unstable();
    stages.dedup();
    for stage in stages {
        let stage: Vec<&Bundle> = bundles.iter().filter(|bundle| bundle.stage == stage).collect();
        load_stage(&agent, base, &stage, &meter)?;
    }
    Ok(Loaded { bundles: bundles.len(), resources: meter.resources.load(Ordering::Relaxed) })
}

fn load_stage(agent: &ureq::Agent, base: &str, bundles: &[&Bundle], meter: &Meter<'_>) -> Result<(), Error> {
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let work = || {
        while let Some(bundle) = bundles.get(next.fetch_add(1, Ordering::Relaxed)) {
            match post(agent, base, bundle) {
                Ok(resources) => meter.count(resources),
                Err(error) => {
                    // The others find nothing left to do.
                    next.store(bundles.len(), Ordering::Relaxed);
                    if let Ok(mut failure) = failure.lock() {
                        failure.get_or_insert(error);
                    }
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..WORKERS.min(bundles.len()) {
            scope.spawn(work);
        }
    });
    match failure.into_inner() {
        Ok(Some(error)) => Err(error),
        _ => Ok(()),
    }
}

/// Posts one Bundle and returns how many entries were stored.
fn post(agent: &ureq::Agent, base: &str, bundle: &Bundle) -> Result<usize, Error> {
    let name = || bundle.name.clone();
    let sent: Value =
        serde_json::from_slice(&bundle.json).map_err(|source| Error::Json { name: name(), source })?;
    let expected = entries(&sent).len();
    for attempt in 1.. {
        let request = agent.post(base).content_type("application/fhir+json");
        let mut response = request
            .header("Accept", "application/fhir+json")
            .send(&bundle.json[..])
            .map_err(|source| Error::Http { name: name(), source })?;
        let status = response.status().as_u16();
        if status == 409 && attempt < ATTEMPTS {
            continue;
        }
        let answer: Value = serde_json::from_reader(response.body_mut().as_reader())
            .map_err(|source| Error::Json { name: format!("the answer to {}", bundle.name), source })?;
        if let Some(reason) = refusal(status, &answer, expected) {
            return Err(Error::Refused { name: name(), reason });
        }
        break;
    }
    Ok(expected)
}

/// Why an answer does not mean that all entries were stored; none: it does.
fn refusal(status: u16, answer: &Value, expected: usize) -> Option<String> {
    let diagnostics = |outcome: &Value| {
        let text = outcome["issue"][0]["diagnostics"].as_str();
        text.unwrap_or("without diagnostics").to_owned()
    };
    if status != 200 {
        return Some(format!("{status}: {}", diagnostics(answer)));
    }
    let entries = entries(answer);
    // HAPI may leave out entries that it took for duplicates.
    if entries.len() != expected {
        return Some(format!("{expected} entries were sent and {} answered", entries.len()));
    }
    entries.iter().enumerate().find_map(|(place, entry)| {
        let status = entry["response"]["status"].as_str().unwrap_or_default();
        let outcome = &entry["response"]["outcome"];
        (!status.starts_with('2')).then(|| format!("entry {place}: {status}: {}", diagnostics(outcome)))
    })
}

fn entries(bundle: &Value) -> &[Value] {
    bundle["entry"].as_array().map_or(&[], Vec::as_slice)
}

/// Tells how far loading is.
struct Meter<'a> {
    progress: &'a (dyn Fn(&str) + Sync),
    told: Mutex<Instant>,
    total: usize,
    bundles: AtomicUsize,
    resources: AtomicUsize,
}

impl<'a> Meter<'a> {
    fn new(progress: &'a (dyn Fn(&str) + Sync)) -> Self {
        Self {
            progress,
            told: Mutex::new(Instant::now()),
            total: 0,
            bundles: AtomicUsize::new(0),
            resources: AtomicUsize::new(0),
        }
    }

    fn count(&self, resources: usize) {
        let bundles = self.bundles.fetch_add(1, Ordering::Relaxed) + 1;
        let resources = self.resources.fetch_add(resources, Ordering::Relaxed) + resources;
        if let Ok(mut told) = self.told.lock()
            && (told.elapsed() >= Duration::from_secs(1) || bundles == self.total)
        {
            *told = Instant::now();
            (self.progress)(&format!("{bundles} of {} Bundles, {resources} resources", self.total));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_counts_only_if_every_entry_was_stored() {
        let answer = |statuses: &[&str]| {
            let entries: Vec<Value> =
                statuses.iter().map(|status| json!({"response": {"status": status}})).collect();
            json!({"resourceType": "Bundle", "entry": entries})
        };
        let outcome = json!({"issue": [{"diagnostics": "HAPI-0"}]});
        for (status, answer, reason) in [
            (200, answer(&["201 Created", "200"]), None),
            (200, answer(&["201 Created"]), Some("2 entries were sent and 1 answered")),
            (200, answer(&["201", "400 Bad Request"]), Some("entry 1: 400 Bad Request: without diagnostics")),
            (400, outcome, Some("400: HAPI-0")),
        ] {
            assert_eq!(refusal(status, &answer, 2).as_deref(), reason);
        }
    }
}

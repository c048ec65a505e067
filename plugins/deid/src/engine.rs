//! De-identification of batches of resources.

use std::time::SystemTime;

use fireguard_sdk::fhir::r4::ResourceType;
use fireguard_sdk::{Host, HostError, Level, Verdict, json};

use crate::matcher::Matcher;
use crate::methods::date::{DAY_LENGTH, Day, write_day};
use crate::pseudonyms::{Answers, TOKEN_LENGTH};
use crate::rules::Rules;
use crate::walk::{Holes, Walk, Walked};

/// A resource of each type that records are mostly made of, with the elements that it mostly has, and nothing in them.
const USUAL: &str = include_str!("engine/usual.ndjson");

/// De-identifies resources by one set of rules.
///
/// Rules and type table are compiled as resources need them, so an engine gets faster with what it has seen.
#[derive(Debug)]
pub struct Engine {
    matcher: Matcher,
}

impl Engine {
    /// An engine for these rules.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self { matcher: Matcher::new(rules) }
    }

    /// An engine that knows what most records hold, as if it had been given some before.
    #[must_use]
    pub fn warmed(mut self) -> Self {
        let mut walk = Walk::new(&mut self.matcher, Day::of(SystemTime::UNIX_EPOCH));
        for resource in USUAL.lines().map(str::as_bytes) {
            if let Ok(ty) = resource_type(resource) {
                // Whatever becomes of it, nobody asked for it.
                let _ = walk.resource(resource, ty);
            }
        }
        self
    }

    /// One verdict for each resource: keep what no rule changes, replace what one does, drop what is of no
    /// type that R4 knows, and refuse what is not a resource in valid JSON.
    ///
    /// Asks the host once for the tokens and once for the date offsets of all resources.
    pub fn process<R: AsRef<[u8]>>(&mut self, host: &dyn Host, resources: &[R]) -> Vec<Verdict> {
        self.answers(host, resources).unwrap_or_else(|error| {
            host.log(Level::Error, &format!("no pseudonyms: {error}"));
            let refusal =
                Verdict::refuse("exception", format!("de-identification has no pseudonyms: {error}"));
            vec![refusal; resources.len()]
        })
    }

    fn answers<R: AsRef<[u8]>>(
        &mut self,
        host: &dyn Host,
        resources: &[R],
    ) -> Result<Vec<Verdict>, HostError> {
        let mut walk = Walk::new(&mut self.matcher, Day::of(host.now()));
        let walk_one = |resource: &R| {
            let resource = resource.as_ref();
            let outcome = walk.resource(resource, resource_type(resource)?);
            outcome.map_err(|error| Verdict::of_rewrite(resource, Err(error)))
        };
        let walked: Vec<_> = resources.iter().map(walk_one).collect();
        let Walk { wanted, holes, .. } = walk;
        let Some(answers) = wanted.resolve(host)? else {
            let refusal =
                Verdict::refuse("exception", "the host's pseudonyms are not what de-identification needs");
            return Ok(vec![refusal; resources.len()]);
        };
        let finish = |(walked, resource): (Result<Walked, Verdict>, &R)| match walked {
            Ok(walked) => finish(walked, resource.as_ref(), &holes, &answers),
            Err(verdict) => verdict,
        };
        Ok(walked.into_iter().zip(resources).map(finish).collect())
    }
}

/// The type of a resource, or the verdict on what has none.
fn resource_type(resource: &[u8]) -> Result<ResourceType, Verdict> {
    match json::resource_type_of(resource) {
        Some(name) => ResourceType::parse(&name).ok_or(Verdict::Drop),
        None => match json::check(resource) {
            Ok(()) => Err(Verdict::refuse("structure", "a resource has no resourceType")),
            Err(error) => Err(Verdict::of_rewrite(resource, Err(error))),
        },
    }
}

/// Fills in the host's answers.
fn finish(walked: Walked, resource: &[u8], holes: &Holes, answers: &Answers) -> Verdict {
    let Walked { mut rewrite, tokens, days } = walked;
    let replacements = rewrite.replacements_mut();
    for (at, token) in &holes.tokens[tokens] {
        let token = answers.tokens[*token as usize].as_bytes();
        replacements[*at..at + TOKEN_LENGTH].copy_from_slice(token);
    }
    let fits = holes.days[days].iter().all(|(at, day, patient)| {
        let moved = day.checked_add(answers.offsets[*patient as usize]);
        moved.is_some_and(|moved| write_day(moved, &mut replacements[*at..at + DAY_LENGTH]))
    });
    if !fits {
        return Verdict::refuse("exception", "the host moves dates out of the years that FHIR can write");
    }
    Verdict::of_rewrite(resource, Ok(rewrite))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use fireguard_sdk::File;
    use fireguard_sdk::testing::TestHost;

    const RULES: &str = r#"{"path":"Patient.birthDate","method":"redact"},
        {"path":"nodesByType('Reference')","method":"redact"},{"path":"Observation","method":"keep"}"#;

    fn engine(rules: &str) -> Engine {
        let content = format!(r#"{{"fhirPathRules":[{rules}]}}"#).into_bytes();
        let file = File { name: "rules".into(), path: "rules".into(), content };
        config::read(&file).map(Engine::new).unwrap()
    }

    fn usual() -> Vec<&'static [u8]> {
        USUAL.lines().map(str::as_bytes).collect()
    }

    /// A name that R4 does not know would go.
    #[test]
    fn the_usual_is_what_r4_knows() {
        for resource in usual() {
            let ty = resource_type(resource).unwrap();
            let mut engine = engine(&format!(r#"{{"path":"{}","method":"keep"}}"#, ty.as_str()));
            let verdicts = engine.process(&TestHost::new(), &[resource]);
            assert_eq!(verdicts, [Verdict::Keep], "{}", ty.as_str());
        }
    }

    #[test]
    fn what_was_seen_before_changes_no_verdict() {
        for resources in [usual(), usual().into_iter().rev().collect()] {
            let (mut cold, mut warm) = (engine(RULES), engine(RULES).warmed());
            let host = TestHost::new();
            assert_eq!(cold.process(&host, &resources), warm.process(&host, &resources));
        }
    }
}

//! De-identification of batches of resources.

use fireguard_sdk::fhir::r4::ResourceType;
use fireguard_sdk::{Host, HostError, Level, Verdict, json};

use crate::matcher::Matcher;
use crate::methods::date::{DAY_LENGTH, Day, write_day};
use crate::pseudonyms::{Answers, TOKEN_LENGTH};
use crate::rules::Rules;
use crate::walk::{Holes, Walk, Walked};

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

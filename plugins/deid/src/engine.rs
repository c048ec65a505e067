//! De-identification of batches of resources.

use fireguard_sdk::fhir::r4::ResourceType;
use fireguard_sdk::{Host, HostError, Level, Verdict, json};

use crate::matcher::Matcher;
use crate::methods::date::Day;
use crate::patient;
use crate::pseudonyms::{Offsets, TOKEN_LENGTH, Tokens};
use crate::rules::{Method, Rules};
use crate::walk::{Walk, Walked};

/// De-identifies resources by one set of rules.
///
/// Rules and type table are compiled as resources need them, so an engine gets faster with what it has seen.
#[derive(Debug)]
pub struct Engine {
    matcher: Matcher,
    shifts_dates: bool,
}

impl Engine {
    /// An engine for these rules.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        let shifts_dates = rules.list.iter().any(|rule| rule.method == Method::DateShift);
        Self { matcher: Matcher::new(rules), shifts_dates }
    }

    /// One verdict for each resource: keep what no rule changes, replace what one does, drop what is of no
    /// type that R4 knows, and refuse what is not a resource in valid JSON.
    ///
    /// Asks the host at most once for tokens, and once for offsets (a second time for resources inside
    /// others).
    pub fn process(&mut self, host: &dyn Host, resources: &[Vec<u8>]) -> Vec<Verdict> {
        self.answers(host, resources).unwrap_or_else(|error| {
            host.log(Level::Error, &format!("no pseudonyms: {error}"));
            let refusal =
                Verdict::refuse("exception", format!("de-identification has no pseudonyms: {error}"));
            vec![refusal; resources.len()]
        })
    }

    fn answers(&mut self, host: &dyn Host, resources: &[Vec<u8>]) -> Result<Vec<Verdict>, HostError> {
        let types: Vec<_> = resources.iter().map(|resource| resource_type(resource)).collect();
        let mut offsets = Offsets::default();
        if self.shifts_dates {
            for (resource, ty) in resources.iter().zip(&types) {
                if let Some(patient) = ty.as_ref().ok().and_then(|ty| patient::of(resource, *ty)) {
                    offsets.get(&patient);
                }
            }
            offsets.resolve(host)?;
        }
        let today = Day::of(host.now());
        let (mut walked, mut tokens) = self.walk(resources, &types, &mut offsets, today);
        // Resources inside others may belong to further patients.
        if offsets.resolve(host)? {
            (walked, tokens) = self.walk(resources, &types, &mut offsets, today);
        }
        let tokens = tokens.resolve(host)?;
        if tokens
            .iter()
            .any(|token| token.len() != TOKEN_LENGTH || !token.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return Ok(vec![Verdict::refuse("exception", "the host answered no tokens"); resources.len()]);
        }
        Ok(walked
            .into_iter()
            .zip(resources)
            .map(|(walked, resource)| finish(walked, resource, &tokens))
            .collect())
    }

    fn walk(
        &mut self,
        resources: &[Vec<u8>],
        types: &[Result<ResourceType, Verdict>],
        offsets: &mut Offsets,
        today: Day,
    ) -> (Vec<Result<Walked, Verdict>>, Tokens) {
        let mut tokens = Tokens::default();
        let mut walk = Walk {
            matcher: &mut self.matcher,
            tokens: &mut tokens,
            offsets: self.shifts_dates.then_some(offsets),
            today,
        };
        let walked = resources.iter().zip(types).map(|(resource, ty)| {
            walk.resource(resource, ty.clone()?).map_err(|error| Verdict::of_rewrite(resource, Err(error)))
        });
        (walked.collect(), tokens)
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

fn finish(walked: Result<Walked, Verdict>, resource: &[u8], tokens: &[String]) -> Verdict {
    match walked {
        Ok(Walked { mut rewrite, holes }) => {
            let replacements = rewrite.replacements_mut();
            for (at, token) in holes {
                replacements[at..at + TOKEN_LENGTH].copy_from_slice(tokens[token as usize].as_bytes());
            }
            Verdict::of_rewrite(resource, Ok(rewrite))
        }
        Err(verdict) => verdict,
    }
}

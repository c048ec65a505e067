//! profile-validate: refuses to write resources that a validator finds errors in.
//!
//! The validator is the FHIR server itself (`$validate`, through the capability `fhir-client`) or another one (through
//! `http-out`). Errors refuse the resource with the validator's OperationOutcome; warnings pass.

#![forbid(unsafe_code)]

mod answer;
mod ask;
mod settings;

pub use settings::ProfileValidate;

use answer::Finding;
use fireguard_sdk::{
    Direction, Exchange, Host, Interest, Item, Level, Plan, Plugin, Problem, Refusal, Resources, Settings,
    Verdict, json,
};

/// The interactions that write whole resources. A patch carries none: a route that validates should not offer it.
const WRITES: [&str; 4] = ["create", "update", "transaction", "batch"];

impl Plugin for ProfileValidate {
    fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>> {
        let plugin = Self::read(&settings)?;
        let written =
            Interest::resources([Direction::ToServer]).of_interactions(WRITES).of_types(plugin.types());
        let plan = Plan::new([written]).needing([plugin.capability()]);
        Ok((plugin, plan))
    }
}

impl Resources for ProfileValidate {
    fn resources(&mut self, host: &dyn Host, _: &Exchange, _: Direction, items: &[Item]) -> Vec<Verdict> {
        // The questions about every resource, asked together.
        let questions: Vec<_> = items.iter().map(|item| self.questions(&item.content)).collect();
        let all: Vec<_> = questions.iter().flatten().cloned().collect();
        let mut answers = self.ask(host, &all).into_iter();
        let verdict = |asked: &Vec<_>| {
            let findings: Vec<Finding> = answers.by_ref().take(asked.len()).map(answer::finding).collect();
            self.verdict(host, findings)
        };
        questions.iter().map(verdict).collect()
    }
}

impl ProfileValidate {
    /// A resource passes when no validation found an error. One that could not be made is worth no more than one that
    /// failed, unless the settings say otherwise.
    fn verdict(&self, host: &dyn Host, findings: Vec<Finding>) -> Verdict {
        let mut unavailable = None;
        for finding in findings {
            match finding {
                Finding::Good => {}
                Finding::Bad(outcome) => {
                    let refusal = Refusal::new("invalid", "the resource does not keep to its profile");
                    return Verdict::Refuse(refusal.with_outcome(outcome));
                }
                Finding::None(why) => unavailable = Some(why),
            }
        }
        match unavailable {
            None => Verdict::Keep,
            Some(why) => {
                host.log(Level::Error, &format!("no validation: {why}"));
                host.count("unavailable", 1);
                if self.passes_unvalidated() {
                    return Verdict::Keep;
                }
                let refusal = Refusal::new("transient", "the resource cannot be validated at the moment");
                Verdict::Refuse(refusal.with_status(503))
            }
        }
    }

    /// The type of a resource, if it is one of those that are validated.
    fn validated<'a>(&self, resource: &'a [u8]) -> Option<std::borrow::Cow<'a, str>> {
        json::resource_type_of(resource).filter(|name| self.profiles(name).is_some())
    }
}

fireguard_sdk::export!(ProfileValidate: Resources);

//! De-identifies FHIR resources by rules in Microsoft's anonymizer configuration format.
//!
//! The plugin has no settings and one file, `rules`. What it cannot honour in that file it refuses, with
//! line and column. What neither a rule names nor R4 knows never passes: unknown elements go, and resources
//! of unknown types go as a whole.
//!
//! Differences from the original, on purpose:
//! - Keys are the host's. Hashes are the same under the same key.
//! - Of a reference to another server the address is hashed too, and a version stays if it is a number.
//! - Dates move by an offset of the *patient*, in every resource alike. Without one patient they are
//!   redacted.
//! - An age over 89 goes by calendar years: counted to the day, dates would vanish on the birthday.
//! - A rule with `keep` may list the values that stay: `"only": ["http://loinc.org", "http://hl7.org/fhir/*"]`.
//! - A value that is no date where one is due goes, instead of staying in clear.
//! - Where `redact` would leave a year, an age or part of a postal code, but the url of the extension around
//!   it goes, they go too: what an extension means is its url.
//! - An `instant` is never cut to its year, which is no instant.

#![forbid(unsafe_code)]

pub mod config;
mod engine;
mod labels;
mod matcher;
mod methods;
mod patient;
mod pseudonyms;
pub mod rules;
mod walk;

pub use engine::Engine;

use fireguard_sdk::{
    Direction, Exchange, Host, Interest, Item, Plan, Plugin, Problem, Resources, Settings, Verdict,
};

/// The plugin: an [`Engine`] for the rules in the file `rules`.
#[derive(Debug)]
pub struct Deid(Engine);

impl Plugin for Deid {
    fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>> {
        let mut problems = settings.refuse_unknown(&[]).err().unwrap_or_default();
        for other in settings.files.iter().filter(|file| file.name != "rules") {
            let message = "this plugin reads one file, called `rules`";
            let file = Some(other.name.clone());
            problems.push(Problem { file, message: message.to_owned(), ..Problem::default() });
        }
        let rules = match settings.file("rules") {
            Some(file) => config::read(file),
            None => Err(vec![Problem::of_settings(
                "there is no file `rules`: name the rules' file under `[plugins.<name>.files]`",
            )]),
        };
        match rules {
            Ok(rules) if problems.is_empty() => {
                let everything = Interest::resources([Direction::ToClient, Direction::ToServer]);
                let plan = Plan::new([everything]);
                let plan = if rules.need_keys() { plan.needing(["pseudonym"]) } else { plan };
                // Instances begin with the memory that this leaves: what it learns now no exchange has to.
                Ok((Self(Engine::new(rules).warmed()), plan))
            }
            Ok(_) => Err(problems),
            Err(more) => {
                problems.extend(more);
                Err(problems)
            }
        }
    }
}

impl Resources for Deid {
    fn resources(&mut self, host: &dyn Host, _: &Exchange, _: Direction, items: &[Item]) -> Vec<Verdict> {
        self.0.process(host, items)
    }
}

fireguard_sdk::export!(Deid: Resources);

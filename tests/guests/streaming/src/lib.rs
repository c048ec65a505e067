//! A plugin that rewrites while it reads, as the SDK makes it easy: for benchmarks.
//!
//! It does what somebody wants who keeps codes and values and no people: texts, names and ways to reach somebody go,
//! references lose their display, a date of birth becomes its year.

#![forbid(unsafe_code)]

use fireguard_sdk::json::{self, Step};
use fireguard_sdk::{
    Direction, Exchange, Host, Interest, Item, Plan, Plugin, Problem, Resources, Settings, Verdict,
};

/// The plugin. Its settings are `{ keep = true }` to look at nothing.
#[derive(Debug)]
pub struct NoPeople {
    keep: bool,
}

impl Plugin for NoPeople {
    fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>> {
        settings.refuse_unknown(&["keep"])?;
        let keep = settings.json.contains("true");
        Ok((Self { keep }, Plan::new([Interest::resources([Direction::ToClient, Direction::ToServer])])))
    }
}

impl Resources for NoPeople {
    fn resources(&mut self, _: &dyn Host, _: &Exchange, _: Direction, items: &[Item]) -> Vec<Verdict> {
        let judge = |item: &Item| if self.keep { Verdict::Keep } else { rewritten(&item.content) };
        items.iter().map(judge).collect()
    }
}

fn rewritten(resource: &[u8]) -> Verdict {
    let outcome = json::transform(resource, |path, value, out| match path {
        "text" | "name" | "telecom" | "address" | "photo" | "contact" | "extension" => Step::Drop,
        "subject" | "encounter" | "participant" | "participant.individual" | "serviceProvider" => {
            Step::Enter(())
        }
        "subject.display" | "participant.individual.display" | "serviceProvider.display" => Step::Drop,
        "birthDate" => match value.string().and_then(|date| date.get(..4).map(str::to_owned)) {
            Some(year) => {
                json::write_string(out, &year);
                Step::Replace
            }
            None => Step::Drop,
        },
        _ => Step::Keep,
    });
    Verdict::of_rewrite(resource, outcome)
}

fireguard_sdk::export!(NoPeople: Resources);

//! publish-events: tells others of every write that the server has acknowledged.
//!
//! An event says what happened to which resource, and never what the resource says. It goes to an HTTP endpoint, into an
//! object store, or both, at least once; who receives it knows repetitions by its `id`.
//!
//! The events of one patient keep their order as far as one call reaches: what could not be delivered holds back the
//! later events of the same patient (or of the same resource, where no patient is known), and those of nobody else.

#![forbid(unsafe_code)]

mod deliver;
mod event;
mod settings;

pub use settings::PublishEvents;

use std::collections::BTreeSet;

use fireguard_sdk::{Event, Host, Interest, Level, Plan, Plugin, Problem, Settings, Settled, Written};

impl Plugin for PublishEvents {
    fn configure(settings: Settings) -> Result<(Self, Plan), Vec<Problem>> {
        let plugin = Self::read(&settings)?;
        let written = Interest::written().of_types(plugin.types.iter().map(String::as_str));
        let plan = Plan::new([written]).needing(plugin.capabilities());
        Ok((plugin, plan))
    }
}

impl Written for PublishEvents {
    fn written(&mut self, host: &dyn Host, events: &[Event]) -> Vec<Settled> {
        let mut held_back = BTreeSet::new();
        let settle = |event: &Event| {
            let order = event::order(event);
            if !held_back.contains(&order) {
                match self.deliver(host, event) {
                    Ok(()) => return Settled::Done,
                    Err(why) => {
                        host.log(Level::Warn, &format!("an event was not delivered: {why}"));
                        host.count("undelivered", 1);
                        held_back.insert(order);
                    }
                }
            }
            Settled::Retry(event::patience(event))
        };
        events.iter().map(settle).collect()
    }
}

fireguard_sdk::export!(PublishEvents: Written);

//! The component's side of the contract: generated bindings, and their translation to the plain types.

pub mod bindings;
mod convert;
mod imports;

use std::cell::RefCell;

use crate::{File, Ingest, Plugin, Request, Resources, Settings, Verdict, Written};
use imports::Imports;

pub use bindings::ingest::exports::fireguard::plugin::ingest;
pub use bindings::request::exports::fireguard::plugin::request;
pub use bindings::resources::exports::fireguard::plugin::resources;
pub use bindings::setup::exports::fireguard::plugin::setup;
pub use bindings::written::exports::fireguard::plugin::written;

use bindings::imports::fireguard::plugin::types;

/// A plugin and whether it is configured yet. Lives in the component for as long as the instance does.
#[derive(Debug)]
pub struct Instance<P>(RefCell<Option<P>>);

impl<P> Default for Instance<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P> Instance<P> {
    /// Not configured.
    #[must_use]
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }

    /// The host configures an instance before it calls it.
    fn with<T>(&self, call: impl FnOnce(&mut P) -> T, unconfigured: impl FnOnce(crate::Refusal) -> T) -> T {
        match self.0.borrow_mut().as_mut() {
            Some(plugin) => call(plugin),
            None => {
                let message = "the plugin was called before it was configured";
                unconfigured(crate::Refusal::new("exception", message))
            }
        }
    }
}

impl<P: Plugin> Instance<P> {
    /// `setup.configure`
    ///
    /// # Errors
    /// What the plugin finds wrong.
    pub fn configure(
        &self,
        json: String,
        files: Vec<setup::File>,
    ) -> Result<setup::Plan, Vec<setup::Problem>> {
        let file = |setup::File { name, path, content }| File { name, path, content };
        let files = files.into_iter().map(file).collect();
        let (plugin, plan) = P::configure(Settings { json, files })
            .map_err(|problems| problems.into_iter().map(setup::Problem::from).collect::<Vec<_>>())?;
        *self.0.borrow_mut() = Some(plugin);
        Ok(plan.into())
    }
}

impl<P: Request> Instance<P> {
    /// `request.process`
    #[must_use]
    pub fn request(&self, exchange: types::Exchange, head: request::Head) -> request::Action {
        let (exchange, head) = (exchange.into(), head.into());
        self.with(|plugin| plugin.request(&Imports, &exchange, head), crate::Action::Refuse).into()
    }
}

impl<P: Resources> Instance<P> {
    /// `resources.process`
    #[must_use]
    pub fn resources(
        &self,
        exchange: types::Exchange,
        direction: types::Direction,
        items: Vec<resources::Item>,
    ) -> Vec<resources::Verdict> {
        let exchange = exchange.into();
        let items: Vec<crate::Item> = items.into_iter().map(Into::into).collect();
        let verdicts = self.with(
            |plugin| plugin.resources(&Imports, &exchange, direction.into(), &items),
            |refusal| vec![Verdict::Refuse(refusal); items.len()],
        );
        verdicts.into_iter().map(Into::into).collect()
    }
}

impl<P: Written> Instance<P> {
    /// `written.process`
    #[must_use]
    pub fn written(&self, events: Vec<written::Event>) -> Vec<written::Settled> {
        let events: Vec<crate::Event> = events.into_iter().map(Into::into).collect();
        let settled = self.with(
            |plugin| plugin.written(&Imports, &events),
            |_| vec![crate::Settled::Retry(0); events.len()],
        );
        settled.into_iter().map(Into::into).collect()
    }
}

impl<P: Ingest> Instance<P> {
    /// `ingest.process`
    #[must_use]
    pub fn ingest(
        &self,
        exchange: types::Exchange,
        messages: Vec<ingest::Message>,
    ) -> Vec<Result<Vec<Vec<u8>>, ingest::Problem>> {
        let exchange = exchange.into();
        let messages: Vec<crate::Message> = messages.into_iter().map(Into::into).collect();
        let ingested = self.with(
            |plugin| plugin.ingest(&Imports, &exchange, &messages),
            |refusal| {
                let message = refusal.message;
                vec![Err(crate::MessageProblem { message, ..Default::default() }); messages.len()]
            },
        );
        ingested.into_iter().map(|one| one.map_err(Into::into)).collect()
    }
}

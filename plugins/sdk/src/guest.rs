//! The component's side of the contract: generated bindings, and their translation to the plain types.

use std::cell::RefCell;
use std::time::SystemTime;

use crate::{
    Direction, Edit, Exchange, File, Host, HostError, Level, Plan, Plugin, Problem, Settings, Verdict,
};

/// What wit-bindgen makes of `wit/plugin.wit`.
#[expect(missing_docs, reason = "generated")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/plugin.wit",
        world: "resource-plugin",
        pub_export_macro: true,
        export_macro_name: "export_component",
        default_bindings_module: "fireguard_sdk::guest::bindings",
    });
}

pub use bindings::exports::fireguard::plugin::{resources, setup};
use bindings::fireguard::plugin::{log, pseudonym, types};

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
        let files = files
            .into_iter()
            .map(|setup::File { name, path, content }| File { name, path, content })
            .collect();
        let (plugin, plan) = P::configure(Settings { json, files })
            .map_err(|problems| problems.into_iter().map(setup::Problem::from).collect::<Vec<_>>())?;
        *self.0.borrow_mut() = Some(plugin);
        Ok(plan.into())
    }

    /// `resources.process`
    #[must_use]
    pub fn process(
        &self,
        exchange: resources::Exchange,
        direction: resources::Direction,
        resources: &[Vec<u8>],
    ) -> Vec<resources::Verdict> {
        let resources::Exchange { id, route, interaction, extras: _ } = exchange;
        let direction = match direction {
            resources::Direction::ToServer => Direction::ToServer,
            resources::Direction::ToClient => Direction::ToClient,
        };
        let mut plugin = self.0.borrow_mut();
        let verdicts = match plugin.as_mut() {
            Some(plugin) => {
                plugin.process(&Imports, &Exchange { id, route, interaction }, direction, resources)
            }
            None => {
                let refusal = Verdict::refuse("exception", "the plugin was called before it was configured");
                vec![refusal; resources.len()]
            }
        };
        verdicts.into_iter().map(resources::Verdict::from).collect()
    }
}

/// The host behind the component's imports.
struct Imports;

impl Host for Imports {
    fn tokens(&self, domain: &str, values: &[String]) -> Result<Vec<String>, HostError> {
        Ok(pseudonym::tokens(domain, values)?)
    }

    fn date_offsets(&self, patients: &[String]) -> Result<Vec<i32>, HostError> {
        Ok(pseudonym::date_offsets(patients)?)
    }

    fn log(&self, level: Level, message: &str) {
        let level = match level {
            Level::Debug => log::Level::Debug,
            Level::Info => log::Level::Info,
            Level::Warn => log::Level::Warn,
            Level::Error => log::Level::Error,
        };
        log::write(level, message);
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

impl From<pseudonym::Error> for HostError {
    fn from(error: pseudonym::Error) -> Self {
        match error {
            pseudonym::Error::NotGranted(missing) => Self::NotGranted(missing),
            pseudonym::Error::TooMuch => Self::TooMuch,
        }
    }
}

impl From<Problem> for setup::Problem {
    fn from(Problem { file, line, column, pointer, message }: Problem) -> Self {
        Self { file, line, column, pointer, message }
    }
}

impl From<Plan> for setup::Plan {
    fn from(plan: Plan) -> Self {
        let direction = |direction| match direction {
            Direction::ToServer => setup::Direction::ToServer,
            Direction::ToClient => setup::Direction::ToClient,
        };
        Self {
            interactions: plan.interactions,
            resource_types: plan.resource_types,
            directions: plan.directions.into_iter().map(direction).collect(),
            extras: plan
                .needs
                .into_iter()
                .map(|value| types::Extra { name: "needs".to_owned(), value })
                .collect(),
        }
    }
}

impl From<Verdict> for resources::Verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Keep => Self::Keep,
            Verdict::Edits(edits) => Self::Edits(
                edits
                    .into_iter()
                    .map(|Edit { start, end, text }| resources::Edit { start, end, text })
                    .collect(),
            ),
            Verdict::Replace(text) => Self::Replace(text),
            Verdict::Drop => Self::Drop,
            Verdict::Refuse(refusal) => {
                Self::Refuse(resources::Refusal { code: refusal.code, message: refusal.message })
            }
        }
    }
}

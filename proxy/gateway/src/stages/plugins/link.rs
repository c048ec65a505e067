//! One plugin in one exchange: its calls, and what becomes of those that fail.

use fireguard_plugin_host::{
    Action, CallError, Direction, Exchange, Head, Item, OnFailure, Phase, Plugin, Session, Stats, Verdict,
};

use super::meters::{self, Spent};
use crate::exchange::Ready;
use crate::plugins::Attached;
use crate::requests::Requests;

/// A plugin, and its instance in this exchange.
pub(super) struct Link {
    /// The plugin, and what this route lets it do.
    pub(super) attached: Attached,
    session: Session,
}

/// Why a plugin has no say in this exchange, or none in it must go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The call did not come to an answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The answer is not one that can be obeyed.
    #[error("{0}")]
    Answer(&'static str),
}

impl Link {
    /// For this exchange.
    pub(super) fn new(attached: &Attached, ready: &Ready) -> Self {
        let mut session = attached.plugin.session();
        if let Some(client) = Requests::of(ready) {
            session.lend(client);
        }
        Self { attached: attached.clone(), session }
    }

    /// The plugin.
    pub(super) fn plugin(&self) -> &Plugin {
        &self.attached.plugin
    }

    /// Asks what becomes of a request.
    pub(super) async fn request(&mut self, exchange: &Exchange, head: &Head) -> Result<Action, CallError> {
        let before = self.session.stats();
        let answer = self.session.request(exchange, head).await;
        self.called(Phase::Request, before, answer)
    }

    /// Asks what becomes of resources.
    pub(super) async fn resources(
        &mut self,
        exchange: &Exchange,
        direction: Direction,
        items: &[Item],
    ) -> Result<Vec<Verdict>, CallError> {
        let before = self.session.stats();
        let answer = self.session.process(exchange, direction, items).await;
        self.called(Phase::Resources, before, answer)
    }

    /// Whether the exchange goes on without the plugin, which has failed so.
    pub(super) fn passes(&self, exchange: &Exchange, fault: &Fault) -> bool {
        let passes = self.plugin().on_failure() == OnFailure::Pass;
        if passes {
            tracing::warn!(request_id = exchange.id, plugin = self.plugin().name(), %fault, "passed by");
        }
        passes
    }

    fn called<T>(&self, phase: Phase, before: Stats, answer: Result<T, CallError>) -> Result<T, CallError> {
        let spent = Spent::between(before, self.session.stats());
        meters::called(self.plugin().name(), phase, answer.as_ref().err(), &spent);
        answer
    }
}

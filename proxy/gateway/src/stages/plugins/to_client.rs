//! Answers on their way to the client.

use std::sync::Arc;

use super::judge::Judge;
use super::rebuilt::Rebuilt;
use crate::exchange::Ready;
use crate::stage::{Answer, Next, Stage};
use crate::state::Shared;

/// The stage of answers: splits them into resources and rebuilds them from what plugins let through. What no plugin
/// wants to see streams.
pub struct ToClient {
    judge: Judge,
}

impl ToClient {
    /// With the limits of the configuration.
    pub fn new(shared: &Shared) -> Self {
        Self { judge: Judge::new(shared) }
    }
}

impl Stage<Ready> for ToClient {
    type Out = Ready;

    fn pass(&self, ready: Ready) -> Result<Ready, Ready> {
        if ready.route.plugins.is_empty() { Ok(ready) } else { Err(ready) }
    }

    async fn handle<N: Next<Ready>>(self: Arc<Self>, mut ready: Ready, mut next: N) -> Answer {
        let all = ready.route.plugins.len();
        match Rebuilt::of(&mut ready, all, self.judge) {
            Some(rebuilt) => rebuilt.answer(next.call(ready).await?).await,
            None => next.call(ready).await,
        }
    }
}

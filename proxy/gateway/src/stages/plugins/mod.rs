//! The plugins of a route, phase by phase.
//!
//! What a plugin changes is judged again, in each phase: a head like a request of the caller, a resource like the one
//! it was. On a route whose plugins see answers nothing of the server's reaches the client unless a plugin saw it or
//! it is rebuilt here: other headers are dropped, error texts replaced, Bundle envelopes written anew.

mod bundle;
mod chain;
mod head;
mod judge;
mod link;
pub(crate) mod meters;
mod rebuilt;
mod request;
mod responses;
mod single;
mod to_server;
mod written;

use std::sync::Arc;

pub use self::request::RequestPhase;
pub use self::to_server::ToServer;
pub use self::written::WrittenPhase;

use self::judge::Judge;
use self::rebuilt::Rebuilt;
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

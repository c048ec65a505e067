//! Gate 1: does the route let this interaction through?

use std::sync::Arc;

use crate::exchange::Asked;
use crate::stage::{Answer, Next, Stage};

/// The stage. Refusals are 403, or 400 for a search parameter that is not on the route's list.
pub struct Gate;

impl Stage<Asked> for Gate {
    type Out = Asked;

    async fn handle<N: Next<Asked>>(self: Arc<Self>, exchange: Asked, mut next: N) -> Answer {
        exchange.route.surface.judge(&exchange.request)?;
        next.call(exchange).await
    }
}

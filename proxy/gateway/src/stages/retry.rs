//! Sends throttled requests again, where nothing can happen twice.

use std::sync::Arc;
use std::time::Duration;

use fireguard_traffic::retry::RetryPolicy;
use tokio::time::{Instant, sleep};

use crate::exchange::Ready;
use crate::stage::{Answer, Next, Stage};
use crate::state::Shared;

/// The stage.
pub struct Retry {
    policy: RetryPolicy,
    patience: Duration,
}

impl Retry {
    /// As patient as the configuration says.
    pub fn new(shared: &Shared) -> Self {
        let limits = &shared.limits;
        let policy =
            RetryPolicy { attempts: limits.retry_attempts.get(), longest_wait: limits.retry_longest_wait.0 };
        Self { policy, patience: limits.answer_head.0 }
    }
}

impl Stage<Ready> for Retry {
    type Out = Ready;

    async fn handle<N: Next<Ready>>(self: Arc<Self>, ready: Ready, mut next: N) -> Answer {
        let deadline = Instant::now() + self.patience;
        let mut again = repeatable(&ready);
        let mut answer = next.call(ready).await?;
        while let Some(ready) = again {
            let done = ready.facts.attempts();
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(wait) = self.policy.wait(answer.status(), answer.headers(), done, left) else { break };
            metrics::counter!("fireguard_retries_total", "route" => ready.route.name.clone()).increment(1);
            sleep(wait).await;
            again = repeatable(&ready);
            answer = next.call(ready).await?;
        }
        Ok(answer)
    }
}

/// The same once more, if it changes nothing.
fn repeatable(ready: &Ready) -> Option<Ready> {
    if ready.request.interaction.is_safe() { ready.again() } else { None }
}

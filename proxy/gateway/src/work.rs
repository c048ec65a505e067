//! Work that waits in a queue: taken, held while it is worked on, and settled.

use std::time::Duration;

use fireguard_state::{Leased, Queue, Settlement, Standing, StateError};
use tokio::time::sleep;

/// What a worker has taken comes again after this time, unless it says that it still has it: so soon does a successor
/// go on where a process was killed.
pub const LEASE: Duration = Duration::from_secs(15);
/// The pause after a first failure; it doubles with every further one.
pub const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// No pause is longer.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// How often a queue is looked at where nothing says that there is anything: for what is due again.
pub const LOOK: Duration = Duration::from_millis(500);

/// Takes what is due, has it worked on, and settles it. Answers how many there were, and how much is left.
///
/// # Errors
/// The queue does not work.
pub async fn turn(
    queue: &dyn Queue,
    name: &str,
    most: u32,
    work: impl AsyncFnOnce(Vec<Leased>) -> Vec<Settlement>,
) -> Result<(usize, Standing), StateError> {
    let leased = queue.lease(name, most, LEASE).await?;
    let taken = leased.len();
    if taken > 0 {
        let held = leased.iter().map(|leased| (leased.id, leased.attempt)).collect();
        let settlements = tokio::select! {
            settlements = work(leased) => settlements,
            error = hold(queue, name, held) => return Err(error),
        };
        if !settlements.is_empty() {
            queue.settle(name, settlements).await?;
        }
    }
    Ok((taken, queue.standing(name).await?))
}

/// Holds what is being worked on, until that cannot be said any more.
async fn hold(queue: &dyn Queue, name: &str, held: Vec<(u64, u32)>) -> StateError {
    loop {
        sleep(LEASE / 3).await;
        if let Err(error) = queue.hold(name, held.clone(), LEASE).await {
            return error;
        }
    }
}

/// How long to wait after the first attempt, the second, …
pub fn pause(attempt: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let seconds = [(1, 1), (2, 2), (3, 4), (10, 512), (11, 600), (u32::MAX, 600)];
        for (attempt, expected) in seconds {
            assert_eq!(pause(attempt), Duration::from_secs(expected), "{attempt}");
        }
    }
}

//! Hands one plugin its events, until it says that it is done with them.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use fireguard_plugin_host::{CallError, Event, Field, Phase, Plugin, Settled};
use fireguard_state::{Leased, Queue, Settlement, StateError};
use metrics::gauge;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use super::{event, name};
use crate::requests::Requests;
use crate::stages::plugins::meters::{self, Spent};

/// So many events are handed over in one call.
const BATCH: u32 = 16;
/// What a worker has taken comes again after this time, unless it says that it still has it: so soon does a successor
/// go on where a process was killed.
const LEASE: Duration = Duration::from_secs(15);
/// The pause after a first failure; it doubles with every further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// How often the queue is looked at where nothing says that there is anything: for what is due again.
const LOOK: Duration = Duration::from_millis(500);

/// Works until the plugin is no more.
pub(super) async fn run(
    queue: Arc<dyn Queue>,
    requests: Arc<ArcSwapOption<Requests>>,
    mut plugin: watch::Receiver<Plugin>,
    wake: Arc<Notify>,
) {
    loop {
        let current = plugin.borrow_and_update().clone();
        match turn(&*queue, &requests, &current).await {
            Ok(0) => tokio::select! {
                () = wake.notified() => {}
                () = sleep(LOOK) => {}
                changed = plugin.changed() => if changed.is_err() { return },
            },
            Ok(_) => {
                if plugin.has_changed().is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::error!(plugin = current.name(), %error, "the queue of events does not work");
                sleep(FIRST_PAUSE).await;
            }
        }
    }
}

/// Takes what is due, and settles it. Answers how many there were.
async fn turn(
    queue: &dyn Queue,
    requests: &ArcSwapOption<Requests>,
    plugin: &Plugin,
) -> Result<usize, StateError> {
    let name = name(plugin.name());
    let leased = queue.lease(&name, BATCH, LEASE).await?;
    let taken = leased.len();
    let held = leased.iter().map(|leased| (leased.id, leased.attempt)).collect();
    let mut settlements = Vec::with_capacity(taken);
    let mut tasks = Vec::with_capacity(taken);
    for Leased { id, attempt, content } in leased {
        match event::decode(content) {
            Ok(mut event) => {
                event.extras.push(Field { name: "attempt".to_owned(), value: attempt.to_string() });
                tasks.push((Settlement { id, attempt, again: None }, event));
            }
            Err(error) => {
                tracing::error!(plugin = plugin.name(), id, %error, "an event cannot be read: it stays");
                settlements.push(Settlement { id, attempt, again: Some(LONGEST_PAUSE) });
            }
        }
    }
    settlements.extend(tokio::select! {
        worked = work(requests, plugin, tasks) => worked,
        error = hold(queue, &name, held) => return Err(error),
    });
    if !settlements.is_empty() {
        queue.settle(&name, settlements).await?;
    }
    let standing = queue.standing(&name).await?;
    let label = || plugin.name().to_owned();
    gauge!("fireguard_plugin_events", "plugin" => label()).set(standing.length as f64);
    let oldest = standing.oldest.unwrap_or_default().as_secs_f64();
    gauge!("fireguard_plugin_events_oldest_seconds", "plugin" => label()).set(oldest);
    Ok(taken)
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

/// Hands events over: all at once, and if that fails each for itself, so that one does not hold up the others.
async fn work(
    requests: &ArcSwapOption<Requests>,
    plugin: &Plugin,
    tasks: Vec<(Settlement, Event)>,
) -> Vec<Settlement> {
    if tasks.is_empty() {
        return Vec::new();
    }
    let (settlements, events): (Vec<_>, Vec<_>) = tasks.into_iter().unzip();
    if let Ok(settled) = call(requests, plugin, &events).await {
        return settlements.into_iter().zip(settled).map(|(task, settled)| after(task, settled)).collect();
    }
    let mut worked = Vec::with_capacity(events.len());
    for (task, event) in settlements.into_iter().zip(&events) {
        worked.push(match call(requests, plugin, std::slice::from_ref(event)).await.as_deref() {
            Ok([settled]) => after(task, *settled),
            Ok(_) => Settlement { again: Some(pause(task.attempt)), ..task },
            Err(error) => {
                tracing::warn!(plugin = plugin.name(), event = event.id, %error, "an event comes again");
                Settlement { again: Some(pause(task.attempt)), ..task }
            }
        });
    }
    worked
}

async fn call(
    requests: &ArcSwapOption<Requests>,
    plugin: &Plugin,
    events: &[Event],
) -> Result<Vec<Settled>, CallError> {
    let mut session = plugin.session();
    if let Some(requests) = requests.load_full() {
        session.lend(requests.of_nobody());
    }
    let before = session.stats();
    let answer = session.written(events).await;
    let spent = Spent::between(before, session.stats());
    meters::called(plugin.name(), Phase::Written, answer.as_ref().err(), &spent);
    answer.inspect(|settled| {
        for settled in settled {
            meters::decided(plugin.name(), if *settled == Settled::Done { "done" } else { "retry" });
        }
    })
}

fn after(task: Settlement, settled: Settled) -> Settlement {
    let again = match settled {
        Settled::Done => None,
        // As it wishes, but not at once over and over.
        Settled::Retry(milliseconds) => {
            Some(Duration::from_millis(milliseconds.into()).clamp(LOOK, Duration::from_secs(86_400)))
        }
    };
    Settlement { again, ..task }
}

/// After the first attempt, the second, …
fn pause(attempt: u32) -> Duration {
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

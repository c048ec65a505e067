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
use crate::work::{self, FIRST_PAUSE, LONGEST_PAUSE, LOOK, pause};

/// So many events are handed over in one call.
const BATCH: u32 = 16;

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
    let (taken, standing) = work::turn(queue, &name, BATCH, async |leased: Vec<Leased>| {
        let mut settlements = Vec::with_capacity(leased.len());
        let mut tasks = Vec::with_capacity(leased.len());
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
        settlements.extend(worked(requests, plugin, tasks).await);
        settlements
    })
    .await?;
    let label = || plugin.name().to_owned();
    gauge!("fireguard_plugin_events", "plugin" => label()).set(standing.length as f64);
    let oldest = standing.oldest.unwrap_or_default().as_secs_f64();
    gauge!("fireguard_plugin_events_oldest_seconds", "plugin" => label()).set(oldest);
    Ok(taken)
}

/// Hands events over: all at once, and if that fails each for itself, so that one does not hold up the others.
async fn worked(
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

//! Writes that the server has acknowledged, on their way to the plugins that want to know: through a durable queue for
//! each plugin, at least once, in the background.

mod event;
mod worker;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use fireguard_plugin_host::{Event, Phase, Plugin};
use fireguard_state::{Queue, StateError, Task};
use metrics::counter;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use crate::requests::Requests;

/// The events of all plugins. It outlives configurations: what runs goes on with the plugin as it then is.
pub struct Written {
    queue: Arc<dyn Queue>,
    workers: Mutex<BTreeMap<String, Worker>>,
    /// How plugins ask the FHIR server.
    requests: Arc<ArcSwapOption<Requests>>,
}

/// Who hands the events of one plugin to it. Without its sender it ends.
struct Worker {
    plugin: watch::Sender<Plugin>,
    wake: Arc<Notify>,
}

impl Written {
    /// With what is left in the queue.
    pub fn new(queue: Arc<dyn Queue>) -> Self {
        Self { queue, workers: Mutex::default(), requests: Arc::default() }
    }

    /// Keeps events for a plugin. They have reached the disk when this answers.
    ///
    /// # Errors
    /// They have not.
    pub async fn append(&self, plugin: &str, events: &[&Event]) -> Result<(), StateError> {
        let task = |event: &&Event| Task { content: event::encode(event), after: Default::default() };
        self.queue.append(&name(plugin), events.iter().map(task).collect()).await?;
        counter!("fireguard_plugin_events_total", "plugin" => plugin.to_owned())
            .increment(events.len() as u64);
        if let Some(worker) = self.workers.lock().unwrap_or_else(PoisonError::into_inner).get(plugin) {
            worker.wake.notify_one();
        }
        Ok(())
    }

    /// Has the events of these plugins worked on, on this runtime, and those of no other. What is there for others
    /// stays until they are configured again.
    pub fn tend<'a>(&self, runtime: &Handle, requests: Requests, plugins: impl Iterator<Item = &'a Plugin>) {
        self.requests.store(Some(Arc::new(requests)));
        let mut before = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut after = BTreeMap::new();
        for plugin in plugins.filter(|plugin| plugin.phases().contains(Phase::Written)) {
            if after.contains_key(plugin.name()) {
                continue;
            }
            let worker = match before.remove(plugin.name()) {
                Some(worker) => {
                    worker.plugin.send_replace(plugin.clone());
                    worker
                }
                None => {
                    let (sender, receiver) = watch::channel(plugin.clone());
                    let wake = Arc::new(Notify::new());
                    let requests = Arc::clone(&self.requests);
                    runtime.spawn(worker::run(
                        Arc::clone(&self.queue),
                        requests,
                        receiver,
                        Arc::clone(&wake),
                    ));
                    Worker { plugin: sender, wake }
                }
            };
            after.insert(plugin.name().to_owned(), worker);
        }
        *before = after;
    }
}

/// The name of a plugin's queue.
fn name(plugin: &str) -> String {
    format!("written/{plugin}")
}

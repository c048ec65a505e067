//! Who did what: AuditEvents on their way to where they are kept, through a durable queue, at least once.
//!
//! The stage `audit` notes; what was acknowledged as written is in the queue before the client learns of it, what was
//! read when its answer has ended.

mod bucket;
mod files;
mod notes;
mod server;
mod worker;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fireguard_access::audit::AuditEvent;
use fireguard_state::{Queue, StateError, Task};
use metrics::counter;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

use self::worker::Sink;
use crate::config::audit::{Auditing, To, WhenFull};
use crate::config::file::Limits;
use crate::replicas::Group;
pub use notes::Notes;

/// The queue of the events that wait.
const QUEUE: &str = "audit";
/// How long a process that stops waits for events that are on their way into the queue.
const LAST: Duration = Duration::from_secs(10);

/// The events that wait. It outlives configurations: what waits goes where it is then to go.
pub struct Audit {
    queue: Arc<dyn Queue>,
    /// About how many wait, in the queue or on their way into it.
    waiting: AtomicU64,
    /// How many are on their way into the queue.
    coming: watch::Sender<u64>,
    worker: Mutex<Option<Worker>>,
}

/// Who delivers. Without its sender it ends.
struct Worker {
    sink: watch::Sender<Arc<Sink>>,
    wake: Arc<Notify>,
    runtime: Handle,
}

/// Where events go in one configuration, and what happens when they cannot.
pub struct Keeping {
    sink: Arc<Sink>,
    /// The level, where no policy asks for more.
    pub level: fireguard_access::decision::AuditLevel,
    when_full: WhenFull,
    most: u64,
}

impl Keeping {
    /// As configured. The server's connections of `before` are kept if it is the same.
    pub fn new(auditing: Auditing, limits: &Limits, before: Option<&Self>) -> Self {
        let Auditing { to, level, when_full, waiting } = auditing;
        let sink = match to {
            To::Files { folder, size } => Sink::Files(files::Files::new(folder, size)),
            To::Bucket { bucket, gather } => Sink::Bucket(bucket::Objects::new(bucket, gather)),
            To::Server { name, replicas, references } => {
                let before = before.and_then(|before| match &*before.sink {
                    Sink::Server(server) => Some(server.group()),
                    Sink::Files(_) | Sink::Bucket(_) => None,
                });
                let group = Group::of(&name, *replicas, limits, before);
                Sink::Server(server::Server::new(group, references))
            }
        };
        Self { sink: Arc::new(sink), level, when_full, most: waiting }
    }

    /// Whether requests pass that cannot be audited.
    pub fn passes(&self) -> bool {
        self.when_full == WhenFull::Pass
    }
}

impl Audit {
    /// With what is left in the queue.
    pub fn new(queue: Arc<dyn Queue>) -> Self {
        let coming = watch::Sender::new(0);
        Self { queue, waiting: AtomicU64::new(0), coming, worker: Mutex::default() }
    }

    /// Has the events delivered, on this runtime; none: they stay until somebody says where they go.
    pub fn tend(self: &Arc<Self>, runtime: &Handle, keeping: Option<&Keeping>) {
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(keeping) = keeping else { return *worker = None };
        if let Sink::Server(server) = &*keeping.sink {
            server.group().tend(runtime);
        }
        match &*worker {
            Some(worker) => drop(worker.sink.send_replace(Arc::clone(&keeping.sink))),
            None => {
                let (sink, receiver) = watch::channel(Arc::clone(&keeping.sink));
                let wake = Arc::new(Notify::new());
                let (audit, woken) = (Arc::downgrade(self), Arc::clone(&wake));
                runtime.spawn(worker::run(Arc::clone(&self.queue), audit, receiver, woken));
                *worker = Some(Worker { sink, wake, runtime: runtime.clone() });
            }
        }
    }

    /// Whether as many wait as may.
    pub fn is_full(&self, keeping: &Keeping) -> bool {
        self.waiting.load(Ordering::Relaxed) >= keeping.most
    }

    /// Keeps events. They have reached the disk when this answers.
    ///
    /// # Errors
    /// They have not.
    pub async fn append(&self, events: Vec<AuditEvent>) -> Result<(), StateError> {
        let many = events.len() as u64;
        if many == 0 {
            return Ok(());
        }
        let task = |event: AuditEvent| Task { content: event.resource, after: Duration::ZERO };
        self.queue.append(QUEUE, events.into_iter().map(task).collect()).await?;
        self.waiting.fetch_add(many, Ordering::Relaxed);
        counter!("fireguard_audit_events_total").increment(many);
        if let Some(worker) = &*self.worker.lock().unwrap_or_else(PoisonError::into_inner) {
            worker.wake.notify_one();
        }
        Ok(())
    }

    /// The same for an exchange that nobody waits for.
    pub fn append_later(self: &Arc<Self>, events: Vec<AuditEvent>) {
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(runtime) = worker.as_ref().map(|worker| worker.runtime.clone()) else { return };
        drop(worker);
        let audit = Arc::clone(self);
        self.coming.send_modify(|coming| *coming += 1);
        runtime.spawn(async move {
            let many = events.len() as u64;
            if let Err(error) = audit.append(events).await {
                lost(many, &error.to_string());
            }
            audit.coming.send_modify(|coming| *coming -= 1);
        });
    }

    /// Waits until nothing is on its way into the queue: before the process ends.
    pub async fn settled(&self) {
        let mut coming = self.coming.subscribe();
        // Nobody sends any more, or it takes too long: nothing else can be done.
        let _ = tokio::time::timeout(LAST, coming.wait_for(|coming| *coming == 0)).await;
    }

    /// So many wait.
    fn stands(&self, waiting: u64) {
        self.waiting.store(waiting, Ordering::Relaxed);
    }
}

/// Events that nobody will see.
pub fn lost(many: u64, why: &str) {
    counter!("fireguard_audit_lost_total").increment(many);
    tracing::error!(events = many, why, "audit events are lost");
}

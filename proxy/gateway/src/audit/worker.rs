//! Delivers events, the oldest first, until they have arrived.

use std::sync::{Arc, Weak};
use std::time::Duration;

use fireguard_state::s3::BucketFault;
use fireguard_state::{Leased, Queue, Settlement, StateError};
use metrics::gauge;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use super::bucket::{self, Objects, SEALED};
use super::files::Files;
use super::server::Server;
use super::{Audit, QUEUE};
use crate::work::{self, FIRST_PAUSE, LOOK, pause};

/// So many events are delivered at once.
const BATCH: u32 = 64;
/// What was sealed is tried again this often at least: everything else waits behind it.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Where events are kept.
pub(super) enum Sink {
    /// A FHIR server.
    Server(Server),
    /// Files.
    Files(Files),
    /// A bucket.
    Bucket(Objects),
}

/// Why events have not arrived.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undelivered {
    /// The server did not take them, or not all.
    #[error("the FHIR server answered {0}")]
    Status(u16),
    /// It could not be asked.
    #[error(transparent)]
    Unreachable(#[from] fireguard_traffic::upstream::SendError),
    /// Its answer broke off.
    #[error("the FHIR server's answer broke off")]
    Broken,
    /// It did not answer in time.
    #[error("the FHIR server did not answer in time")]
    Silent,
    /// A file cannot be written.
    #[error("{}: {}", .0.display(), .1)]
    File(std::path::PathBuf, std::io::ErrorKind),
    /// The bucket did not take them.
    #[error(transparent)]
    Bucket(#[from] BucketFault),
    /// What was kept is no event.
    #[error("what was kept is no event")]
    NoEvent,
}

/// Works until there is nothing to deliver to any more.
pub(super) async fn run(
    queue: Arc<dyn Queue>,
    audit: Weak<Audit>,
    mut sink: watch::Receiver<Arc<Sink>>,
    wake: Arc<Notify>,
) {
    // Events that are sealed, as far as is known.
    let mut sealed = 0;
    loop {
        let current = Arc::clone(&sink.borrow_and_update());
        match turn(&*queue, &current, &mut sealed).await {
            Ok(worked) => {
                let Some(audit) = audit.upgrade() else { return };
                if let Err(error) = tell(&*queue, &audit, sealed).await {
                    broken(&error).await;
                }
                drop(audit);
                // For a bucket they are gathered: nobody has to be woken by each.
                let gathered = matches!(*current, Sink::Bucket(_));
                if !worked {
                    tokio::select! {
                        () = wake.notified(), if !gathered => {}
                        () = sleep(LOOK) => {}
                        changed = sink.changed() => if changed.is_err() { return },
                    }
                } else if sink.has_changed().is_err() {
                    return;
                }
            }
            Err(error) => broken(&error).await,
        }
    }
}

async fn broken(error: &StateError) {
    tracing::error!(%error, "the queue of audit events does not work");
    sleep(FIRST_PAUSE).await;
}

/// Delivers some. Answers whether there was anything to do.
async fn turn(queue: &dyn Queue, sink: &Sink, sealed: &mut u64) -> Result<bool, StateError> {
    // What was sealed goes first, also where it is to go elsewhere now.
    if queue.standing(SEALED).await?.length > 0 {
        let again = |attempt| pause(attempt).min(LONGEST_PAUSE);
        let deliver = async |leased: Vec<Leased>| {
            let mut settlements = Vec::with_capacity(leased.len());
            for batch in leased {
                let events = bucket::events(&batch.content);
                *sealed = events.len() as u64;
                let arrived: Result<(), _> = sink.send(&events).await.into_iter().collect();
                if let Err(why) = &arrived {
                    tracing::warn!(attempt = batch.attempt, %why, "audit events come again");
                }
                let again = arrived.is_err().then(|| again(batch.attempt));
                settlements.push(Settlement { id: batch.id, attempt: batch.attempt, again });
            }
            settlements
        };
        let (_, standing) = work::turn(queue, SEALED, 1, deliver).await?;
        if standing.length > 0 {
            return Ok(false);
        }
    }
    *sealed = 0;
    match sink {
        Sink::Bucket(objects) => {
            *sealed = objects.seal(queue).await?;
            Ok(*sealed > 0)
        }
        sink => {
            let deliver = async |leased: Vec<Leased>| sink.deliver(leased).await;
            Ok(work::turn(queue, QUEUE, BATCH, deliver).await?.0 > 0)
        }
    }
}

/// Says how much waits.
async fn tell(queue: &dyn Queue, audit: &Audit, sealed: u64) -> Result<(), StateError> {
    let (waiting, behind) = (queue.standing(QUEUE).await?, queue.standing(SEALED).await?);
    let length = waiting.length + sealed;
    audit.stands(length);
    gauge!("fireguard_audit_waiting").set(length as f64);
    let oldest = waiting.oldest.max(behind.oldest).unwrap_or_default();
    gauge!("fireguard_audit_oldest_seconds").set(oldest.as_secs_f64());
    Ok(())
}

impl Sink {
    async fn deliver(&self, leased: Vec<Leased>) -> Vec<Settlement> {
        let events: Vec<&[u8]> = leased.iter().map(|leased| &*leased.content).collect();
        let arrived = self.send(&events).await;
        let mut told = false;
        let settle = |(leased, arrived): (&Leased, Result<(), Undelivered>)| {
            if let (Err(why), false) = (&arrived, told) {
                tracing::warn!(attempt = leased.attempt, %why, "audit events come again");
                told = true;
            }
            let again = arrived.is_err().then(|| pause(leased.attempt));
            Settlement { id: leased.id, attempt: leased.attempt, again }
        };
        leased.iter().zip(arrived).map(settle).collect()
    }

    /// Says of each event whether it has arrived.
    async fn send(&self, events: &[&[u8]]) -> Vec<Result<(), Undelivered>> {
        match self {
            Self::Server(server) => server.deliver(events).await,
            Self::Files(files) => match files.append(events).await {
                Ok(()) => events.iter().map(|_| Ok(())).collect(),
                Err((path, error)) => {
                    let why = |_| Err(Undelivered::File(path.clone(), error.kind()));
                    events.iter().map(why).collect()
                }
            },
            Self::Bucket(objects) => {
                let arrived = objects.put(events).await;
                events.iter().map(|_| arrived.clone().map_err(Undelivered::from)).collect()
            }
        }
    }
}

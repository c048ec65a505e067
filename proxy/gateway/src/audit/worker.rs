//! Delivers events, the oldest first, until they have arrived.

use std::sync::{Arc, Weak};

use fireguard_state::{Leased, Queue, Settlement};
use metrics::gauge;
use tokio::sync::{Notify, watch};
use tokio::time::sleep;

use super::files::Files;
use super::server::Server;
use super::{Audit, QUEUE};
use crate::work::{self, FIRST_PAUSE, LOOK, pause};

/// So many events are delivered at once.
const BATCH: u32 = 64;

/// Where events are kept.
pub(super) enum Sink {
    /// A FHIR server.
    Server(Server),
    /// Files.
    Files(Files),
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
    loop {
        let current = Arc::clone(&sink.borrow_and_update());
        let turned = work::turn(&*queue, QUEUE, BATCH, async |leased| current.deliver(leased).await).await;
        match turned {
            Ok((taken, standing)) => {
                let Some(audit) = audit.upgrade() else { return };
                audit.stands(standing.length);
                gauge!("fireguard_audit_waiting").set(standing.length as f64);
                let oldest = standing.oldest.unwrap_or_default().as_secs_f64();
                gauge!("fireguard_audit_oldest_seconds").set(oldest);
                drop(audit);
                if taken == 0 {
                    tokio::select! {
                        () = wake.notified() => {}
                        () = sleep(LOOK) => {}
                        changed = sink.changed() => if changed.is_err() { return },
                    }
                } else if sink.has_changed().is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::error!(%error, "the queue of audit events does not work");
                sleep(FIRST_PAUSE).await;
            }
        }
    }
}

impl Sink {
    async fn deliver(&self, leased: Vec<Leased>) -> Vec<Settlement> {
        let events: Vec<&[u8]> = leased.iter().map(|leased| &*leased.content).collect();
        let arrived: Vec<Result<(), Undelivered>> = match self {
            Self::Server(server) => server.deliver(&events).await,
            Self::Files(files) => match files.append(&events).await {
                Ok(()) => events.iter().map(|_| Ok(())).collect(),
                Err((path, error)) => {
                    let why = |_| Err(Undelivered::File(path.clone(), error.kind()));
                    events.iter().map(why).collect()
                }
            },
        };
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
}

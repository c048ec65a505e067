//! The thread that writes. What waits while it commits goes into the next transaction together: one `fsync` for all.

use std::{fmt, io, thread};

use rusqlite::{Connection, Savepoint};
use tokio::sync::{mpsc, oneshot};

use crate::{Clock, StateError};

/// Writes that wait; who would be one too many waits to be let in.
const WAITING: usize = 1024;
/// Writes in one transaction.
const TOGETHER: usize = 256;
/// Expired entries that a transaction sweeps up.
const SWEPT: u32 = 64;

/// Hands writes to the thread, which ends when the last of these is gone.
#[derive(Clone)]
pub(super) struct Writer(mpsc::Sender<Box<dyn Job>>);

impl Writer {
    pub(super) fn start(connection: Connection, clock: Clock) -> io::Result<Self> {
        let (jobs, arriving) = mpsc::channel(WAITING);
        thread::Builder::new().name("state-writer".to_owned()).spawn(|| run(connection, clock, arriving))?;
        Ok(Self(jobs))
    }

    /// Does it, all of it or nothing, and answers when it has reached the disk. Who stops waiting does not undo it.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection, i64) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let (answer, answered) = oneshot::channel();
        let job = Asked { work: Some(work), outcome: None, answer };
        self.0.send(Box::new(job)).await.map_err(|_| StateError::Closed)?;
        answered.await.map_err(|_| StateError::Closed)?
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

/// One write, whatever it answers.
trait Job: Send {
    fn run(&mut self, connection: &mut Connection, now: i64);
    fn settle(self: Box<Self>, committed: Result<(), StateError>);
}

struct Asked<T, W> {
    work: Option<W>,
    outcome: Option<Result<T, StateError>>,
    answer: oneshot::Sender<Result<T, StateError>>,
}

impl<T, W> Job for Asked<T, W>
where
    T: Send,
    W: FnOnce(&Connection, i64) -> Result<T, StateError> + Send,
{
    fn run(&mut self, connection: &mut Connection, now: i64) {
        let Some(work) = self.work.take() else { return };
        // One that fails undoes what it did, and nothing of the others.
        let attempt = |savepoint: Savepoint<'_>| {
            let outcome = work(&savepoint, now)?;
            savepoint.commit()?;
            Ok(outcome)
        };
        self.outcome = Some(connection.savepoint().map_err(StateError::from).and_then(attempt));
    }

    fn settle(self: Box<Self>, committed: Result<(), StateError>) {
        let outcome = self.outcome.unwrap_or(Err(StateError::Closed));
        // Nobody may wait for it any more.
        let _ = self.answer.send(committed.and(outcome));
    }
}

fn run(mut connection: Connection, clock: Clock, mut arriving: mpsc::Receiver<Box<dyn Job>>) {
    while let Some(first) = arriving.blocking_recv() {
        let mut jobs = vec![first];
        while jobs.len() < TOGETHER
            && let Ok(next) = arriving.try_recv()
        {
            jobs.push(next);
        }
        let committed = together(&mut connection, &mut jobs, clock.now());
        if let Err(error) = &committed {
            tracing::error!(%error, "state was not written");
        }
        jobs.into_iter().for_each(|job| job.settle(committed.clone()));
    }
}

fn together(connection: &mut Connection, jobs: &mut [Box<dyn Job>], now: i64) -> Result<(), StateError> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    for job in jobs {
        job.run(connection, now);
    }
    let swept = connection.prepare_cached(
        "DELETE FROM entry WHERE (namespace, key) IN
            (SELECT namespace, key FROM entry WHERE expires <= ?1 ORDER BY expires LIMIT ?2)",
    );
    let ended = swept
        .and_then(|mut sweep| sweep.execute((now, SWEPT)))
        .and_then(|_| connection.execute_batch("COMMIT"));
    if ended.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    Ok(ended?)
}

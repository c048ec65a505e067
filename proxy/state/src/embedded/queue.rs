//! Queues of work, in SQLite. A lease is a time until which the task is not due, and the number of the attempt, by
//! which the holder proves that it is still theirs.

use std::time::Duration;

use rusqlite::types::FromSql;
use rusqlite::{OptionalExtension, Row};

use super::Embedded;
use crate::clock::milliseconds;
use crate::{Answer, Leased, Queue, Settlement, Standing, StateError, Task};

/// A new task.
const ADD: &str = "INSERT INTO task (queue, content, appended, due) VALUES (?1, ?2, ?3, ?4) RETURNING id";
/// When a task is due next, told by who holds it.
const DUE: &str = "UPDATE task SET due = ?4 WHERE queue = ?1 AND id = ?2 AND attempts = ?3";

impl Queue for Embedded {
    fn append<'a>(&'a self, queue: &'a str, tasks: Vec<Task>) -> Answer<'a, Vec<u64>> {
        let queue = queue.to_owned();
        Box::pin(self.writer.write(move |connection, now| {
            let mut add = connection.prepare_cached(ADD)?;
            let add = |task: &Task| {
                let due = now.saturating_add(milliseconds(task.after));
                Ok(add.query_row((&queue, &task.content, now, due), first)?)
            };
            tasks.iter().map(add).collect()
        }))
    }

    fn lease<'a>(&'a self, queue: &'a str, most: u32, time: Duration) -> Answer<'a, Vec<Leased>> {
        let queue = queue.to_owned();
        Box::pin(self.writer.write(move |connection, now| {
            let mut take = connection.prepare_cached(
                "UPDATE task SET due = ?3, attempts = attempts + 1
                    WHERE id IN (SELECT id FROM task WHERE queue = ?1 AND due <= ?2 ORDER BY id LIMIT ?4)
                    RETURNING id, attempts, content",
            )?;
            let until = now.saturating_add(milliseconds(time));
            let leased = take.query_map((&queue, now, until, most), |row| {
                Ok(Leased { id: row.get(0)?, attempt: row.get(1)?, content: row.get(2)? })
            })?;
            let mut leased: Vec<Leased> = leased.collect::<Result<_, _>>()?;
            // RETURNING promises no order.
            leased.sort_unstable_by_key(|leased| leased.id);
            Ok(leased)
        }))
    }

    fn hold<'a>(&'a self, queue: &'a str, held: Vec<(u64, u32)>, time: Duration) -> Answer<'a, usize> {
        let queue = queue.to_owned();
        Box::pin(self.writer.write(move |connection, now| {
            let mut hold = connection.prepare_cached(DUE)?;
            let until = now.saturating_add(milliseconds(time));
            let mut hold = |(id, attempt)| hold.execute((&queue, id, attempt, until));
            Ok(held.iter().map(|(id, attempt)| hold((id, attempt))).sum::<Result<usize, _>>()?)
        }))
    }

    fn settle<'a>(&'a self, queue: &'a str, settlements: Vec<Settlement>) -> Answer<'a, usize> {
        let queue = queue.to_owned();
        Box::pin(self.writer.write(move |connection, now| {
            let mut done = connection
                .prepare_cached("DELETE FROM task WHERE queue = ?1 AND id = ?2 AND attempts = ?3")?;
            let mut again = connection.prepare_cached(DUE)?;
            let settle = |Settlement { id, attempt, again: later }: &Settlement| match later {
                None => done.execute((&queue, id, attempt)),
                Some(after) => {
                    let due = now.saturating_add(milliseconds(*after));
                    again.execute((&queue, id, attempt, due))
                }
            };
            Ok(settlements.iter().map(settle).sum::<Result<usize, _>>()?)
        }))
    }

    fn fold<'a>(
        &'a self,
        queue: &'a str,
        held: Vec<(u64, u32)>,
        into: &'a str,
        task: Task,
    ) -> Answer<'a, bool> {
        let (queue, into) = (queue.to_owned(), into.to_owned());
        Box::pin(self.writer.write(move |connection, now| {
            let mut holds = connection
                .prepare_cached("SELECT appended FROM task WHERE queue = ?1 AND id = ?2 AND attempts = ?3")?;
            let mut oldest: i64 = now;
            for (id, attempt) in &held {
                match holds.query_row((&queue, id, attempt), first).optional()? {
                    Some(appended) => oldest = oldest.min(appended),
                    None => return Ok(false),
                }
            }
            let mut remove = connection.prepare_cached("DELETE FROM task WHERE queue = ?1 AND id = ?2")?;
            for (id, _) in &held {
                remove.execute((&queue, id))?;
            }
            let due = now.saturating_add(milliseconds(task.after));
            let mut add = connection.prepare_cached(ADD)?;
            add.query_row((&into, &task.content, oldest, due), first::<i64>)?;
            Ok(true)
        }))
    }

    fn standing<'a>(&'a self, queue: &'a str) -> Answer<'a, Standing> {
        let queue = queue.to_owned();
        Box::pin(self.read(move |connection, now| {
            let mut count = connection.prepare_cached("SELECT count(*) FROM task WHERE queue = ?1")?;
            let mut age = connection.prepare_cached("SELECT min(appended) FROM task WHERE queue = ?1")?;
            let oldest: Option<i64> = age.query_row([&queue], first)?;
            let since =
                |appended: i64| Duration::from_millis(now.saturating_sub(appended).max(0).unsigned_abs());
            Ok::<_, StateError>(Standing {
                length: count.query_row([&queue], first)?,
                oldest: oldest.map(since),
            })
        }))
    }
}

fn first<T: FromSql>(row: &Row<'_>) -> rusqlite::Result<T> {
    row.get(0)
}

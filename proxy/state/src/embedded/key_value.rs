//! Values by their keys, in SQLite.

use rusqlite::{Connection, OptionalExtension};

use super::Embedded;
use crate::clock::milliseconds;
use crate::{Answer, Entry, KeyValue, Quota, StateError};

impl KeyValue for Embedded {
    fn get<'a>(&'a self, namespace: &'a str, keys: Vec<String>) -> Answer<'a, Vec<Option<Vec<u8>>>> {
        let namespace = namespace.to_owned();
        Box::pin(self.read(move |connection, now| {
            keys.iter().map(|key| value(connection, &namespace, key, now)).collect()
        }))
    }

    fn set<'a>(&'a self, namespace: &'a str, entries: Vec<Entry>, quota: Quota) -> Answer<'a, ()> {
        let namespace = namespace.to_owned();
        Box::pin(self.writer.write(move |connection, now| {
            for entry in &entries {
                put(connection, &namespace, entry, now)?;
            }
            within(connection, &namespace, quota, now)
        }))
    }

    fn delete<'a>(&'a self, namespace: &'a str, keys: Vec<String>) -> Answer<'a, ()> {
        let namespace = namespace.to_owned();
        Box::pin(self.writer.write(move |connection, _| {
            let mut delete =
                connection.prepare_cached("DELETE FROM entry WHERE namespace = ?1 AND key = ?2")?;
            for key in &keys {
                delete.execute((&namespace, key))?;
            }
            Ok(())
        }))
    }

    fn swap<'a>(
        &'a self,
        namespace: &'a str,
        entry: Entry,
        expected: Option<Vec<u8>>,
        quota: Quota,
    ) -> Answer<'a, bool> {
        let namespace = namespace.to_owned();
        Box::pin(self.writer.write(move |connection, now| {
            if value(connection, &namespace, &entry.key, now)? != expected {
                return Ok(false);
            }
            put(connection, &namespace, &entry, now)?;
            within(connection, &namespace, quota, now)?;
            Ok(true)
        }))
    }
}

/// What stands there and has not expired.
fn value(
    connection: &Connection,
    namespace: &str,
    key: &str,
    now: i64,
) -> Result<Option<Vec<u8>>, StateError> {
    let mut find = connection.prepare_cached(
        "SELECT value FROM entry WHERE namespace = ?1 AND key = ?2 AND (expires IS NULL OR expires > ?3)",
    )?;
    Ok(find.query_row((namespace, key, now), |row| row.get(0)).optional()?)
}

fn put(connection: &Connection, namespace: &str, entry: &Entry, now: i64) -> Result<(), StateError> {
    let expires = entry.stays.map(|time| now.saturating_add(milliseconds(time)));
    let mut put = connection.prepare_cached(
        "INSERT INTO entry VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT (namespace, key) DO UPDATE SET value = excluded.value, expires = excluded.expires",
    )?;
    put.execute((namespace, &entry.key, &entry.value, expires))?;
    Ok(())
}

/// Whether the namespace holds no more than it may; what has expired does not count.
fn within(connection: &Connection, namespace: &str, quota: Quota, now: i64) -> Result<(), StateError> {
    let checked = fits(connection, namespace, quota)?;
    if checked.is_ok() {
        return Ok(());
    }
    connection
        .prepare_cached("DELETE FROM entry WHERE namespace = ?1 AND expires <= ?2")?
        .execute((namespace, now))?;
    fits(connection, namespace, quota)?
}

fn fits(
    connection: &Connection,
    namespace: &str,
    quota: Quota,
) -> Result<Result<(), StateError>, StateError> {
    let mut sums = connection.prepare_cached("SELECT entries, bytes FROM usage WHERE namespace = ?1")?;
    let sums = sums.query_row([namespace], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?)));
    let (entries, bytes) = sums.optional()?.unwrap_or_default();
    Ok(if entries > quota.entries {
        Err(StateError::Entries { most: quota.entries })
    } else if bytes > quota.bytes {
        Err(StateError::Bytes { most: quota.bytes })
    } else {
        Ok(())
    })
}

//! The tables, and a connection that is fit for writing them.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::StateError;

/// `PRAGMA user_version` of the tables below.
const VERSION: i64 = 1;
/// How long one process waits for the other's transaction.
const BUSY: Duration = Duration::from_secs(10);
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 32;

/// Triggers keep the sums, so that no way of changing an entry can forget them.
const TABLES: &str = "
    CREATE TABLE entry (
        namespace TEXT NOT NULL,
        key TEXT NOT NULL,
        value BLOB NOT NULL,
        expires INTEGER,
        PRIMARY KEY (namespace, key)
    ) WITHOUT ROWID, STRICT;
    CREATE INDEX entry_expires ON entry (expires) WHERE expires IS NOT NULL;
    CREATE TABLE usage (
        namespace TEXT PRIMARY KEY,
        entries INTEGER NOT NULL,
        bytes INTEGER NOT NULL
    ) WITHOUT ROWID, STRICT;
    CREATE TRIGGER entry_added AFTER INSERT ON entry BEGIN
        INSERT INTO usage VALUES (new.namespace, 1, octet_length(new.key) + length(new.value))
            ON CONFLICT (namespace) DO UPDATE
            SET entries = entries + 1, bytes = bytes + excluded.bytes;
    END;
    CREATE TRIGGER entry_changed AFTER UPDATE OF value ON entry BEGIN
        UPDATE usage SET bytes = bytes + length(new.value) - length(old.value)
            WHERE namespace = new.namespace;
    END;
    CREATE TRIGGER entry_deleted AFTER DELETE ON entry BEGIN
        UPDATE usage SET entries = entries - 1, bytes = bytes - octet_length(old.key) - length(old.value)
            WHERE namespace = old.namespace;
    END;
    CREATE TABLE task (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        queue TEXT NOT NULL,
        content BLOB NOT NULL,
        appended INTEGER NOT NULL,
        due INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE INDEX task_due ON task (queue, due, id);
    CREATE INDEX task_age ON task (queue, appended);
";

/// Opens the database for writing; makes its tables when there are none.
pub(super) fn prepare(path: &Path) -> Result<Connection, StateError> {
    let open = |error: rusqlite::Error| {
        let reason = match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => "the file is no database of ours".to_owned(),
            Some(ErrorCode::DatabaseCorrupt) => {
                "the database is damaged; restore it, or move it away".to_owned()
            }
            _ => error.to_string(),
        };
        StateError::Open { path: path.to_owned(), reason }
    };
    let mut connection = connect(path, OpenFlags::default()).map_err(open)?;
    // A write-ahead log lets readers go on; FULL brings each commit to the disk before it is answered.
    connection.pragma_update(None, "journal_mode", "wal").map_err(open)?;
    connection.pragma_update(None, "synchronous", "full").map_err(open)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let transaction = transaction.map_err(open)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(open)?;
    match found {
        0 => {
            transaction.execute_batch(TABLES).map_err(open)?;
            transaction.pragma_update(None, "user_version", VERSION).map_err(open)?;
        }
        VERSION => {}
        found => return Err(StateError::Newer { path: path.to_owned(), found, known: VERSION }),
    }
    transaction.commit().map_err(open)?;
    Ok(connection)
}

/// A connection for reading a database that is there.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_database_of_ours_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let text = |error: StateError| error.to_string();
        std::fs::write(&path, "this is a text and no database, whoever put it here").unwrap();
        assert!(text(prepare(&path).unwrap_err()).ends_with("the file is no database of ours"));
        std::fs::remove_file(&path).unwrap();
        let connection = prepare(&path).unwrap();
        connection.pragma_update(None, "user_version", 7).unwrap();
        drop(connection);
        assert!(
            text(prepare(&path).unwrap_err())
                .contains("is of version 7; this program knows versions up to 1")
        );
    }

    #[test]
    fn a_commit_reaches_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let connection = prepare(&folder.path().join("state.db")).unwrap();
        let pragma = |name: &str| -> String {
            connection
                .query_row(&format!("SELECT * FROM pragma_{name}"), [], |row| {
                    row.get::<_, rusqlite::types::Value>(0).map(|value| format!("{value:?}"))
                })
                .unwrap()
        };
        assert_eq!(pragma("journal_mode"), "Text(\"wal\")");
        assert_eq!(pragma("synchronous"), "Integer(2)");
    }
}

//! The line of each exchange, where lines are for machines.
//!
//! Through the general logger it cost more than all stages together: fields are visited one by one, and each line is
//! a system call. So it is made in one go and kept; a core writes what it has kept whenever it has nothing else to
//! do, which under load is after a few requests, and else at once.

use std::cell::RefCell;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Serialize, Serializer};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// `target` of these lines.
const TARGET: &str = "fireguard::access";

/// What is written of an exchange; `docs/guide/operations.md` explains the fields.
#[derive(Serialize)]
pub struct Line<'a> {
    /// Its id.
    pub request_id: &'a str,
    /// Its HTTP method.
    pub method: &'a str,
    /// The route's name.
    pub route: &'a str,
    /// The FHIR interaction's code.
    pub interaction: &'static str,
    /// The resource type asked for.
    pub resource_type: &'static str,
    /// The status the client got.
    pub status: u16,
    /// The status the server answered; 0: none.
    pub upstream_status: u16,
    /// How often it went to the server.
    pub attempts: u32,
    /// Whose fault it was.
    pub source: &'static str,
    /// What the fault was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'a str>,
    /// Why the answer broke off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort: Option<&'a str>,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// From its head to its end.
    pub milliseconds: f64,
    /// How the answer ended.
    pub end: &'static str,
}

/// A line as other lines are: with what the general logger adds.
#[derive(Serialize)]
struct Written<'a> {
    timestamp: Now,
    level: &'static str,
    #[serde(flatten)]
    line: &'a Line<'a>,
    target: &'static str,
}

/// The moment of writing, as other lines have it.
struct Now;

impl Serialize for Now {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::new();
        SystemTime.format_time(&mut Writer::new(&mut text)).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&text)
    }
}

static WRITTEN: AtomicBool = AtomicBool::new(false);

/// Writes lines here from now on, or leaves them to the general logger.
pub(crate) fn write(written: bool) {
    WRITTEN.store(written, Ordering::Relaxed);
}

/// More is not kept.
const MOST: usize = 32 << 10;

/// The lines that a thread has not yet written.
#[derive(Default)]
struct Kept {
    lines: Vec<u8>,
    /// This thread says when it rests.
    rests: bool,
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// An exchange has ended.
pub fn note(line: &Line<'_>) {
    if !WRITTEN.load(Ordering::Relaxed) {
        return line.log();
    }
    let kept = KEPT.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        kept.add(line);
        if !kept.rests || kept.lines.len() > MOST {
            kept.flush();
        }
    });
    // The thread is ending.
    if kept.is_err() {
        let mut last = Kept::default();
        last.add(line);
    }
}

/// This thread has nothing else to do for the moment, and will say so again.
pub fn rest() {
    let _ = KEPT.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        kept.rests = true;
        kept.flush();
    });
}

impl Line<'_> {
    /// For people, or not at all: as the general logger is set.
    fn log(&self) {
        tracing::info!(
            target: TARGET,
            request_id = self.request_id,
            method = %self.method,
            route = self.route,
            interaction = self.interaction,
            resource_type = self.resource_type,
            status = self.status,
            upstream_status = self.upstream_status,
            attempts = self.attempts,
            source = self.source,
            detail = self.detail,
            abort = self.abort,
            bytes = self.bytes,
            milliseconds = self.milliseconds,
            end = self.end,
        );
    }
}

impl Kept {
    fn add(&mut self, line: &Line<'_>) {
        let before = self.lines.len();
        let written = Written { timestamp: Now, level: "INFO", line, target: TARGET };
        match serde_json::to_writer(&mut self.lines, &written) {
            Ok(()) => self.lines.push(b'\n'),
            Err(_) => self.lines.truncate(before),
        }
    }

    fn flush(&mut self) {
        if !self.lines.is_empty() {
            // Nobody can be told that nobody can be told.
            let _ = std::io::stderr().write_all(&self.lines);
            self.lines.clear();
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_object() {
        let mut kept = Kept::default();
        kept.add(&Line {
            request_id: "a\"b",
            method: "GET",
            route: "fhir",
            interaction: "read",
            resource_type: "Patient",
            status: 502,
            upstream_status: 0,
            attempts: 1,
            source: "upstream",
            detail: Some("x\ny"),
            abort: None,
            bytes: 0,
            milliseconds: 1.5,
            end: "complete",
        });
        let text = String::from_utf8(std::mem::take(&mut kept.lines)).unwrap();
        assert_eq!(text.lines().count(), 1);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&line["request_id"], &line["detail"]), (&"a\"b".into(), &"x\ny".into()));
        assert_eq!((&line["target"], line.get("abort")), (&TARGET.into(), None));
        let timestamp = line["timestamp"].as_str().unwrap();
        assert!(timestamp.ends_with('Z') && timestamp.len() == "2026-11-21T13:29:25.409866Z".len());
    }
}

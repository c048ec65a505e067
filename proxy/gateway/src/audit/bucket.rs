//! Events in a bucket: many in one object, a line each.
//!
//! What goes into one object is settled before it is put: the events are sealed into one task, in one transaction. Its
//! key follows from its content. So an object that is put again, after a lost answer or by a successor of a killed
//! process, is the same object, and no event is in two.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use fireguard_fhir::json;
use fireguard_state::s3::{Bucket, BucketFault};
use fireguard_state::{Queue, StateError, Task};

use super::QUEUE;
use crate::work::LEASE;

/// The queue of what is sealed: one batch at the most.
pub(super) const SEALED: &str = "audit-sealed";
/// More events are never in one object.
const EVENTS: u32 = 1000;
/// Bytes of a digest in a key: chance makes no two the same.
const DIGEST: usize = 16;
const NDJSON: &str = "application/x-ndjson";

/// A bucket, and how long events are gathered for one object.
pub(super) struct Objects {
    bucket: Bucket,
    gather: Duration,
}

impl Objects {
    pub(super) fn new(bucket: Bucket, gather: Duration) -> Self {
        Self { bucket, gather }
    }

    /// Seals what waits, if it is enough or has waited long enough. Answers how many events that is.
    ///
    /// # Errors
    /// The queue does not work.
    pub(super) async fn seal(&self, queue: &dyn Queue) -> Result<u64, StateError> {
        let standing = queue.standing(QUEUE).await?;
        let ripe = standing.oldest.is_some_and(|age| age >= self.gather);
        if !ripe && standing.length < u64::from(EVENTS) {
            return Ok(0);
        }
        let leased = queue.lease(QUEUE, EVENTS, LEASE).await?;
        if leased.is_empty() {
            return Ok(0);
        }
        let held = leased.iter().map(|leased| (leased.id, leased.attempt)).collect();
        let events: Vec<&[u8]> = leased.iter().map(|leased| &*leased.content).collect();
        let task = Task { content: lines(&events), after: Duration::ZERO };
        let sealed = queue.fold(QUEUE, held, SEALED, task).await?;
        Ok(if sealed { leased.len() as u64 } else { 0 })
    }

    /// Puts what was sealed.
    ///
    /// # Errors
    /// It is not known to be there.
    pub(super) async fn put(&self, events: &[&[u8]]) -> Result<(), BucketFault> {
        let lines = lines(events);
        // One that is there already is this one: its key says what is in it.
        self.bucket.create(&key(&lines), lines, NDJSON).await.map(drop)
    }
}

/// The events of what was sealed.
pub(super) fn events(lines: &[u8]) -> Vec<&[u8]> {
    lines.split(|byte| *byte == b'\n').filter(|event| !event.is_empty()).collect()
}

fn lines(events: &[&[u8]]) -> Vec<u8> {
    let mut lines = Vec::with_capacity(events.iter().map(|event| event.len() + 1).sum());
    for event in events {
        lines.extend_from_slice(event);
        lines.push(b'\n');
    }
    lines
}

/// `audit/2026/11/22/04/20261122T044627.123Z-<digest>.ndjson`: by the time of the first event and the digest of all.
fn key(lines: &[u8]) -> String {
    let sha256 = digest(&SHA256, lines);
    let digest: String = sha256.as_ref().iter().take(DIGEST).map(|byte| format!("{byte:02x}")).collect();
    let first = events(lines).first().and_then(|event| recorded(event));
    match first {
        Some((hour, instant)) => format!("audit/{hour}/{instant}-{digest}.ndjson"),
        None => format!("audit/undated/{digest}.ndjson"),
    }
}

/// The hour and the instant of an event, as they stand in a key.
fn recorded(event: &[u8]) -> Option<(String, String)> {
    let recorded = json::member(event, "recorded")?.string()?;
    let (date, time) = recorded.strip_suffix('Z')?.split_once('T')?;
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || b"-:.".contains(&byte));
    let hour = time.get(..2)?;
    (plain(date) && plain(time) && !time.contains("..")).then(|| {
        let instant = format!("{}T{}Z", date.replace('-', ""), time.replace(':', ""));
        (format!("{}/{hour}", date.replace('-', "/")), instant)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_from_what_is_in_the_object() {
        let event = r#"{"resourceType":"AuditEvent","id":"a","recorded":"2026-11-22T04:46:27.123Z"}"#;
        let one = key(format!("{event}\n").as_bytes());
        assert!(
            one.starts_with("audit/2026/11/22/04/20261122T044627.123Z-") && one.ends_with(".ndjson"),
            "{one}"
        );
        assert_eq!(one, key(format!("{event}\n").as_bytes()));
        assert_ne!(one, key(format!("{event}\n{event}\n").as_bytes()));
        for strange in [r#"{"recorded":"2026/../..T00Z"}"#, r#"{"recorded":"now"}"#, "{}", "no event", ""] {
            let key = key(strange.as_bytes());
            assert!(key.starts_with("audit/undated/") && !key.contains(".."), "{key}");
        }
    }

    #[test]
    fn what_was_sealed_is_taken_apart_again() {
        let lines = lines(&[b"{1}", b"{2}"]);
        assert_eq!(lines, b"{1}\n{2}\n");
        assert_eq!(events(&lines), [b"{1}", b"{2}"]);
    }
}

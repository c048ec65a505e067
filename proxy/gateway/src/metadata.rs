//! CapabilityStatements that are kept. HAPI takes 80 ms of processor time for one, and it is 1.5 MB.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderValue;

use crate::config::defaults;

/// Kept at the most, for so many bases by which clients know one route.
const BASES: usize = 8;

/// The CapabilityStatement of one route, by the base that its URLs are of. All cores share it; a reload makes a new
/// one.
#[derive(Default)]
pub struct Metadata {
    kept: RwLock<BTreeMap<String, Arc<Statement>>>,
    failed: Mutex<Option<Instant>>,
    /// Held by who asks the server.
    pub asking: tokio::sync::Mutex<()>,
}

/// One CapabilityStatement, ready to send.
pub struct Statement {
    /// As it is.
    pub plain: Bytes,
    /// Compressed.
    pub gzip: Bytes,
    /// A tag of our own: HAPI gives none.
    pub etag: HeaderValue,
    since: Instant,
    renewing: AtomicBool,
}

/// How old a statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// It may be sent.
    Fresh,
    /// It may be sent, and should be renewed meanwhile.
    Stale,
    /// The server must be asked.
    Gone,
}

impl Metadata {
    /// The statement for this base, if it may be sent.
    pub fn get(&self, base: &str) -> Option<(Arc<Statement>, Age)> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner).get(base).cloned()?;
        let age = kept.age(Instant::now());
        (age != Age::Gone).then_some((kept, age))
    }

    /// Keeps a statement; of too many bases the oldest goes.
    pub fn keep(&self, base: String, statement: Arc<Statement>) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        kept.insert(base, statement);
        while kept.len() > BASES {
            let oldest = kept.iter().min_by_key(|(_, statement)| statement.since);
            let Some(oldest) = oldest.map(|(base, _)| base.clone()) else { break };
            kept.remove(&oldest);
        }
    }

    /// The server did not give one.
    pub fn failed(&self) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether it did not since then.
    pub fn failed_since(&self, then: Instant) -> bool {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|at| at >= then)
    }
}

impl Statement {
    /// Compresses and tags what the server gave: tens of milliseconds.
    pub fn new(plain: Bytes) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        // Writing into memory does not fail; without the copy it is sent as it is.
        let gzip = encoder.write_all(&plain).and_then(|()| encoder.finish()).unwrap_or_default();
        let hash = digest(&SHA256, &plain);
        let hex: String = hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let etag = HeaderValue::from_str(&format!("W/\"cs-{hex}\""));
        let etag = etag.unwrap_or(HeaderValue::from_static("W/\"cs\""));
        Self { plain, gzip: gzip.into(), etag, since: Instant::now(), renewing: AtomicBool::new(false) }
    }

    /// Whether the caller is the one to renew it.
    pub fn renews(&self) -> bool {
        !self.renewing.swap(true, Ordering::Relaxed)
    }

    /// It could not be renewed: the next one may try.
    pub fn not_renewed(&self) {
        self.renewing.store(false, Ordering::Relaxed);
    }

    fn age(&self, now: Instant) -> Age {
        match now.saturating_duration_since(self.since) {
            age if age < defaults::METADATA_FRESH => Age::Fresh,
            age if age < defaults::METADATA_STALE => Age::Stale,
            _ => Age::Gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::time::Duration;

    #[test]
    fn a_statement_is_compressed_and_tagged_by_what_it_says() {
        let one = Statement::new(Bytes::from_static(b"{}"));
        let mut text = String::new();
        flate2::read::GzDecoder::new(&one.gzip[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "{}");
        assert_eq!(one.etag, Statement::new(Bytes::from_static(b"{}")).etag);
        assert_ne!(one.etag, Statement::new(Bytes::from_static(b"{ }")).etag);
    }

    #[test]
    fn ages_and_bases() {
        let one = Statement::new(Bytes::new());
        let after = |wait: Duration| one.age(one.since + wait);
        assert_eq!(after(Duration::ZERO), Age::Fresh);
        assert_eq!(after(defaults::METADATA_FRESH), Age::Stale);
        assert_eq!(after(defaults::METADATA_STALE), Age::Gone);
        assert!(one.renews() && !one.renews());
        one.not_renewed();
        assert!(one.renews());
        let metadata = Metadata::default();
        for base in 0..=BASES {
            metadata.keep(base.to_string(), Arc::new(Statement::new(Bytes::new())));
        }
        assert!(metadata.get("0").is_none(), "the oldest");
        assert!(metadata.get("1").is_some() && metadata.get(&BASES.to_string()).is_some());
        let before = Instant::now();
        assert!(!metadata.failed_since(before));
        metadata.failed();
        assert!(
            metadata.failed_since(before) && !metadata.failed_since(Instant::now() + Duration::from_secs(1))
        );
    }
}

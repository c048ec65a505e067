//! CapabilityStatements that are kept. HAPI takes 80 ms of processor time for one, and it is 1.5 MB.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use fireguard_access::policy::Extent;
use fireguard_access::principal::Principal;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderValue;

use crate::capabilities::Security;
use crate::config::defaults;

/// Kept at the most, for so many bases by which clients know one route.
const BASES: usize = 8;
/// As many statements that differ by what may be done, of one route.
const STATEMENTS: usize = 16;
/// As many kinds of callers are known, of one route.
const KINDS: usize = 256;

/// The CapabilityStatements of one route. All cores share them; a reload makes new ones.
#[derive(Default)]
pub struct Metadata {
    /// What the server says, by the base that its URLs are of.
    sources: RwLock<BTreeMap<String, Arc<Source>>>,
    /// What is made of that, the latest last.
    statements: RwLock<Vec<Made>>,
    /// What kinds of callers could be let do; none: anybody.
    extents: RwLock<Vec<Known>>,
    failed: Mutex<Option<Instant>>,
    /// Held by who asks the server.
    pub asking: tokio::sync::Mutex<()>,
    /// Held by who makes a statement.
    pub making: tokio::sync::Mutex<()>,
}

/// A statement, what it was made of, and for whom: who could be let do so much.
type Made = (Arc<Content>, Option<Arc<Extent>>, Arc<Statement>);
/// A kind of callers, what they could be let do, and since when that is known.
type Known = (Option<Principal>, Option<Arc<Extent>>, Instant);

/// The server's statement, and when it was given.
pub struct Source {
    /// What it says.
    pub content: Arc<Content>,
    since: Instant,
    renewing: AtomicBool,
}

/// What a statement is made of, besides what may be done.
#[derive(PartialEq, Eq)]
pub struct Content {
    /// The server's, with the URLs that the client knows.
    pub statement: Bytes,
    /// How callers show who they are, if the route asks.
    pub security: Option<Security>,
}

/// One CapabilityStatement, ready to send.
pub struct Statement {
    /// As it is.
    pub plain: Bytes,
    /// Compressed.
    pub gzip: Bytes,
    /// A tag of our own: HAPI gives none.
    pub etag: HeaderValue,
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
    /// What the server says for this base, if it may be sent.
    pub fn source(&self, base: &str) -> Option<(Arc<Source>, Age)> {
        let kept = self.sources.read().unwrap_or_else(PoisonError::into_inner).get(base).cloned()?;
        let age = kept.age(Instant::now());
        (age != Age::Gone).then_some((kept, age))
    }

    /// Keeps what the server says; of too many bases the oldest goes. What is the same as before stays what it was.
    pub fn keep(&self, base: String, content: Content) -> Arc<Source> {
        let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        let before = sources.get(&base).filter(|before| *before.content == content);
        let content = before.map_or_else(|| Arc::new(content), |before| Arc::clone(&before.content));
        let source = Arc::new(Source { content, since: Instant::now(), renewing: AtomicBool::new(false) });
        sources.insert(base, Arc::clone(&source));
        while sources.len() > BASES {
            let oldest = sources.iter().min_by_key(|(_, source)| source.since);
            let Some(oldest) = oldest.map(|(base, _)| base.clone()) else { break };
            sources.remove(&oldest);
        }
        source
    }

    /// The statement that was made of this, for who could be let do so much.
    pub fn statement(&self, content: &Arc<Content>, extent: Option<&Arc<Extent>>) -> Option<Arc<Statement>> {
        let statements = self.statements.read().unwrap_or_else(PoisonError::into_inner);
        let is = |(of, to, _): &&Made| Arc::ptr_eq(of, content) && same(to.as_ref(), extent);
        statements.iter().rev().find(is).map(|(_, _, statement)| Arc::clone(statement))
    }

    /// Keeps a statement; of too many the oldest goes.
    pub fn made(&self, content: Arc<Content>, extent: Option<Arc<Extent>>, statement: Arc<Statement>) {
        let mut statements = self.statements.write().unwrap_or_else(PoisonError::into_inner);
        if statements.len() >= STATEMENTS {
            statements.remove(0);
        }
        statements.push((content, extent, statement));
    }

    /// What callers of this kind could be let do; none: it is not known, or was found out too long ago.
    pub fn extent(&self, kind: Option<&Principal>) -> Option<Option<Arc<Extent>>> {
        let extents = self.extents.read().unwrap_or_else(PoisonError::into_inner);
        let (_, extent, since) = extents.iter().find(|(known, ..)| known.as_ref() == kind)?;
        (since.elapsed() < defaults::METADATA_FRESH).then(|| extent.clone())
    }

    /// Keeps what callers of this kind could be let do; one that is like another is the same. Of too many the oldest goes.
    pub fn reaches(&self, kind: Option<Principal>, extent: Option<Extent>) -> Option<Arc<Extent>> {
        let mut extents = self.extents.write().unwrap_or_else(PoisonError::into_inner);
        let like = extents.iter().find(|(_, known, _)| known.as_deref() == extent.as_ref());
        let extent = like.map_or_else(|| extent.map(Arc::new), |(_, known, _)| known.clone());
        extents.retain(|(known, ..)| *known != kind);
        if extents.len() >= KINDS {
            extents.remove(0);
        }
        extents.push((kind, extent.clone(), Instant::now()));
        extent
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

fn same(one: Option<&Arc<Extent>>, other: Option<&Arc<Extent>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}

impl Source {
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
        Self { plain, gzip: gzip.into(), etag }
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

    fn content(text: &'static str) -> Content {
        Content { statement: Bytes::from_static(text.as_bytes()), security: None }
    }

    #[test]
    fn ages_and_bases() {
        let metadata = Metadata::default();
        let one = metadata.keep("0".to_owned(), content("{}"));
        let after = |wait: Duration| one.age(one.since + wait);
        assert_eq!(after(Duration::ZERO), Age::Fresh);
        assert_eq!(after(defaults::METADATA_FRESH), Age::Stale);
        assert_eq!(after(defaults::METADATA_STALE), Age::Gone);
        assert!(one.renews() && !one.renews());
        one.not_renewed();
        assert!(one.renews());
        for base in 1..=BASES {
            metadata.keep(base.to_string(), content("{}"));
        }
        assert!(metadata.source("0").is_none(), "the oldest");
        assert!(metadata.source("1").is_some() && metadata.source(&BASES.to_string()).is_some());
        let before = Instant::now();
        assert!(!metadata.failed_since(before));
        metadata.failed();
        assert!(
            metadata.failed_since(before) && !metadata.failed_since(Instant::now() + Duration::from_secs(1))
        );
    }

    #[test]
    fn as_many_statements_are_kept_as_there_are_kinds_of_what_may_be_done() {
        let metadata = Metadata::default();
        let source = metadata.keep("b".to_owned(), content("{}"));
        let again = metadata.keep("b".to_owned(), content("{}"));
        assert!(Arc::ptr_eq(&source.content, &again.content), "nothing has changed");
        let other = metadata.keep("b".to_owned(), content("{ }"));
        assert!(!Arc::ptr_eq(&source.content, &other.content));
        let statement = Arc::new(Statement::new(Bytes::new()));
        metadata.made(Arc::clone(&source.content), None, Arc::clone(&statement));
        assert!(metadata.statement(&source.content, None).is_some());
        assert!(metadata.statement(&other.content, None).is_none());
        for _ in 0..STATEMENTS {
            metadata.made(Arc::clone(&other.content), None, Arc::clone(&statement));
        }
        assert!(metadata.statement(&source.content, None).is_none(), "the oldest");
        assert!(metadata.extent(None).is_none());
        metadata.reaches(None, None);
        assert!(metadata.extent(None).is_some());
    }
}

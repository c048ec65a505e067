//! What is asked of an issuer, and by whom.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use zeroize::Zeroizing;

/// A task that is handed over.
pub type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Asks issuers. What it does costs no core its time, and goes on if nobody waits for it any more.
pub trait Fetch: Send + Sync + fmt::Debug {
    /// Asks once. An answer is at most some hundred KiB and takes some seconds at most.
    fn fetch(&self, question: Question) -> Task<Result<Answer, Unreachable>>;

    /// Does this beside the cores.
    fn spawn(&self, task: Task<()>);
}

/// A question.
#[derive(Debug, Clone)]
pub enum Question {
    /// A document.
    Get(String),
    /// Whether a token is good (RFC 7662 §2.1).
    Introspect(Introspect),
}

/// Whether a token is good.
#[derive(Clone)]
pub struct Introspect {
    /// Where.
    pub url: String,
    /// Our own name there.
    pub client_id: String,
    /// Our secret there.
    pub client_secret: Zeroizing<String>,
    /// The token.
    pub token: Zeroizing<String>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Nothing came back; the reason is for the log.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(pub String);

impl fmt::Debug for Introspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspect").field("url", &self.url).finish_non_exhaustive()
    }
}

//! Answers on their way to one client.
//!
//! An answer holds a connection to the FHIR server and, on some routes, a plugin's instance. Over HTTP/2 a
//! client can leave one stream unread while the connection is busy; hyper asks for no more of it then, and
//! nothing ends. So answers over HTTP/2 are only lent: what is not asked for is taken back.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use fireguard_traffic::body::{Body, BodyError};
use http::{Request, Response, Version};
use http_body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;

/// What one connection is occupied with.
#[derive(Default)]
pub(super) struct Lent {
    begun: AtomicU64,
    running: AtomicUsize,
    http2: AtomicBool,
    idle: Notify,
    streams: Mutex<Vec<Weak<Loan>>>,
}

/// An answer that can be taken back.
type Loan = Mutex<Stream>;

struct Stream {
    body: Option<Body>,
    /// When it was last given something, if it has not asked for more since.
    given: Option<Instant>,
}

impl Lent {
    /// Requests that have begun.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// One is being answered.
    pub(super) fn busy(&self) -> bool {
        self.running.load(Ordering::Relaxed) > 0
    }

    /// Whether a request came over HTTP/2.
    pub(super) fn speaks_http2(&self) -> bool {
        self.http2.load(Ordering::Relaxed)
    }

    /// Nothing was asked for so long that the connection may end.
    pub(super) fn rest(&self) {
        self.idle.notify_one();
    }

    /// Waits for [`Lent::rest`].
    pub(super) async fn rests(&self) {
        self.idle.notified().await;
    }

    /// A request begins. It ends when what is returned is dropped.
    pub(super) fn begin<B>(self: &Arc<Self>, request: &Request<B>) -> Running {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        if request.version() == Version::HTTP_2 {
            self.http2.store(true, Ordering::Relaxed);
        }
        Running(Arc::clone(self))
    }

    /// Takes back what was not asked for so long. When to look again; never, if nothing is lent.
    pub(super) fn take_back(&self, patience: Duration) -> Option<Instant> {
        let now = Instant::now();
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = None;
        streams.retain(|stream| {
            let Some(stream) = stream.upgrade() else { return false };
            let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
            let until = stream.given.map_or(now, |given| given) + patience;
            if until <= now {
                drop(stream.body.take());
                return false;
            }
            next = Some(next.map_or(until, |next: Instant| next.min(until)));
            true
        });
        next
    }
}

/// A request that is being answered.
pub(super) struct Running(Arc<Lent>);

impl Running {
    /// Its answer.
    pub(super) fn answer(self, answer: Response<Body>) -> Response<Answer> {
        let http2 = self.0.speaks_http2();
        answer.map(|body| {
            let held = if http2 && !http_body::Body::is_end_stream(&body) {
                let loan = Arc::new(Mutex::new(Stream { body: Some(body), given: Some(Instant::now()) }));
                let mut streams = self.0.streams.lock().unwrap_or_else(PoisonError::into_inner);
                streams.push(Arc::downgrade(&loan));
                Held::Lent(loan)
            } else {
                Held::Given(body)
            };
            Answer { held, _running: self }
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer.
pub(super) struct Answer {
    held: Held,
    _running: Running,
}

enum Held {
    /// Over HTTP/1.1 the socket tells whether it is read.
    Given(Body),
    Lent(Arc<Loan>),
}

/// The client does not read.
#[derive(Debug, thiserror::Error)]
#[error("the client did not read its answer")]
struct Unread;

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.get_mut().held {
            Held::Given(body) => Pin::new(body).poll_frame(cx),
            Held::Lent(loan) => {
                let mut stream = loan.lock().unwrap_or_else(PoisonError::into_inner);
                stream.given = None;
                let Some(body) = &mut stream.body else { return Poll::Ready(Some(Err(Unread.into()))) };
                let frame = ready!(Pin::new(body).poll_frame(cx));
                stream.given = Some(Instant::now());
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.held {
            Held::Given(body) => body.is_end_stream(),
            Held::Lent(loan) => {
                let stream = loan.lock().unwrap_or_else(PoisonError::into_inner);
                stream.body.as_ref().is_some_and(http_body::Body::is_end_stream)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.held {
            Held::Given(body) => body.size_hint(),
            Held::Lent(loan) => {
                let stream = loan.lock().unwrap_or_else(PoisonError::into_inner);
                stream.body.as_ref().map(http_body::Body::size_hint).unwrap_or_default()
            }
        }
    }
}

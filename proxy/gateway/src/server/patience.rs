//! How long a client may keep a connection to itself: without asking, in the middle of a request's head, or
//! without reading what it is sent.
//!
//! hyper knows one clock, for the head, and lets it run between requests too. Here the socket is watched: who
//! is silent between two requests may be so for longer than one who has begun to speak, and who does not read
//! its answer is let go as well.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::lent::Lent;

/// How long is long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// From the first byte of a head (of the connection, for its first request) to its last.
    pub(super) head: Duration,
    /// Between two requests.
    pub(super) idle: Duration,
    /// Without reading.
    pub(super) unread: Duration,
}

/// A client's socket. An operation that takes too long fails with [`io::ErrorKind::TimedOut`].
pub(super) struct Patient<S> {
    stream: S,
    limits: Limits,
    lent: Arc<Lent>,
    reading: Clock,
    writing: Clock,
    /// How many requests had begun when it was last looked.
    begun: u64,
    /// Since when nothing is going on.
    quiet: Instant,
    /// When the first byte of the head came that is not complete.
    head: Option<Instant>,
    /// Since when the client reads nothing.
    unread: Option<Instant>,
}

impl<S> Patient<S> {
    /// The connection begins now: its first head is waited for.
    pub(super) fn new(stream: S, limits: Limits, lent: Arc<Lent>) -> Self {
        let now = Instant::now();
        Self {
            stream,
            limits,
            lent,
            reading: Clock::default(),
            writing: Clock::default(),
            begun: 0,
            quiet: now,
            head: Some(now),
            unread: None,
        }
    }

    /// Takes note of requests that began since; whether one is still being answered.
    fn busy(&mut self) -> bool {
        let begun = self.lent.begun();
        let busy = self.lent.busy();
        if begun != self.begun || busy {
            self.begun = begun;
            self.head = None;
            self.quiet = Instant::now();
        }
        busy
    }

    /// The client sends nothing: for how long may it?
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let until = if self.busy() {
                // The stages have their own clocks; here only HTTP/2 streams are left that nobody reads.
                match self.lent.take_back(self.limits.unread) {
                    Some(next) => next,
                    None => return Poll::Pending,
                }
            } else {
                match self.head {
                    Some(since) => since + self.limits.head,
                    None => self.quiet + self.limits.idle,
                }
            };
            ready!(self.reading.poll(cx, until));
            if self.lent.busy() {
                continue;
            }
            if self.head.is_none() && self.lent.speaks_http2() {
                // Over HTTP/2 one can say goodbye, so that no request meets a closed connection.
                self.lent.rest();
                self.head = Some(Instant::now());
                continue;
            }
            return Poll::Ready(io::ErrorKind::TimedOut.into());
        }
    }

    fn watch_writing<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.unread = None;
            return written;
        }
        let since = *self.unread.get_or_insert_with(Instant::now);
        ready!(self.writing.poll(cx, since + self.limits.unread));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            // Between the frames of HTTP/2 no head can be told from other frames.
            Poll::Ready(Ok(())) => {
                if !this.busy() && this.head.is_none() && !this.lent.speaks_http2() {
                    this.head = Some(Instant::now());
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => this.poll_silence(cx).map(Err),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.watch_writing(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.watch_writing(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.watch_writing(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let ended = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.watch_writing(cx, ended)
    }
}

/// A timer that is moved as seldom as possible: it is left to run out, and then set to what is left.
#[derive(Default)]
struct Clock(Option<Pin<Box<Sleep>>>);

impl Clock {
    /// Ready once it is later than `until`.
    fn poll(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if sleep.deadline() > until {
            sleep.as_mut().reset(until);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if sleep.deadline() >= until {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(until);
        }
        Poll::Pending
    }
}

//! One connection: a request out, an answer's head in, in the task that asks.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::{Method, Request};
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::error::AnswerError;
use super::head::{Head, HeadReader};
use super::request;
use crate::upstream::stream::Stream;

/// Bytes of one read, and the least room for one.
const READ: usize = 64 << 10;
const LEAST_ROOM: usize = READ / 2;

/// A connection to the server.
pub(super) struct Connection {
    stream: Stream,
    /// What has arrived and nobody has taken.
    pub(super) buffer: BytesMut,
}

/// Why there is no head.
#[derive(Debug)]
pub(super) enum Failed {
    /// Not a byte of the request left (over TLS: not its end): another connection may carry it.
    Unsent(io::Error),
    /// The server closed the connection before it answered anything.
    Closed(AnswerError),
    /// The answer cannot be read.
    Answer(AnswerError),
}

impl Connection {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// Whether nothing has arrived since the last answer: bytes nobody asked for would pass for the next answer,
    /// and an end for a broken one.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.buffer.is_empty() && self.stream.is_quiet()
    }

    /// Sends a request and reads the head of its answer; interim answers are skipped. The head says that the
    /// connection ends if the server answered without having read all.
    pub(super) async fn exchange(&mut self, request: &Request<()>, body: Bytes) -> Result<Head, Failed> {
        let head_only = request.method() == Method::HEAD;
        let mut request = request::head(request, body.len()).chain(body);
        let length = request.remaining();
        let mut reader = HeadReader::default();
        let (mut sent, mut heard) = (false, false);
        loop {
            if !self.buffer.is_empty() {
                heard = true;
                match reader.read(&mut self.buffer, head_only).map_err(Failed::Answer)? {
                    Some(head) if head.response.status().is_informational() => continue,
                    Some(mut head) => {
                        head.keep_alive &= sent;
                        return Ok(head);
                    }
                    None => {}
                }
            }
            let step = if sent {
                self.read().await
            } else {
                self.make_room();
                poll_fn(|cx| self.poll_write_or_read(cx, &mut request, &mut sent)).await
            };
            match step {
                Ok(()) => {}
                Err(AnswerError::Io(error)) if request.remaining() == length && !heard => {
                    return Err(Failed::Unsent(error));
                }
                Err(error) if heard => return Err(Failed::Answer(error)),
                Err(error) => return Err(Failed::Closed(error)),
            }
        }
    }

    /// Writes what is left of the request, or, while the server does not take it, reads what it has to say.
    fn poll_write_or_read(
        &mut self,
        cx: &mut Context<'_>,
        request: &mut impl Buf,
        sent: &mut bool,
    ) -> Poll<Result<(), AnswerError>> {
        match self.poll_write(cx, request) {
            Poll::Ready(Ok(())) => {
                *sent = true;
                Poll::Ready(Ok(()))
            }
            // It may have said why before it closed.
            Poll::Ready(Err(error)) => Poll::Ready(match self.poll_read(cx) {
                Poll::Ready(Ok(1..)) => Ok(()),
                _ => Err(error.into()),
            }),
            Poll::Pending => self.poll_read(cx).map(|read| at_least_one(read?)),
        }
    }

    /// Ready when all of the request has left. What TLS has taken and could not send leaves with the rest.
    fn poll_write(&mut self, cx: &mut Context<'_>, request: &mut impl Buf) -> Poll<io::Result<()>> {
        while request.has_remaining() {
            let mut pieces = [IoSlice::new(&[]); 2];
            let count = request.chunks_vectored(&mut pieces);
            let written = Pin::new(&mut self.stream).poll_write_vectored(cx, &pieces[..count]);
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => request.advance(written),
            }
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    async fn read(&mut self) -> Result<(), AnswerError> {
        self.make_room();
        at_least_one(self.stream.read_buf(&mut self.buffer).await?)
    }

    /// Reads more of a body; how much.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.make_room();
        // The future has no state of its own: a new one each time is the same.
        std::pin::pin!(self.stream.read_buf(&mut self.buffer)).poll(cx)
    }

    fn make_room(&mut self) {
        if self.buffer.capacity() - self.buffer.len() < LEAST_ROOM {
            self.buffer.reserve(READ);
        }
    }
}

fn at_least_one(read: usize) -> Result<(), AnswerError> {
    if read == 0 { Err(AnswerError::Truncated) } else { Ok(()) }
}

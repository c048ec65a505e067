//! One connection: a request out, an answer's head in, in the task that asks.

use std::io;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use http::{Method, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::error::AnswerError;
use super::head::{Head, HeadReader};
use super::request;

/// Bytes of one read, and the least room for one.
const READ: usize = 64 << 10;
const LEAST_ROOM: usize = READ / 2;

/// A connection to the server.
pub(super) struct Connection {
    stream: TcpStream,
    /// What has arrived and nobody has taken.
    pub(super) buffer: BytesMut,
}

/// Why there is no head.
#[derive(Debug)]
pub(super) enum Failed {
    /// Not a byte of the request left: another connection may carry it.
    Unsent(io::Error),
    /// The server closed the connection before it answered anything.
    Closed(AnswerError),
    /// The answer cannot be read.
    Answer(AnswerError),
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// Whether nothing has arrived since the last answer: bytes nobody asked for would pass for the next answer,
    /// and an end for a broken one.
    pub(super) fn is_quiet(&self) -> bool {
        let read = self.stream.try_read(&mut [0]);
        self.buffer.is_empty() && matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends a request and reads the head of its answer; interim answers are skipped. The head says that the
    /// connection ends if the server answered without having read all.
    pub(super) async fn exchange(&mut self, request: &Request<()>, body: Bytes) -> Result<Head, Failed> {
        let head_only = request.method() == Method::HEAD;
        let mut request = request::head(request, body.len()).chain(body);
        let length = request.remaining();
        let mut reader = HeadReader::default();
        let mut heard = false;
        loop {
            if !self.buffer.is_empty() {
                heard = true;
                match reader.read(&mut self.buffer, head_only).map_err(Failed::Answer)? {
                    Some(head) if head.response.status().is_informational() => continue,
                    Some(mut head) => {
                        head.keep_alive &= !request.has_remaining();
                        return Ok(head);
                    }
                    None => {}
                }
            }
            let step = if request.has_remaining() {
                self.write_or_read(&mut request).await
            } else {
                self.read().await
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
    async fn write_or_read(&mut self, request: &mut (impl Buf + Send)) -> Result<(), AnswerError> {
        self.make_room();
        let (mut reader, mut writer) = self.stream.split();
        tokio::select! {
            biased;
            written = writer.write_all_buf(request) => match written {
                Ok(()) => Ok(()),
                // It may have said why before it closed.
                Err(error) => match reader.try_read_buf(&mut self.buffer) {
                    Ok(1..) => Ok(()),
                    _ => Err(error.into()),
                },
            },
            read = reader.read_buf(&mut self.buffer) => at_least_one(read?),
        }
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

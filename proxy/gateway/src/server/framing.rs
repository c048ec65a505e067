//! Finds the heads of HTTP/1 requests that tell their length in two ways (RFC 9112 §6.3): hyper settles that while it
//! reads, and does not tell. Such a request is refused before anything is done for it.
//!
//! It has no say in where a request ends: hyper reads the same bytes by itself. Whatever is not understood here ends
//! the watch, and hyper's judgement stands.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Of a line so many bytes are looked at; what is looked for is shorter.
const LINE: usize = 128;

/// Which request of a connection tells its length in two ways; nothing after it is read.
#[derive(Debug, Clone)]
pub(super) struct TwoWays(Arc<AtomicU64>);

/// A socket on which heads are watched.
pub(super) struct Watched<S> {
    stream: S,
    framing: Framing,
}

struct Framing {
    expects: Expects,
    /// The beginning of a line that is not complete.
    line: Vec<u8>,
    /// Requests whose heads are complete.
    heads: u64,
    lengths: u32,
    codings: u32,
    length: u64,
    found: TwoWays,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expects {
    RequestLine,
    Header,
    /// The size of a chunk.
    Size,
    /// So many bytes, and then a request.
    Body(u64),
    /// So many bytes of a chunk, with what ends it.
    Chunk(u64),
    Trailer,
    /// It is no business of ours any more.
    Nothing,
}

impl TwoWays {
    /// Whether it is this request of the connection, counted from 0.
    pub(super) fn is(&self, request: u64) -> bool {
        self.0.load(Ordering::Relaxed) == request
    }
}

impl<S> Watched<S> {
    /// Watches what is read, and tells what is found.
    pub(super) fn new(stream: S) -> (Self, TwoWays) {
        let found = TwoWays(Arc::new(AtomicU64::new(u64::MAX)));
        (Self { stream, framing: Framing::new(found.clone()) }, found)
    }
}

impl Framing {
    fn new(found: TwoWays) -> Self {
        let (lengths, codings, length) = (0, 0, 0);
        Self { expects: Expects::RequestLine, line: Vec::new(), heads: 0, lengths, codings, length, found }
    }

    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.expects {
                Expects::Nothing => return,
                Expects::Body(left) | Expects::Chunk(left) => {
                    let skipped = left.min(bytes.len() as u64);
                    // At most what is there.
                    bytes = &bytes[skipped as usize..];
                    self.expects = match (self.expects, left - skipped) {
                        (Expects::Body(_), 0) => Expects::RequestLine,
                        (Expects::Body(_), left) => Expects::Body(left),
                        (_, 0) => Expects::Size,
                        (_, left) => Expects::Chunk(left),
                    };
                }
                _ => {
                    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                        return self.hold(bytes);
                    };
                    let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
                    bytes = rest;
                    if self.line.is_empty() {
                        self.read(line);
                    } else {
                        self.hold(line);
                        let line = std::mem::take(&mut self.line);
                        self.read(&line);
                    }
                }
            }
        }
    }

    fn hold(&mut self, part: &[u8]) {
        let room = LINE - self.line.len();
        self.line.extend_from_slice(&part[..part.len().min(room)]);
    }

    /// Reads a line, less its LF.
    fn read(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.expects = match (self.expects, line) {
            (Expects::RequestLine, b"") => Expects::RequestLine,
            // HTTP/2 has frames.
            (Expects::RequestLine, line) if line.starts_with(b"PRI ") => Expects::Nothing,
            (Expects::RequestLine, _) => Expects::Header,
            (Expects::Header, b"") => self.head(),
            (Expects::Header, line) => self.header(line),
            (Expects::Size, line) => {
                let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
                match number(digits, 16) {
                    Some(0) => Expects::Trailer,
                    // With the CR LF behind it.
                    Some(size) => Expects::Chunk(size.saturating_add(2)),
                    None => Expects::Nothing,
                }
            }
            (Expects::Trailer, b"") => Expects::RequestLine,
            (expects, _) => expects,
        };
    }

    fn header(&mut self, line: &[u8]) -> Expects {
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => (&line[..colon], line[colon + 1..].trim_ascii()),
            None => return Expects::Header,
        };
        if name.eq_ignore_ascii_case(b"content-length") {
            self.lengths += 1;
            match number(value, 10) {
                Some(length) => self.length = length,
                None => return Expects::Nothing,
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.codings += 1;
        }
        Expects::Header
    }

    /// A head is complete.
    fn head(&mut self) -> Expects {
        let (lengths, codings) = (std::mem::take(&mut self.lengths), std::mem::take(&mut self.codings));
        let request = self.heads;
        self.heads += 1;
        let length = std::mem::take(&mut self.length);
        match (lengths, codings) {
            (0, 0) => Expects::RequestLine,
            (0, _) => Expects::Size,
            (1, 0) if length > 0 => Expects::Body(length),
            (1, 0) => Expects::RequestLine,
            _ => {
                self.found.0.store(request, Ordering::Relaxed);
                Expects::Nothing
            }
        }
    }
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
    u64::from_str_radix(digits, radix).ok()
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        this.framing.feed(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which request is found, however the bytes are cut.
    fn found(bytes: &[u8]) -> Option<u64> {
        let look = |size: usize| {
            let found = TwoWays(Arc::new(AtomicU64::new(u64::MAX)));
            let mut framing = Framing::new(found.clone());
            bytes.chunks(size).for_each(|piece| framing.feed(piece));
            let at = found.0.load(Ordering::Relaxed);
            (at < u64::MAX).then_some(at)
        };
        let whole = look(bytes.len());
        assert!((1..bytes.len()).all(|size| look(size) == whole), "cuts make a difference");
        whole
    }

    #[test]
    fn what_is_told_in_two_ways_is_found_wherever_it_stands() {
        const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
        const POST: &str = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nCo:\r\n";
        const CHUNKED: &str = "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
                               12;x=y\r\nContent-Length: 1\n\r\n0\r\nX-T: b\r\n\r\n";
        const BOTH: &str =
            "POST /a HTTP/1.1\r\ncontent-length: 5\r\nX: y\r\nTRANSFER-ENCODING:chunked\r\n\r\n";
        const OTHER: &str = "POST /a HTTP/1.1\nTransfer-Encoding: chunked\nContent-Length:5\n\n";
        const TWICE: &str = "POST /a HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}";
        let long =
            format!("GET /{} HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(300), "Content-Length: 3".repeat(30));
        for (sent, expected) in [
            (vec![GET, POST, CHUNKED, &long, "\r\n\r\n", GET], None),
            (vec![BOTH], Some(0)),
            (vec![OTHER, GET], Some(0)),
            (vec![TWICE], Some(0)),
            (vec![GET, POST, CHUNKED, &long, "\r\n", BOTH, GET], Some(4)),
            (vec![POST, POST, TWICE], Some(2)),
            (vec!["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BOTH], None),
            // hyper refuses these.
            (vec!["POST /a HTTP/1.1\r\nContent-Length: x\r\n\r\n", BOTH], None),
            (vec!["POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", BOTH], None),
        ] {
            assert_eq!(found(sent.concat().as_bytes()), expected, "{sent:?}");
        }
    }
}

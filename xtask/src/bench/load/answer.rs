//! Reads answers, and compares their bodies with what they should be.

use std::io::{Error, ErrorKind};

use tokio::io::{AsyncRead, AsyncReadExt};

const MAX_HEADERS: usize = 64;

/// What a client wants to know of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The connection cannot be used again.
    pub(super) closes: bool,
    /// The body is the expected one, if one was expected.
    pub(super) right: bool,
}

/// Reads one answer to its end; `buffer` only saves allocations.
///
/// # Errors
/// The connection ends before, or what comes is not HTTP.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin + ?Sized),
    buffer: &mut Vec<u8>,
    expected: Option<&[u8]>,
) -> Result<Answer, Error> {
    buffer.clear();
    let (head, framing, mut answer) = loop {
        more(stream, buffer).await?;
        if let Some(head) = head(buffer)? {
            break head;
        }
    };
    let mut body = Body { at: head, expected, right: true };
    match framing {
        Framing::Length(length) => {
            while buffer.len() < head + length {
                more(stream, buffer).await?;
            }
            body.compare(&buffer[head..head + length]);
        }
        Framing::Chunked => {
            while !body.chunks(buffer)? {
                more(stream, buffer).await?;
            }
        }
    }
    answer.right = body.right && body.expected.is_none_or(<[u8]>::is_empty);
    Ok(answer)
}

enum Framing {
    Length(usize),
    Chunked,
}

async fn more(stream: &mut (impl AsyncRead + Unpin + ?Sized), buffer: &mut Vec<u8>) -> Result<(), Error> {
    buffer.reserve(64 << 10);
    match stream.read_buf(buffer).await? {
        0 => Err(Error::new(ErrorKind::UnexpectedEof, "the connection was closed within an answer")),
        _ => Ok(()),
    }
}

/// Length of the head, and what it says; none: it has not come to its end.
fn head(buffer: &[u8]) -> Result<Option<(usize, Framing, Answer)>, Error> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(buffer).map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
    let httparse::Status::Complete(head) = parsed else { return Ok(None) };
    let mut framing = Framing::Length(0);
    let mut closes = false;
    for header in &*response.headers {
        let value = String::from_utf8_lossy(header.value);
        if header.name.eq_ignore_ascii_case("content-length") {
            framing = Framing::Length(value.trim().parse().map_err(|_| invalid("a content-length"))?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            framing = Framing::Chunked;
        } else if header.name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close");
        }
    }
    let status = response.code.unwrap_or_default();
    Ok(Some((head, framing, Answer { status, closes, right: true })))
}

/// A body that is read piece by piece.
struct Body<'a> {
    /// Where the next chunk begins in the buffer.
    at: usize,
    /// What is still to come.
    expected: Option<&'a [u8]>,
    right: bool,
}

impl Body<'_> {
    fn compare(&mut self, piece: &[u8]) {
        if let Some(expected) = self.expected {
            match expected.strip_prefix(piece) {
                Some(rest) => self.expected = Some(rest),
                None => self.right = false,
            }
        }
    }

    /// Takes all chunks that are whole; true: it was the last.
    fn chunks(&mut self, buffer: &[u8]) -> Result<bool, Error> {
        loop {
            let rest = &buffer[self.at..];
            let (begin, size) = match httparse::parse_chunk_size(rest) {
                Ok(httparse::Status::Complete((begin, size))) => (begin, usize::try_from(size)),
                Ok(httparse::Status::Partial) => return Ok(false),
                Err(_) => return Err(invalid("a chunk")),
            };
            let size = size.map_err(|_| invalid("a chunk"))?;
            let end = begin + size;
            if rest.len() < end + b"\r\n".len() {
                return Ok(false);
            }
            if &rest[end..end + 2] != b"\r\n" {
                return Err(invalid("a chunk's end, or a trailer"));
            }
            self.compare(&rest[begin..end]);
            self.at += end + 2;
            if size == 0 {
                return Ok(true);
            }
        }
    }
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("{what} that the benchmark does not understand"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn answers_are_read_and_compared_however_they_are_cut() {
        let plain = "HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello";
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nConnection: close\r\n\r\n\
                       2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
        for (text, status, closes) in [(plain, 201, false), (chunked, 200, true)] {
            for (expected, right) in [
                (None, true),
                (Some("hello"), true),
                (Some("hellos"), false),
                (Some("hell"), false),
                (Some("jello"), false),
            ] {
                for cut in 1..text.len() {
                    let (mut to, mut from) = tokio::io::duplex(cut);
                    let send = async { to.write_all(text.as_bytes()).await };
                    let mut buffer = Vec::new();
                    let read = read(&mut from, &mut buffer, expected.map(str::as_bytes));
                    let (sent, answer) = tokio::join!(send, read);
                    sent.unwrap();
                    assert_eq!(answer.unwrap(), Answer { status, closes, right }, "{text:?} cut at {cut}");
                }
            }
        }
    }

    #[tokio::test]
    async fn what_ends_too_early_is_no_answer() {
        for text in ["", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", "HTTP/1.1 200 OK\r\n"] {
            assert!(read(&mut text.as_bytes(), &mut Vec::new(), None).await.is_err(), "{text:?}");
        }
    }
}

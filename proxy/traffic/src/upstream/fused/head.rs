//! The head of an answer, and how it says where its body ends (RFC 9112 §6.3).
//!
//! Stricter than the RFC allows where servers and proxies have been known to disagree: whoever can make two of
//! them see different ends can put an answer into another client's hands.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Response, StatusCode};

use super::error::AnswerError;

/// Bytes of a head, with those of interim answers before it.
pub const MAX_HEAD: usize = 64 << 10;
/// Fields of a head.
pub const MAX_FIELDS: usize = 128;

/// Finds heads in what arrives.
#[derive(Debug, Default)]
pub struct HeadReader {
    /// How far there is no end; not looked at again.
    scanned: usize,
    /// Bytes of the heads before.
    spent: usize,
}

/// The head of an answer.
#[derive(Debug)]
pub struct Head {
    /// Status and header fields.
    pub response: Response<()>,
    /// Where its body ends.
    pub framing: Framing,
    /// Whether the connection can carry another request after the body.
    pub keep_alive: bool,
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(u64),
    /// After the last chunk.
    Chunked,
    /// Where the server closes the connection.
    UntilClose,
}

impl HeadReader {
    /// Takes a head from the front; `None`: more is needed. `head_only`: the request was a HEAD.
    ///
    /// # Errors
    /// This is no answer.
    pub fn read(&mut self, buffer: &mut BytesMut, head_only: bool) -> Result<Option<Head>, AnswerError> {
        let Some(end) = self.find_end(buffer)? else { return Ok(None) };
        self.spent += end;
        self.scanned = 0;
        parse(&buffer.split_to(end).freeze(), head_only).map(Some)
    }

    /// The length of the head. Every line of it ends with CR LF.
    fn find_end(&mut self, buffer: &[u8]) -> Result<Option<usize>, AnswerError> {
        let begin = buffer.len().min(START.len());
        if buffer[..begin] != START[..begin] {
            return Err(AnswerError::NotHttp);
        }
        for line_end in memchr::memchr_iter(b'\n', &buffer[self.scanned..]) {
            let end = self.scanned + line_end + 1;
            if !buffer[..end].ends_with(b"\r\n") {
                return Err(AnswerError::BareLf);
            }
            if self.spent + end > MAX_HEAD {
                return Err(AnswerError::HeadTooLong);
            }
            if buffer[..end].ends_with(b"\r\n\r\n") {
                return Ok(Some(end));
            }
        }
        if self.spent + buffer.len() > MAX_HEAD {
            return Err(AnswerError::HeadTooLong);
        }
        self.scanned = buffer.len();
        Ok(None)
    }
}

const START: &[u8] = b"HTTP/1.";

/// Whether a list of tokens, as in `Connection`, holds this one.
pub(in crate::upstream) fn lists(value: &HeaderValue, token: &str) -> bool {
    let listed = |listed: &[u8]| listed.trim_ascii().eq_ignore_ascii_case(token.as_bytes());
    value.as_bytes().split(|byte| *byte == b',').any(listed)
}

fn parse(bytes: &Bytes, head_only: bool) -> Result<Head, AnswerError> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    match config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut fields)? {
        httparse::Status::Complete(length) if length == bytes.len() => {}
        _ => return Err(AnswerError::NotHttp),
    }
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(AnswerError::Status)?;
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(AnswerError::Upgrade);
    }
    let modern = parsed.version == Some(1);
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| AnswerError::Field)?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(field.value));
        headers.append(name, value.map_err(|_| AnswerError::Field)?);
    }
    let framing = framing(status, modern, &mut headers, head_only)?;
    let close = headers.get_all(CONNECTION).iter().any(|value| lists(value, "close"));
    // HTTP/1.0 could ask for it to be kept; no server worth keeping does.
    let keep_alive = modern && !close && framing != Framing::UntilClose;
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(Head { response, framing, keep_alive })
}

fn framing(
    status: StatusCode,
    modern: bool,
    headers: &mut HeaderMap,
    head_only: bool,
) -> Result<Framing, AnswerError> {
    let length = length(headers)?;
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = match (codings.next(), codings.next()) {
        (None, _) => false,
        (Some(coding), None) if modern && coding.as_bytes().eq_ignore_ascii_case(b"chunked") => true,
        _ => return Err(AnswerError::Coding),
    };
    let without_body = head_only
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    match (length, chunked) {
        (Some(_), true) => Err(AnswerError::LengthAndCoding),
        _ if without_body => Ok(Framing::Length(0)),
        (Some(length), false) => Ok(Framing::Length(length)),
        (None, true) => Ok(Framing::Chunked),
        (None, false) => Ok(Framing::UntilClose),
    }
}

/// The `Content-Length`. Said more than once it must be the same, and is said once from here on.
fn length(headers: &mut HeaderMap) -> Result<Option<u64>, AnswerError> {
    let mut found = None;
    let mut times = 0;
    for value in headers.get_all(CONTENT_LENGTH) {
        for number in value.as_bytes().split(|byte| *byte == b',') {
            let number = number.trim_ascii();
            if number.is_empty() || !number.iter().all(u8::is_ascii_digit) {
                return Err(AnswerError::Length);
            }
            let number = std::str::from_utf8(number).ok().and_then(|digits| digits.parse::<u64>().ok());
            let number = number.ok_or(AnswerError::Length)?;
            if found.is_some_and(|before| before != number) {
                return Err(AnswerError::Length);
            }
            found = Some(number);
            times += 1;
        }
    }
    if let (Some(length), 2..) = (found, times) {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds so many bytes at a time.
    fn read(wire: &[u8], step: usize) -> Result<Option<(Head, usize)>, AnswerError> {
        let mut reader = HeadReader::default();
        let mut buffer = BytesMut::new();
        for piece in wire.chunks(step) {
            buffer.extend_from_slice(piece);
            if let Some(head) = reader.read(&mut buffer, false)? {
                return Ok(Some((head, buffer.len())));
            }
        }
        Ok(None)
    }

    #[test]
    fn bodies_end_where_the_head_says() {
        use Framing::{Chunked, Length, UntilClose};
        for (head, framing, keep_alive) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Length(5), true),
            ("HTTP/1.1 200 \r\nContent-Length:  5 \r\nconnection: x, Close\r\n\r\n", Length(5), false),
            ("HTTP/1.1 200\r\nContent-Length: 5, 5\r\nContent-Length: 5\r\n\r\n", Length(5), true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", Chunked, true),
            ("HTTP/1.1 200 OK\r\n\r\n", UntilClose, false),
            ("HTTP/1.0 200 OK\r\n\r\n", UntilClose, false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", Length(5), false),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", Length(0), true),
            ("HTTP/1.1 304 Not Modified\r\n\r\n", Length(0), true),
            ("HTTP/1.1 100 Continue\r\n\r\n", Length(0), true),
        ] {
            for step in 1..=head.len() {
                let (read, rest) = read(head.as_bytes(), step).unwrap().unwrap();
                assert_eq!((read.framing, read.keep_alive, rest), (framing, keep_alive, 0), "{head:?}");
                assert!(read.response.headers().get_all(CONTENT_LENGTH).iter().count() <= 1);
            }
        }
    }

    #[test]
    fn what_readers_could_take_differently_is_refused() {
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(MAX_HEAD));
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(MAX_FIELDS + 1));
        for wire in [
            "SSH-2.0-x\r\n\r\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.2 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            "HTTP/1.1 200 OK\nA: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
            "HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA\r\n\r\n",
            "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5,\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551616\r\n\r\n",
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            &long,
            &many,
        ] {
            for step in [1, 2, 3, 7, 64, wire.len()] {
                assert!(read(wire.as_bytes(), step).is_err(), "{wire:.80?} by {step}");
            }
        }
    }

    #[test]
    fn what_follows_a_head_is_left() {
        let wire = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        let (head, rest) = read(wire, wire.len()).unwrap().unwrap();
        assert_eq!((head.framing, rest), (Framing::Length(5), 5));
    }

    #[test]
    fn interim_answers_count_towards_the_limit() {
        let mut reader = HeadReader::default();
        let interim = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
        let results = (0..=MAX_HEAD / interim.len()).map(|_| {
            let mut buffer = BytesMut::from(&interim[..]);
            reader.read(&mut buffer, false).map(|head| head.is_some())
        });
        let refused: Vec<_> = results.filter(|read| !matches!(read, Ok(true))).collect();
        assert!(matches!(refused[..], [Err(AnswerError::HeadTooLong)]));
    }
}

//! Bodies with a `Content-Encoding`, decoded as they stream (RFC 9110 §8.4).
//!
//! A few bytes can stand for gigabytes, and gigabytes for none: what comes in and what comes out are both bounded, and
//! each other's measure. Memory is one window of the coding and one piece.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::io::{AsyncBufRead, AsyncRead};
use tokio_util::io::{StreamReader, poll_read_buf};

use crate::body::{Body, BodyError};

/// A coding that can be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952
    Gzip,
    /// RFC 7932
    Brotli,
    /// RFC 8878
    Zstd,
}

/// How much is decoded.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes as they come.
    pub encoded: u64,
    /// How many times more come out than go in, beyond the first [`FREE`] bytes.
    pub ratio: u64,
}

/// So many decoded bytes are no flood, whatever they were made of.
pub const FREE: u64 = 1 << 20;
/// The names of the codings, for `Accept-Encoding`.
pub const CODINGS: &str = "gzip, br, zstd";

/// Why a body cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is not what its `Content-Encoding` says, or ends too early.
    #[error("the body is not valid {}", .0.name())]
    Malformed(Coding),
    /// It is over its [`Bounds`].
    #[error("the body is too long, or becomes too many times longer when it is decoded")]
    TooLong,
    /// The body broke off before.
    #[error("the body broke off")]
    Broken(#[source] BodyError),
}

/// A window of 8 MiB is what every decoder must take (RFC 8878 §3.1.1.1.2); more is memory that a client chooses.
const ZSTD_WINDOW: u32 = 23;
/// How much is decoded at a time.
const PIECE: usize = 16 << 10;

impl Coding {
    /// What the headers say; `None`: the body is as it is.
    ///
    /// # Errors
    /// A coding that is not known, or several, one on another.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, UnknownCoding> {
        let mut found = None;
        for value in headers.get_all(CONTENT_ENCODING) {
            for name in value.to_str().map_err(|_| UnknownCoding)?.split(',') {
                let coding = match name.trim().to_ascii_lowercase().as_str() {
                    "" | "identity" => continue,
                    "gzip" | "x-gzip" => Self::Gzip,
                    "br" => Self::Brotli,
                    "zstd" => Self::Zstd,
                    _ => return Err(UnknownCoding),
                };
                if found.replace(coding).is_some() {
                    return Err(UnknownCoding);
                }
            }
        }
        Ok(found)
    }

    /// Its name in headers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// A `Content-Encoding` that cannot be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the Content-Encoding must be one of gzip, br and zstd, or none")]
pub struct UnknownCoding;

/// The decoded body. What ends it is a [`DecodeError`].
pub fn decoded(body: Body, coding: Coding, bounds: Bounds) -> Body {
    let input = StreamReader::new(Encoded { body, bytes: 0, most: bounds.encoded });
    let decoder = match coding {
        Coding::Gzip => {
            let mut decoder = GzipDecoder::new(input);
            // Else what follows the first would go unread.
            decoder.multiple_members(true);
            Decoder::Gzip(decoder)
        }
        Coding::Brotli => Decoder::Brotli(BrotliDecoder::new(input)),
        Coding::Zstd => {
            let window = DParameter::window_log_max(ZSTD_WINDOW);
            let mut decoder = ZstdDecoder::with_params(input, &[window]);
            decoder.multiple_members(true);
            Decoder::Zstd(decoder)
        }
    };
    let decoded =
        Decoded { decoder: Box::new(decoder), coding, bounds, bytes: 0, piece: BytesMut::new(), over: false };
    decoded.boxed_unsync()
}

type Input = StreamReader<Encoded, Bytes>;

enum Decoder {
    Gzip(GzipDecoder<Input>),
    Brotli(BrotliDecoder<Input>),
    Zstd(ZstdDecoder<Input>),
}

struct Decoded {
    decoder: Box<Decoder>,
    coding: Coding,
    bounds: Bounds,
    /// So many have come out.
    bytes: u64,
    piece: BytesMut,
    over: bool,
}

/// The body as it comes, counted.
struct Encoded {
    body: Body,
    bytes: u64,
    most: u64,
}

impl Decoder {
    fn poll_read(&mut self, cx: &mut Context<'_>, piece: &mut BytesMut) -> Poll<io::Result<usize>> {
        fn read<R: AsyncRead + Unpin>(
            r: &mut R,
            cx: &mut Context<'_>,
            piece: &mut BytesMut,
        ) -> Poll<io::Result<usize>> {
            poll_read_buf(Pin::new(r), cx, piece)
        }
        match self {
            Self::Gzip(decoder) => read(decoder, cx, piece),
            Self::Brotli(decoder) => read(decoder, cx, piece),
            Self::Zstd(decoder) => read(decoder, cx, piece),
        }
    }

    fn input(&mut self) -> &mut Input {
        match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Brotli(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        }
    }
}

impl Decoded {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, DecodeError>> {
        self.piece.reserve(PIECE);
        let read = match ready!(self.decoder.poll_read(cx, &mut self.piece)) {
            Ok(read) => read,
            // No body at all, which servers call encoded, too.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.encoded() == 0 => 0,
            Err(error) => return Poll::Ready(Err(self.cause(error))),
        };
        if read == 0 {
            // Something may follow what was decoded.
            let rest = ready!(Pin::new(self.decoder.input()).poll_fill_buf(cx)).map(<[u8]>::is_empty);
            return Poll::Ready(match rest {
                Ok(true) => Ok(None),
                Ok(false) => Err(DecodeError::Malformed(self.coding)),
                Err(error) => Err(self.cause(error)),
            });
        }
        self.bytes += read as u64;
        if self.bytes > FREE && self.bytes > self.bounds.ratio.saturating_mul(self.encoded()) {
            return Poll::Ready(Err(DecodeError::TooLong));
        }
        Poll::Ready(Ok(Some(self.piece.split().freeze())))
    }

    fn encoded(&mut self) -> u64 {
        self.decoder.input().get_ref().bytes
    }

    fn cause(&self, error: io::Error) -> DecodeError {
        error.downcast().unwrap_or(DecodeError::Malformed(self.coding))
    }
}

impl http_body::Body for Decoded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if this.over {
            return Poll::Ready(None);
        }
        let piece = ready!(this.poll_piece(cx)).transpose();
        this.over = !matches!(piece, Some(Ok(_)));
        Poll::Ready(piece.map(|piece| piece.map(Frame::data).map_err(BodyError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

impl Stream for Encoded {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => {
                    return Poll::Ready(Some(Err(io::Error::other(DecodeError::Broken(error)))));
                }
                Some(Ok(frame)) => frame,
            };
            // Trailers go no further, and an empty piece is no end.
            let Ok(data) = frame.into_data() else { continue };
            if data.is_empty() {
                continue;
            }
            self.bytes += data.len() as u64;
            if self.bytes > self.most {
                return Poll::Ready(Some(Err(io::Error::other(DecodeError::TooLong))));
            }
            return Poll::Ready(Some(Ok(data)));
        }
    }
}

#[cfg(test)]
mod tests;

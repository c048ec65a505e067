//! The body of an answer, read in the task that asks for it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};

use super::chunked::Chunked;
use super::connection::Connection;
use super::error::AnswerError;
use super::head::{Framing, Head};
use crate::body::BodyError;
use crate::upstream::idle::Idle;
use crate::upstream::silence::Silence;

/// The body of an answer from [`super::Fused`]. Its connection goes back as soon as its last byte has arrived, and
/// is closed if the body is dropped before. Trailers are not passed on.
pub struct FusedBody(State);

enum State {
    /// What is here is the rest; empty: nothing is left.
    Rest(Bytes),
    Arriving(Box<Arriving>),
}

struct Arriving {
    connection: Connection,
    decoder: Decoder,
    /// Decoded already.
    ready: Bytes,
    silence: Silence,
    /// Where the connection goes; none: it is used up.
    home: Option<Arc<Idle<Connection>>>,
}

/// Takes a body out of what arrives.
enum Decoder {
    Length { left: u64 },
    Chunked(Chunked),
    UntilClose,
}

impl FusedBody {
    /// The body after this head. What has arrived with the head is decoded at once, so that a small body is whole.
    pub(super) fn new(
        mut connection: Connection,
        head: &Head,
        idle: &Arc<Idle<Connection>>,
        patience: Duration,
    ) -> Result<Self, AnswerError> {
        let mut decoder = match head.framing {
            Framing::Length(left) => Decoder::Length { left },
            Framing::Chunked => Decoder::Chunked(Chunked::default()),
            Framing::UntilClose => Decoder::UntilClose,
        };
        let ready = decoder.decode(&mut connection.buffer)?;
        let home = head.keep_alive.then(|| Arc::clone(idle));
        Ok(Self(if decoder.is_over() {
            retire(connection, home);
            State::Rest(ready)
        } else {
            let silence = Silence::new(patience);
            State::Arriving(Box::new(Arriving { connection, decoder, ready, silence, home }))
        }))
    }
}

impl Body for FusedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let (data, over) = match &mut self.0 {
            State::Rest(rest) => (Ok(std::mem::take(rest)), false),
            State::Arriving(arriving) => {
                let Poll::Ready(data) = arriving.poll_data(cx) else { return Poll::Pending };
                let over = data.is_err() || arriving.decoder.is_over();
                (data, over)
            }
        };
        if over && let State::Arriving(arriving) = std::mem::replace(&mut self.0, State::Rest(Bytes::new())) {
            let home = arriving.home.filter(|_| data.is_ok());
            retire(arriving.connection, home);
        }
        Poll::Ready(match data {
            Ok(data) if data.is_empty() => None,
            Ok(data) => Some(Ok(Frame::data(data))),
            Err(error) => Some(Err(error)),
        })
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, State::Rest(rest) if rest.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            State::Rest(rest) => SizeHint::with_exact(rest.len() as u64),
            State::Arriving(arriving) => match arriving.decoder {
                Decoder::Length { left } => SizeHint::with_exact(arriving.ready.len() as u64 + left),
                Decoder::Chunked(_) | Decoder::UntilClose => SizeHint::new(),
            },
        }
    }
}

impl Arriving {
    /// The next bytes; none: the body is over.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, BodyError>> {
        while self.ready.is_empty() && !self.decoder.is_over() {
            let Poll::Ready(read) = self.connection.poll_read(cx) else {
                return self.silence.poll(cx).map(|silent| Err(silent.into()));
            };
            self.silence.broken();
            match read {
                Ok(0) => self.decoder.closed()?,
                Ok(_) => self.ready = self.decoder.decode(&mut self.connection.buffer)?,
                Err(error) => return Poll::Ready(Err(AnswerError::Io(error).into())),
            }
        }
        Poll::Ready(Ok(std::mem::take(&mut self.ready)))
    }
}

impl Decoder {
    /// Takes what belongs to the body from the front.
    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Bytes, AnswerError> {
        match self {
            Self::Length { left } => {
                let there = buffer.len();
                let take = usize::try_from(*left).map_or(there, |left| left.min(there));
                *left -= take as u64;
                Ok(buffer.split_to(take).freeze())
            }
            Self::Chunked(chunked) => {
                let decoded = chunked.decode(buffer)?;
                let mut taken = buffer.split_to(decoded.consumed);
                taken.truncate(decoded.payload.end);
                Ok(taken.split_off(decoded.payload.start).freeze())
            }
            Self::UntilClose => Ok(buffer.split().freeze()),
        }
    }

    /// The server has closed the connection.
    fn closed(&mut self) -> Result<(), AnswerError> {
        match self {
            Self::UntilClose => {
                *self = Self::Length { left: 0 };
                Ok(())
            }
            Self::Length { .. } | Self::Chunked(_) => Err(AnswerError::Truncated),
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Self::Length { left } => *left == 0,
            Self::Chunked(chunked) => chunked.is_over(),
            Self::UntilClose => false,
        }
    }
}

/// Gives a connection back. Bytes after the end of an answer make it unusable: nobody asked for them.
fn retire(mut connection: Connection, home: Option<Arc<Idle<Connection>>>) {
    if let Some(idle) = home.filter(|_| connection.buffer.is_empty()) {
        // At rest it needs no room; what was read last may still be on its way to the client.
        connection.buffer = BytesMut::new();
        idle.put(connection);
    }
}

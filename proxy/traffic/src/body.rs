//! Bodies as they travel through the proxy.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use tokio::time::{Instant, timeout_at};

use crate::replay::Replay;

/// Why a body stopped before its end. Whatever it is, the connection is aborted, never ended cleanly.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// A body of any origin.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// A body without bytes.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body that is all there.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// What is sent upstream, and whether it can be sent twice.
pub enum Outgoing {
    /// All there: it can be sent again.
    Whole(Bytes),
    /// It comes from the client as it is sent: once.
    Stream(Body),
    /// It comes from the client as it is sent, and is kept.
    Kept(Replay),
}

impl Outgoing {
    /// The same once more, if that is possible. Of what is kept only [`Replay::is_kept`] tells in the end.
    pub fn again(&self) -> Option<Self> {
        match self {
            Self::Whole(bytes) => Some(Self::Whole(bytes.clone())),
            Self::Stream(_) => None,
            Self::Kept(replay) => Some(Self::Kept(replay.clone())),
        }
    }

    /// As a body to send.
    pub fn into_body(self) -> Body {
        match self {
            Self::Whole(bytes) if bytes.is_empty() => empty(),
            Self::Whole(bytes) => full(bytes),
            Self::Stream(body) => body,
            Self::Kept(replay) => replay.attempt(),
        }
    }
}

/// Room that is made at once for a beginning that comes in pieces.
const ROOM: usize = 64 << 10;

/// A body of which the beginning has been read.
pub struct Begun {
    /// The beginning.
    pub bytes: Bytes,
    rest: Body,
}

impl Begun {
    /// Reads until so many bytes are there, or the end.
    ///
    /// # Errors
    /// The body broke off before.
    pub async fn read(body: Body, at_least: usize) -> Result<Self, BodyError> {
        Self::until(body, at_least, None).await
    }

    /// The same, but takes what is there once this time has passed and anything is.
    ///
    /// # Errors
    /// As [`Begun::read`].
    pub async fn read_within(body: Body, at_least: usize, time: Duration) -> Result<Self, BodyError> {
        Self::until(body, at_least, Some(Instant::now() + time)).await
    }

    async fn until(mut body: Body, at_least: usize, until: Option<Instant>) -> Result<Self, BodyError> {
        let (mut first, mut all) = (Bytes::new(), BytesMut::new());
        while first.len().max(all.len()) < at_least && !body.is_end_stream() {
            let frame = match until.filter(|_| !first.is_empty()) {
                None => body.frame().await,
                Some(until) => match timeout_at(until, body.frame()).await {
                    Ok(frame) => frame,
                    Err(_) => break,
                },
            };
            let frame = match frame {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Err(error),
                None => {
                    // It may not be asked again.
                    body = empty();
                    break;
                }
            };
            let Ok(data) = frame.into_data() else { continue };
            // Mostly one piece is all, and it is not copied.
            if first.is_empty() {
                first = data;
                continue;
            }
            if all.is_empty() {
                all.reserve(at_least.min(ROOM).max(first.len() + data.len()));
                all.extend_from_slice(&first);
            }
            all.extend_from_slice(&data);
        }
        let bytes = if all.is_empty() { first } else { all.freeze() };
        Ok(Self { bytes, rest: body })
    }

    /// Whether the beginning is all.
    pub fn is_whole(&self) -> bool {
        self.rest.is_end_stream()
    }

    /// The whole body again.
    pub fn into_body(self) -> Body {
        match (self.bytes.is_empty(), self.is_whole()) {
            (true, _) => self.rest,
            (false, true) => full(self.bytes),
            (false, false) => Prefixed { first: self.bytes, rest: self.rest }.boxed_unsync(),
        }
    }
}

struct Prefixed {
    first: Bytes,
    rest: Body,
}

impl http_body::Body for Prefixed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.first.is_empty() {
            Pin::new(&mut self.rest).poll_frame(cx)
        } else {
            Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.first)))))
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, first) = (self.rest.size_hint(), self.first.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + first);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + first);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body_util::StreamBody;

    #[tokio::test]
    async fn a_body_that_was_begun_is_the_same_body() {
        let pieces = ["", "ab", "c", "", "def"];
        let streamed = |broken: bool| {
            let mut frames: Vec<Result<_, BodyError>> =
                pieces.map(|text| Ok(Frame::data(Bytes::from(text)))).into();
            if broken {
                frames.push(Err("gone".into()));
            }
            StreamBody::new(stream::iter(frames)).boxed_unsync()
        };
        // One that panics if it is asked again after its end.
        let once = stream::unfold(0, |n| async move {
            (n == 0).then(|| (Ok::<_, BodyError>(Frame::data(Bytes::from("abcdef"))), 1))
        });
        let begun = Begun::read(StreamBody::new(once).boxed_unsync(), 100).await.unwrap();
        assert_eq!(begun.into_body().collect().await.unwrap().to_bytes(), "abcdef");
        for at_least in [0, 1, 2, 3, 5, 6, 100] {
            let begun = Begun::read(streamed(false), at_least).await.unwrap();
            assert!(begun.bytes.len() >= at_least.min(6), "{at_least}");
            assert_eq!(begun.into_body().collect().await.unwrap().to_bytes(), "abcdef");
            let whole = Begun::read(full("abcdef"), at_least).await.unwrap().into_body();
            assert_eq!(whole.size_hint().exact(), Some(6));
            assert_eq!(whole.collect().await.unwrap().to_bytes(), "abcdef");
            assert!(Begun::read(empty(), at_least).await.unwrap().into_body().is_end_stream());
            assert_eq!(Begun::read(streamed(true), at_least).await.is_err(), at_least > 6);
        }
    }
}

//! Bodies as they travel through the proxy.

use std::error::Error;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};

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
}

impl Outgoing {
    /// The same once more, if that is possible.
    pub fn again(&self) -> Option<Self> {
        match self {
            Self::Whole(bytes) => Some(Self::Whole(bytes.clone())),
            Self::Stream(_) => None,
        }
    }

    /// As a body to send.
    pub fn into_body(self) -> Body {
        match self {
            Self::Whole(bytes) if bytes.is_empty() => empty(),
            Self::Whole(bytes) => full(bytes),
            Self::Stream(body) => body,
        }
    }
}

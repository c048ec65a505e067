//! A client's body without its `Content-Encoding`.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::body::{Body, BodyError};
use fireguard_traffic::decode::{Bounds, CODINGS, Coding, UnknownCoding, decoded};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

use super::{not_read, too_long};
use crate::config::defaults;
use crate::exchange::Inbound;
use crate::failure::Failure;

/// A body as everything behind this sees it.
pub(super) enum Plain {
    /// As it was sent.
    Sent(Inbound),
    /// Decoded on its way.
    Decoded(Body),
}

impl Plain {
    /// The body under these headers, of which at most so many bytes are taken as they come.
    ///
    /// # Errors
    /// 415: its coding is not known.
    pub(super) fn of(headers: &HeaderMap, body: Inbound, most: u64) -> Result<Self, Failure> {
        let Some(coding) = Coding::of(headers).map_err(unknown)? else { return Ok(Self::Sent(body)) };
        let bounds = Bounds { encoded: most, ratio: defaults::DECODE_RATIO };
        Ok(Self::Decoded(decoded(body.boxed_unsync(), coding, bounds)))
    }

    /// All of it.
    ///
    /// # Errors
    /// It broke off, or is over this many bytes.
    pub(super) async fn whole(mut self, most: usize) -> Result<Vec<u8>, Failure> {
        let mut whole = Vec::new();
        while let Some(frame) = self.frame().await {
            let Ok(data) = frame.map_err(not_read)?.into_data() else { continue };
            if whole.len() + data.len() > most {
                return Err(too_long());
            }
            whole.extend_from_slice(&data);
        }
        Ok(whole)
    }
}

impl http_body::Body for Plain {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Sent(body) => Pin::new(body).poll_frame(cx),
            Self::Decoded(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Sent(body) => body.is_end_stream(),
            Self::Decoded(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Sent(body) => body.size_hint(),
            Self::Decoded(body) => body.size_hint(),
        }
    }
}

fn unknown(error: UnknownCoding) -> Failure {
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    let mut failure = Failure::client(status, IssueCode::NotSupported, error.to_string());
    failure.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static(CODINGS));
    failure
}

//! The kind of connection that suits a request's body.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Either;

use super::{Fused, FusedBody, LeasedBody, Pool, PoolSettings, SendError, Upstream};
use crate::body::Outgoing;

/// A core's own connections to one server. Cheap to clone; use one on each core.
#[derive(Clone)]
pub struct Connections {
    fused: Fused,
    streaming: Pool,
}

impl Connections {
    /// None yet; they are made as they are needed.
    pub fn new(settings: PoolSettings) -> Self {
        Self { fused: Fused::new(settings.clone()), streaming: Pool::new(settings) }
    }

    async fn send_whole(
        &self,
        head: &Request<()>,
        body: Bytes,
    ) -> Result<Response<Either<FusedBody, LeasedBody>>, SendError> {
        Ok(self.fused.send(head, body).await?.map(Either::Left))
    }
}

impl Upstream for Connections {
    type Body = Either<FusedBody, LeasedBody>;

    async fn send(&self, head: &Request<()>, body: Outgoing) -> Result<Response<Self::Body>, SendError> {
        match body {
            Outgoing::Whole(bytes) => self.send_whole(head, bytes).await,
            // Boxed: rare, and the state of hyper's client need not be part of every read.
            Outgoing::Stream(_) | Outgoing::Kept(_) => {
                Ok(Box::pin(self.streaming.send(head, body)).await?.map(Either::Right))
            }
        }
    }
}

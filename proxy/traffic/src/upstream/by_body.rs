//! The kind of connection that suits a request's body.

use http::{Request, Response};
use http_body_util::Either;

use super::{Fused, FusedBody, LeasedBody, Pool, PoolSettings, SendError, Unsuccessful, Upstream};
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

    /// Makes so many connections, for requests to come.
    ///
    /// # Errors
    /// One cannot be made.
    pub(super) async fn prepare(&self, count: usize) -> Result<(), SendError> {
        for _ in 0..count {
            self.fused.prepare().await?;
        }
        Ok(())
    }

    /// As [`Upstream::send`]; gives the body back if nothing was sent.
    pub(super) async fn try_send(
        &self,
        head: &Request<()>,
        body: Outgoing,
    ) -> Result<Response<Either<FusedBody, LeasedBody>>, Unsuccessful> {
        match body {
            Outgoing::Whole(bytes) => match self.fused.send(head, bytes.clone()).await {
                Ok(response) => Ok(response.map(Either::Left)),
                Err(error) => {
                    let unsent = error.is_before_sending().then_some(Outgoing::Whole(bytes));
                    Err(Unsuccessful { error, unsent })
                }
            },
            // Boxed: rare, and the state of hyper's client need not be part of every read.
            Outgoing::Stream(_) | Outgoing::Kept(_) => {
                Ok(Box::pin(self.streaming.try_send(head, body)).await?.map(Either::Right))
            }
        }
    }
}

impl Upstream for Connections {
    type Body = Either<FusedBody, LeasedBody>;

    async fn send(&self, head: &mut Request<()>, body: Outgoing) -> Result<Response<Self::Body>, SendError> {
        self.try_send(head, body).await.map_err(|unsuccessful| unsuccessful.error)
    }
}

//! A core's own pool of hyper's client connections to one server.
//!
//! HAPI's Tomcat closes a connection after every 100th request and after each 400 and 500 answer, and keeps an
//! idle one for 60 seconds. So a connection is given back only if the answer does not say `close`; one that
//! is no longer ready is dropped when it would be taken; and an idle one is not kept long.

use std::sync::Arc;

use http::header::{CONNECTION, HeaderMap};
use http::{Request, Response};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;

use super::idle::{Fitness, Idle};
use super::{LeasedBody, PoolSettings, SendError, Unsuccessful, Upstream};
use crate::body::{Body, Outgoing};

/// See the module's text. Cheap to clone; use one on each core.
#[derive(Clone)]
pub struct Pool {
    settings: Arc<PoolSettings>,
    idle: Arc<Idle<Sender>>,
}

/// The near end of a connection.
pub(super) type Sender = SendRequest<Body>;

impl Pool {
    /// An empty pool.
    pub fn new(settings: PoolSettings) -> Self {
        Self { idle: Arc::new(Idle::new(&settings)), settings: Arc::new(settings) }
    }

    async fn connect(&self) -> Result<Sender, SendError> {
        let stream = self.settings.connect().await?;
        let (sender, connection) = http1::Builder::new()
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|source| SendError::Broken { reused: false, source: source.into() })?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "upstream connection ended");
            }
        });
        Ok(sender)
    }

    /// As [`Upstream::send`]; gives the body back if nothing was sent.
    pub(super) async fn try_send(
        &self,
        head: &Request<()>,
        body: Outgoing,
    ) -> Result<Response<LeasedBody>, Unsuccessful> {
        let mut request = head.clone().map(|()| body.into_body());
        while let Some(mut sender) = self.idle.take(fitness) {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(self.leased(response, sender)),
                Err(mut failed) => match failed.take_message() {
                    // It never left: any other connection may carry it.
                    Some(unsent) => request = unsent,
                    None => {
                        let source = failed.into_error().into();
                        return Err(SendError::Broken { reused: true, source }.into());
                    }
                },
            }
        }
        let mut sender = match self.connect().await {
            Ok(sender) => sender,
            Err(error) => {
                let unsent = error.is_before_sending().then(|| Outgoing::Stream(request.into_body()));
                return Err(Unsuccessful { error, unsent });
            }
        };
        match sender.send_request(request).await {
            Ok(response) => Ok(self.leased(response, sender)),
            Err(source) => Err(SendError::Broken { reused: false, source: source.into() }.into()),
        }
    }

    fn leased(&self, response: Response<hyper::body::Incoming>, sender: Sender) -> Response<LeasedBody> {
        let lease = (!says_close(response.headers())).then(|| (sender, Arc::clone(&self.idle)));
        response.map(|incoming| LeasedBody::new(incoming, lease, self.settings.body_idle_timeout))
    }
}

impl Upstream for Pool {
    type Body = LeasedBody;

    async fn send(&self, head: &mut Request<()>, body: Outgoing) -> Result<Response<LeasedBody>, SendError> {
        self.try_send(head, body).await.map_err(|unsuccessful| unsuccessful.error)
    }
}

fn fitness(sender: &mut Sender) -> Fitness {
    match () {
        () if sender.is_closed() => Fitness::Dead,
        () if sender.is_ready() => Fitness::Fit,
        // One that was given back a moment ago may still be finishing.
        () => Fitness::NotYet,
    }
}

fn says_close(headers: &HeaderMap) -> bool {
    headers.get_all(CONNECTION).iter().any(|value| super::fused::lists(value, "close"))
}

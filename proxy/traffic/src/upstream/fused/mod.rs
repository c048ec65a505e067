//! HTTP/1.1 connections that are polled in the exchange's own task, for requests whose body is all there.
//!
//! It differs from hyper's client in that nothing is spawned and no byte passes through a channel: a read of the
//! answer's body reads the socket. It can do so because the request is written whole before the answer is waited
//! for; a request body that streams needs a task that does both at once, and [`super::Pool`] for it.

pub mod chunked;
pub mod head;

mod body;
mod connection;
mod error;
mod request;

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};

use super::idle::{Fitness, Idle};
use super::{PoolSettings, SendError};
use connection::{Connection, Failed};

pub use body::FusedBody;
pub use error::AnswerError;
pub(super) use head::lists;

/// A core's own connections to one server. Cheap to clone; use one on each core.
#[derive(Clone)]
pub struct Fused {
    settings: Arc<PoolSettings>,
    idle: Arc<Idle<Connection>>,
}

impl Fused {
    /// None yet; they are made as they are needed.
    pub fn new(settings: PoolSettings) -> Self {
        Self { idle: Arc::new(Idle::new(&settings)), settings: Arc::new(settings) }
    }

    /// Sends a request (its URI in origin form, its `Host` set) and waits for the answer's head.
    ///
    /// # Errors
    /// See [`SendError`]. `Broken` counts as `reused` only if the server closed the connection without a byte of
    /// an answer: then it may not have seen the request.
    pub async fn send(&self, head: &Request<()>, body: Bytes) -> Result<Response<FusedBody>, SendError> {
        while let Some(mut connection) = self.idle.take(fitness) {
            match connection.exchange(head, body.clone()).await {
                Ok(head) => return self.answer(connection, head),
                Err(Failed::Unsent(_)) => {}
                Err(Failed::Closed(error)) => return Err(broken(true, error)),
                Err(Failed::Answer(error)) => return Err(broken(false, error)),
            }
        }
        let mut connection = Connection::new(self.settings.connect().await?);
        match connection.exchange(head, body).await {
            Ok(head) => self.answer(connection, head),
            Err(Failed::Unsent(error)) => Err(broken(false, error.into())),
            Err(Failed::Closed(error) | Failed::Answer(error)) => Err(broken(false, error)),
        }
    }

    /// Makes a connection for a request to come.
    ///
    /// # Errors
    /// It cannot be made.
    pub async fn prepare(&self) -> Result<(), SendError> {
        self.idle.put(Connection::new(self.settings.connect().await?));
        Ok(())
    }

    fn answer(&self, connection: Connection, head: head::Head) -> Result<Response<FusedBody>, SendError> {
        let patience = self.settings.body_idle_timeout;
        let body = FusedBody::new(connection, &head, &self.idle, patience);
        let body = body.map_err(|error| broken(false, error))?;
        Ok(head.response.map(|()| body))
    }
}

fn fitness(connection: &mut Connection) -> Fitness {
    if connection.is_quiet() { Fitness::Fit } else { Fitness::Dead }
}

fn broken(reused: bool, error: AnswerError) -> SendError {
    SendError::Broken { reused, source: error.into() }
}

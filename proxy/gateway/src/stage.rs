//! A pipeline stage: a tower layer written as one async function.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use fireguard_traffic::body::Body;
use http::{HeaderMap, Response};
use tower::{Layer, Service};

use crate::failure::Failure;

/// What every stage answers.
pub type Answer = Result<Response<Body>, Failure>;

/// The headers that the client will get, whatever the answer is.
pub fn headers_of(answer: &mut Answer) -> &mut HeaderMap {
    match answer {
        Ok(response) => response.headers_mut(),
        Err(failure) => failure.headers_mut(),
    }
}

/// An answer on its way.
pub type Going = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What a stage hands on to: any tower service of that input.
pub trait Next<In>: Clone + Send + Sync + 'static {
    /// Calls it.
    fn call(&mut self, input: In) -> Going;
}

impl<In, S> Next<In> for S
where
    S: Service<In, Response = Response<Body>, Error = Failure, Future = Going>
        + Clone
        + Send
        + Sync
        + 'static,
{
    fn call(&mut self, input: In) -> Going {
        Service::call(self, input)
    }
}

/// One concern of the pipeline.
pub trait Stage<In>: Send + Sync + 'static {
    /// What it hands on; the same as it gets, or something it made of it.
    type Out;

    /// Hands on at once what is none of this stage's business; most of them have business with few exchanges.
    ///
    /// # Errors
    /// It is, and comes back.
    fn pass(&self, input: In) -> Result<Self::Out, In> {
        Err(input)
    }

    /// Answers, with or without the help of what comes next.
    fn handle<N: Next<Self::Out>>(self: Arc<Self>, input: In, next: N)
    -> impl Future<Output = Answer> + Send;
}

/// A concern that is settled on the way down, at once.
pub trait Check<In>: Send + Sync + 'static {
    /// What it hands on.
    type Out;

    /// Lets it on, or refuses it.
    ///
    /// # Errors
    /// What the client is told.
    fn check(&self, input: In) -> Result<Self::Out, Failure>;
}

/// The layer of a check.
pub struct CheckLayer<T>(T);

/// The service of a check and all that comes after it; one pointer, as [`Staged`] is.
pub struct Checked<T, N>(Arc<(T, N)>);

/// Makes a layer of a check.
pub fn check<T>(check: T) -> CheckLayer<T> {
    CheckLayer(check)
}

impl<T: Clone, N> Layer<N> for CheckLayer<T> {
    type Service = Checked<T, N>;

    fn layer(&self, next: N) -> Checked<T, N> {
        Checked(Arc::new((self.0.clone(), next)))
    }
}

impl<T, N> Clone for Checked<T, N> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<In, T, N> Service<In> for Checked<T, N>
where
    In: Send + 'static,
    T: Check<In>,
    N: Next<T::Out>,
{
    type Response = Response<Body>;
    type Error = Failure;
    type Future = Going;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, input: In) -> Going {
        let (check, next) = &*self.0;
        match check.check(input) {
            Ok(input) => next.clone().call(input),
            Err(failure) => Box::pin(ready(Err(failure))),
        }
    }
}

/// The layer of a stage.
pub struct StageLayer<T>(Arc<T>);

/// The service of a stage and all that comes after it. Every call clones it; so it is one pointer.
pub struct Staged<T, N>(Arc<(Arc<T>, N)>);

/// Makes a layer of a stage.
pub fn layer<T>(stage: T) -> StageLayer<T> {
    StageLayer(Arc::new(stage))
}

impl<T, N> Layer<N> for StageLayer<T> {
    type Service = Staged<T, N>;

    fn layer(&self, next: N) -> Staged<T, N> {
        Staged(Arc::new((Arc::clone(&self.0), next)))
    }
}

impl<T, N> Clone for Staged<T, N> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<In, T, N> Service<In> for Staged<T, N>
where
    In: Send + 'static,
    T: Stage<In>,
    N: Next<T::Out>,
{
    type Response = Response<Body>;
    type Error = Failure;
    type Future = Going;

    // No stage holds anything between requests: all are always ready, and each waits inside its call.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, input: In) -> Self::Future {
        let (stage, next) = &*self.0;
        let mut next = next.clone();
        match stage.pass(input) {
            Ok(input) => next.call(input),
            Err(input) => Box::pin(Arc::clone(stage).handle(input, next)),
        }
    }
}

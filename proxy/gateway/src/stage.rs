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

/// What takes an input its way: a stage, or a check.
pub trait Step<In, N>: Send + Sync + 'static {
    /// Answers, or lets what comes next do so.
    fn take(&self, input: In, next: N) -> Going;
}

/// A [`Stage`] as a step.
pub struct Stages<T>(Arc<T>);

/// A [`Check`] as a step.
pub struct Checks<T>(T);

/// The layer of a step.
pub struct StepLayer<T>(Arc<T>);

/// The service of a step and all that comes after it. Every call clones it; so it is one pointer.
pub struct Stepped<T, N>(Arc<(Arc<T>, N)>);

/// Makes a layer of a stage.
pub fn layer<T>(stage: T) -> StepLayer<Stages<T>> {
    StepLayer(Arc::new(Stages(Arc::new(stage))))
}

/// Makes a layer of a check.
pub fn check<T>(check: T) -> StepLayer<Checks<T>> {
    StepLayer(Arc::new(Checks(check)))
}

impl<In, T, N> Step<In, N> for Stages<T>
where
    T: Stage<In>,
    In: Send + 'static,
    N: Next<T::Out>,
{
    fn take(&self, input: In, mut next: N) -> Going {
        match self.0.pass(input) {
            Ok(input) => next.call(input),
            Err(input) => Box::pin(Arc::clone(&self.0).handle(input, next)),
        }
    }
}

impl<In, T, N> Step<In, N> for Checks<T>
where
    T: Check<In>,
    N: Next<T::Out>,
{
    fn take(&self, input: In, mut next: N) -> Going {
        match self.0.check(input) {
            Ok(input) => next.call(input),
            Err(failure) => Box::pin(ready(Err(failure))),
        }
    }
}

impl<T, N> Layer<N> for StepLayer<T> {
    type Service = Stepped<T, N>;

    fn layer(&self, next: N) -> Stepped<T, N> {
        Stepped(Arc::new((Arc::clone(&self.0), next)))
    }
}

impl<T, N> Clone for Stepped<T, N> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<In, T, N> Service<In> for Stepped<T, N>
where
    T: Step<In, N>,
    N: Clone,
{
    type Response = Response<Body>;
    type Error = Failure;
    type Future = Going;

    // No stage holds anything between requests: all are always ready, and each waits inside its call.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, input: In) -> Going {
        let (step, next) = &*self.0;
        step.take(input, next.clone())
    }
}

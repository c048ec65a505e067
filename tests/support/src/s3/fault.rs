//! What goes wrong with a request, and what was put.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use s3s::Body;
use s3s::service::S3Service;

/// What goes wrong with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this status and code, and nothing is done.
    Answer(u16, &'static str),
    /// It is done, and never answered.
    SilentlyDone,
    /// It is done, and the answer is 500.
    DoneAndDenied,
    /// The connection breaks.
    Reset,
}

/// A PUT of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The path of its URL: bucket and key.
    pub path: String,
    /// Whether it was only to be done where there is none.
    pub only_new: bool,
    /// Its header `x-amz-server-side-encryption`.
    pub encryption: Option<String>,
}

/// What is to happen, and what has.
#[derive(Debug, Default)]
pub(super) struct Script(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    next: VecDeque<Fault>,
    always: Option<Fault>,
    puts: Vec<Put>,
    requests: usize,
}

impl Script {
    pub(super) fn queue(&self, faults: impl IntoIterator<Item = Fault>) {
        self.inner().next.extend(faults);
    }

    pub(super) fn always(&self, fault: Option<Fault>) {
        self.inner().always = fault;
    }

    pub(super) fn puts(&self) -> Vec<Put> {
        self.inner().puts.clone()
    }

    pub(super) fn requests(&self) -> usize {
        self.inner().requests
    }

    fn arrived(&self, request: &Request<Incoming>) -> Option<Fault> {
        let mut inner = self.inner();
        inner.requests += 1;
        if request.method() == Method::PUT {
            let header = |name: &str| {
                request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
            };
            let (only_new, encryption) =
                (header("if-none-match").is_some(), header("x-amz-server-side-encryption"));
            inner.puts.push(Put { path: request.uri().path().to_owned(), only_new, encryption });
        }
        inner.next.pop_front().or(inner.always)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves one request, or what goes wrong with it.
pub(super) async fn serve(
    script: Arc<Script>,
    service: S3Service,
    request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let fault = script.arrived(&request);
    let request = request.map(Body::from);
    let broken = |error: s3s::HttpError| io::Error::other(format!("{error:?}"));
    match fault {
        None => service.call(request).await.map_err(broken),
        Some(Fault::Answer(status, code)) => Ok(refusal(status, code)),
        Some(Fault::SilentlyDone) => {
            service.call(request).await.map_err(broken)?;
            std::future::pending().await
        }
        Some(Fault::DoneAndDenied) => {
            service.call(request).await.map_err(broken)?;
            Ok(refusal(500, "InternalError"))
        }
        Some(Fault::Reset) => Err(io::ErrorKind::ConnectionReset.into()),
    }
}

fn refusal(status: u16, code: &str) -> Response<Body> {
    let text =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>on purpose</Message></Error>");
    let mut answer = Response::new(Body::from(text));
    *answer.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    answer
}

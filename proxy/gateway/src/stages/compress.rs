//! Compresses answers for clients that take them so, as they stream.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;

use fireguard_traffic::body::Body;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, HeaderMap, HeaderValue, VARY};
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::Fuse;
use tower::{Service, service_fn};
use tower_http::compression::Compression;
use tower_http::compression::predicate::SizeAbove;

use super::vet::RawContent;
use crate::exchange::Asked;
use crate::stage::{Answer, Next, Stage, headers_of};

/// Bodies that are smaller gain nothing.
const SMALLEST: u16 = 1024;

/// The stage. The content of a Binary stays as it is: most of it is compressed already. Whenever the server pauses,
/// what was compressed so far is sent.
pub struct Compress;

impl Stage<Asked> for Compress {
    type Out = Asked;

    fn pass(&self, exchange: Asked) -> Result<Asked, Asked> {
        if exchange.route.compression { Err(exchange) } else { Ok(exchange) }
    }

    async fn handle<N: Next<Asked>>(self: Arc<Self>, exchange: Asked, mut next: N) -> Answer {
        let mut wishes = HeaderMap::new();
        wishes.extend(exchange.headers.get_all(ACCEPT_ENCODING).iter().map(|v| (ACCEPT_ENCODING, v.clone())));
        let head_only = exchange.request.head_only;
        let mut answer = next.call(exchange).await;
        headers_of(&mut answer).append(VARY, HeaderValue::from_static("Accept-Encoding"));
        let response = answer?;
        if head_only || response.extensions().get::<RawContent>().is_some() {
            return Ok(response);
        }
        Ok(compressed(wishes, response).await)
    }
}

/// The answer in the coding that the client likes best.
async fn compressed(wishes: HeaderMap, response: Response<Body>) -> Response<Body> {
    // The layer asks once more after the end.
    let mut request = Request::new(response.map(BodyExt::fuse));
    *request.headers_mut() = wishes;
    let inside = service_fn(given as fn(_) -> _);
    let mut compression = Compression::new(inside).compress_when(SizeAbove::new(SMALLEST));
    let mut response = match compression.call(request).await {
        Ok(response) => response.map(BodyExt::boxed_unsync),
        Err(never) => match never {},
    };
    let headers = response.headers_mut();
    if headers.contains_key(CONTENT_ENCODING)
        && let Some(tag) = headers.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\""))
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        // A strong tag names these very bytes.
        headers.insert(ETAG, weak);
    }
    response
}

/// What the layer asks for is there already.
fn given(request: Request<Response<Fuse<Body>>>) -> Ready<Result<Response<Fuse<Body>>, Infallible>> {
    ready(Ok(request.into_body()))
}

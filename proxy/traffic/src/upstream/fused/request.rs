//! Writing a request's head.

use bytes::BytesMut;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Method, Request};

/// What most heads take.
const USUAL_HEAD: usize = 1 << 10;

/// The head of a request with a body of so many bytes. Method, target and fields hold no line ends: their types
/// see to it.
pub(super) fn head(request: &Request<()>, body_length: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(USUAL_HEAD);
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    for part in [request.method().as_str(), " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    for (name, value) in request.headers() {
        // The framing is ours to say.
        if name == CONTENT_LENGTH || name == TRANSFER_ENCODING {
            continue;
        }
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    let expects_body = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH);
    if body_length > 0 || expects_body {
        out.extend_from_slice(format!("content-length: {body_length}\r\n").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_framing_is_ours() {
        let request = |method: &str| {
            let builder =
                Request::builder().method(method).uri("/fhir/Patient?name=x").header("host", "hapi");
            builder.header("content-length", "7").header("transfer-encoding", "chunked").body(()).unwrap()
        };
        for (method, length, framing) in [
            ("GET", 0, ""),
            ("DELETE", 0, ""),
            ("POST", 0, "content-length: 0\r\n"),
            ("POST", 70_000, "content-length: 70000\r\n"),
            ("GET", 3, "content-length: 3\r\n"),
        ] {
            let expected = format!("{method} /fhir/Patient?name=x HTTP/1.1\r\nhost: hapi\r\n{framing}\r\n");
            assert_eq!(head(&request(method), length), expected.as_bytes());
        }
    }
}

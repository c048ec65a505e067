//! What travels one hop only (RFC 9110 §7.6.1), and which headers pass at all.
//!
//! Both directions are allow-lists: HAPI obeys headers that grant power (`X-Cascade`, `X-Rewrite-History`, …),
//! and its answers name its software. What is not listed stays here.

use http::header::{self, HeaderMap, HeaderName};

/// Always of one hop, listed in `Connection` or not.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Request headers that reach the server as the client sent them. The typed interaction supplies the rest
/// (`Accept`, `Content-Type`, preconditions, `Prefer`).
const REQUEST: [HeaderName; 3] =
    [HeaderName::from_static("traceparent"), HeaderName::from_static("tracestate"), header::ACCEPT_LANGUAGE];

/// Answer headers that reach the client. `Location`, `Content-Location` and `Link` are rewritten on the way.
const ANSWER: [HeaderName; 16] = [
    header::ALLOW,
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_TYPE,
    header::ETAG,
    header::EXPIRES,
    header::LAST_MODIFIED,
    header::LINK,
    header::LOCATION,
    header::RETRY_AFTER,
    header::WARNING,
    HeaderName::from_static("preference-applied"),
    HeaderName::from_static("x-progress"),
    HeaderName::from_static("accept-patch"),
];

/// Removes what is of this hop only, first what `Connection` names.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let nominated: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .collect();
    for name in nominated.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// The request headers that pass.
pub fn request_headers(from_client: &HeaderMap) -> HeaderMap {
    only(from_client, &REQUEST)
}

/// The answer headers that pass.
pub fn answer_headers(from_server: &HeaderMap) -> HeaderMap {
    only(from_server, &ANSWER)
}

fn only(headers: &HeaderMap, names: &[HeaderName]) -> HeaderMap {
    let mut passing = HeaderMap::with_capacity(names.len());
    for name in names {
        for value in headers.get_all(name) {
            passing.append(name, value.clone());
        }
    }
    passing
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn what_connection_names_is_removed_too() {
        let mut headers = map(&[
            ("connection", "close, X-Secret , if-match"),
            ("x-secret", "1"),
            ("if-match", "W/\"1\""),
            ("te", "trailers"),
            ("keep-alive", "timeout=5"),
            ("accept", "application/fhir+json"),
        ]);
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers, map(&[("accept", "application/fhir+json")]));
    }

    #[test]
    fn power_headers_and_software_names_stay_here() {
        let headers = map(&[
            ("x-cascade", "delete"),
            ("x-rewrite-history", "1"),
            ("x-request-partition-ids", "1"),
            ("authorization", "Bearer x"),
            ("cookie", "a=b"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-http-method-override", "DELETE"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ]);
        assert_eq!(request_headers(&headers).len(), 1);
        let headers =
            map(&[("x-powered-by", "HAPI"), ("server", "x"), ("set-cookie", "a=b"), ("etag", "W/\"1\"")]);
        assert_eq!(answer_headers(&headers), map(&[("etag", "W/\"1\"")]));
    }
}

//! What travels one hop only (RFC 9110 §7.6.1), and which headers pass at all.
//!
//! Both directions are allow-lists: HAPI obeys headers that grant power (`X-Cascade`, `X-Rewrite-History`, …),
//! and its answers name its software. What is not listed stays here.

use http::header::{self, HeaderMap, HeaderName};
use http::request::Parts;
use http::{Method, Uri, Version};

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

/// Answer headers that reach the client. `Location`, `Content-Location` and `Link` are rewritten on the way. What
/// caches may do is not the server's to say: it knows nothing of who may see what here.
const ANSWER: [HeaderName; 16] = [
    header::ALLOW,
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
    HeaderName::from_static("x-export-status"),
    HeaderName::from_static("x-progress"),
    HeaderName::from_static("accept-patch"),
];

/// What two readers of a request could take in two ways (RFC 9112 §3.2, §6.1): it is refused and its connection
/// closed. hyper has settled the rest: lengths that differ, codings that do not end in `chunked`. What it settles without
/// a word, a length beside chunks, has to be noted below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguity {
    /// No `Host`, or several.
    #[error("a request has one Host header")]
    Host,
    /// The request line names another host than `Host`, or a scheme that is not ours.
    #[error("the request line must name the host of the Host header, by http or https")]
    Target,
    /// Several lengths, or one beside chunks.
    #[error("a request tells its length once: by one Content-Length or by chunks")]
    Length,
    /// Another coding than `chunked`, or it twice.
    #[error("the only Transfer-Encoding is chunked")]
    Coding,
    /// The start of a tunnel.
    #[error("CONNECT is for tunnels, and there are none here")]
    Connect,
}

/// Looks for what two readers could take in two ways.
///
/// # Errors
/// The first of it.
pub fn unambiguous(head: &Parts) -> Result<(), Ambiguity> {
    if head.method == Method::CONNECT {
        return Err(Ambiguity::Connect);
    }
    let mut hosts = head.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next(), head.uri.authority()) {
        (_, Some(_), _) => return Err(Ambiguity::Host),
        (None, None, None) if head.version >= Version::HTTP_11 => return Err(Ambiguity::Host),
        (Some(host), None, Some(authority))
            if !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            return Err(Ambiguity::Target);
        }
        _ => {}
    }
    if head.uri.scheme_str().is_some_and(|scheme| !matches!(scheme, "http" | "https")) {
        return Err(Ambiguity::Target);
    }
    if head.headers.get_all(header::CONTENT_LENGTH).iter().nth(1).is_some() {
        return Err(Ambiguity::Length);
    }
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Ambiguity::Coding),
    }
}

/// The bytes of a URL, less its scheme.
pub fn url_bytes(url: &Uri) -> usize {
    let authority = url.authority().map_or(0, |authority| authority.as_str().len());
    authority + url.path_and_query().map_or(0, |path| path.as_str().len())
}

/// The bytes of headers, as HTTP/1.1 writes them.
pub fn headers_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum()
}

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

/// Adds the request headers that pass.
pub fn request_headers(from_client: &HeaderMap, passing: &mut HeaderMap) {
    only(from_client, &REQUEST, passing);
}

/// The answer headers that pass.
pub fn answer_headers(from_server: &HeaderMap) -> HeaderMap {
    let mut passing = HeaderMap::with_capacity(USUAL);
    only(from_server, &ANSWER, &mut passing);
    passing
}

/// The client gets some of ours with them.
const USUAL: usize = 12;

/// Looks names up in the list, and not the list's names in the headers: most heads have few.
fn only(headers: &HeaderMap, names: &[HeaderName], passing: &mut HeaderMap) {
    for (name, value) in headers {
        if names.contains(name) {
            passing.append(name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_found() {
        use Ambiguity::{Coding, Connect, Host, Length, Target};
        let (get, version) = (Method::GET, Version::HTTP_11);
        let host = ("host", "a.example");
        for (method, target, version, headers, expected) in [
            (&get, "/x", version, vec![host], Ok(())),
            (&get, "http://a.example/x", version, vec![host], Ok(())),
            (&get, "https://A.EXAMPLE/x", version, vec![host], Ok(())),
            (&get, "http://a.example/x", Version::HTTP_2, vec![], Ok(())),
            (&get, "/x", Version::HTTP_10, vec![], Ok(())),
            (&get, "/x", version, vec![host, ("transfer-encoding", "Chunked")], Ok(())),
            (&get, "/x", version, vec![host, ("content-length", "2")], Ok(())),
            (&get, "/x", version, vec![], Err(Host)),
            (&get, "/x", Version::HTTP_2, vec![], Err(Host)),
            (&get, "/x", version, vec![host, host], Err(Host)),
            (&get, "http://b.example/x", version, vec![host], Err(Target)),
            (&get, "http://a.example:80/x", version, vec![host], Err(Target)),
            (&get, "http://b.example/x", Version::HTTP_2, vec![host], Err(Target)),
            (&get, "ftp://a.example/x", version, vec![host], Err(Target)),
            (&get, "/x", version, vec![host, ("content-length", "2"), ("content-length", "2")], Err(Length)),
            (&get, "/x", version, vec![host, ("transfer-encoding", "identity, chunked")], Err(Coding)),
            (&get, "/x", version, vec![host, ("transfer-encoding", "gzip")], Err(Coding)),
            (
                &get,
                "/x",
                version,
                vec![host, ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
                Err(Coding),
            ),
            (&Method::CONNECT, "a.example:443", version, vec![host], Err(Connect)),
        ] {
            let mut request = http::Request::new(());
            *request.method_mut() = method.clone();
            *request.uri_mut() = target.parse().unwrap();
            *request.version_mut() = version;
            for (name, value) in &headers {
                request.headers_mut().append(*name, HeaderValue::from_static(value));
            }
            let (head, ()) = request.into_parts();
            assert_eq!(unambiguous(&head), expected, "{method} {target} {headers:?}");
        }
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
        let mut passing = HeaderMap::new();
        request_headers(&headers, &mut passing);
        assert_eq!(passing.len(), 1);
        let headers =
            map(&[("x-powered-by", "HAPI"), ("server", "x"), ("set-cookie", "a=b"), ("etag", "W/\"1\"")]);
        assert_eq!(answer_headers(&headers), map(&[("etag", "W/\"1\"")]));
    }
}

//! Headers that a plugin may send and gets to see.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// What belongs to a connection, to the framing of a body or to the addressed host is the client's own business; cookies
/// are not kept, and so neither sent nor shown.
const OWN: [&str; 15] = [
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];
/// How many a request may have, and how long they may be together.
const MOST: usize = 64;
const BYTES: usize = 16 << 10;

/// The headers of a request.
///
/// # Errors
/// Which one may not be sent, by its place among them, and why.
pub(super) fn of_request<'a>(
    fields: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
) -> Result<HeaderMap, (usize, &'static str)> {
    let mut headers = HeaderMap::new();
    let mut bytes = 0;
    for (place, (name, value)) in fields.enumerate() {
        bytes += name.len() + value.len();
        if place >= MOST || bytes > BYTES {
            return Err((place, "there are over 64 headers, or over 16 KiB of them"));
        }
        let name =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| (place, "its name is none of HTTP"))?;
        let value = HeaderValue::from_str(value).map_err(|_| (place, "its value is none of HTTP"))?;
        if OWN.contains(&name.as_str()) || name.as_str().starts_with("proxy-") {
            return Err((place, "it is not a plugin's to send"));
        }
        headers.append(name, value);
    }
    Ok(headers)
}

/// The headers of an answer, names in lower case. What is not text is left out.
pub(super) fn of_answer(headers: &HeaderMap) -> Vec<(String, String)> {
    let shown = headers.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
    shown
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_connections_and_hosts_are_not_a_plugins() {
        let sent = |name, value| of_request([(name, value)].into_iter()).map(|headers| headers.len());
        for (name, value, expected) in [
            ("Authorization", "Bearer x", Ok(1)),
            ("x-api-key", "ä", Ok(1)),
            ("Host", "other.example", Err((0, "it is not a plugin's to send"))),
            ("CONTENT-length", "1", Err((0, "it is not a plugin's to send"))),
            ("transfer-encoding", "chunked", Err((0, "it is not a plugin's to send"))),
            ("proxy-anything", "1", Err((0, "it is not a plugin's to send"))),
            ("cookie", "a=b", Err((0, "it is not a plugin's to send"))),
            ("a b", "1", Err((0, "its name is none of HTTP"))),
            ("", "1", Err((0, "its name is none of HTTP"))),
            (":path", "/", Err((0, "its name is none of HTTP"))),
            ("a", "1\r\nhost: x", Err((0, "its value is none of HTTP"))),
        ] {
            assert_eq!(sent(name, value), expected, "{name}");
        }
        assert!(of_request([("a", "1"); 65].into_iter()).is_err());
        assert!(of_request([("a", &*"x".repeat(17 << 10))].into_iter()).is_err());
        assert_eq!(of_request([("a", "1"), ("a", "2")].into_iter()).unwrap().len(), 2);
    }
}

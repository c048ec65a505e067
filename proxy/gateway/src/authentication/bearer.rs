//! Tokens in requests (RFC 6750 §2.1). Only in the header: what stands in a URL stands in logs.

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// A request tells its token in a way that nobody takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It has several.
    #[error("a request has one Authorization header")]
    Several,
    /// It has none that can be one.
    #[error("the Authorization header is \"Bearer\" and a token")]
    Malformed,
}

/// The token of a request, if it has one. Another scheme is none.
///
/// # Errors
/// There are several, or what there is cannot be one.
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Unusable> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(_), Some(_)) => return Err(Unusable::Several),
        (Some(value), None) => value.to_str().map_err(|_| Unusable::Malformed)?,
    };
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let token = token.trim_matches(' ');
    // b64token: what else there is could be a second one.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if token.is_empty() || !token.bytes().all(plain) { Err(Unusable::Malformed) } else { Ok(Some(token)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn one_token_in_one_header() {
        for (values, expected) in [
            (&[][..], Ok(None)),
            (&["Bearer a.b-c_d~e+f/g=="], Ok(Some("a.b-c_d~e+f/g=="))),
            (&["bearer x"], Ok(Some("x"))),
            (&["BEARER   x "], Ok(Some("x"))),
            (&["Basic eDp5"], Ok(None)),
            (&["Bearer"], Err(Unusable::Malformed)),
            (&["Bearer "], Err(Unusable::Malformed)),
            (&["Bearer a b"], Err(Unusable::Malformed)),
            (&["Bearer a, Bearer b"], Err(Unusable::Malformed)),
            (&["Bearer a", "Bearer a"], Err(Unusable::Several)),
            (&["Basic x", "Bearer a"], Err(Unusable::Several)),
            (&["Bearerx"], Ok(None)),
            (&[""], Ok(None)),
        ] {
            let headers = values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_static(value)));
            assert_eq!(bearer(&headers.collect()), expected, "{values:?}");
        }
        let latin = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_bytes(b"Bearer \xe4").unwrap())]);
        assert_eq!(bearer(&latin), Err(Unusable::Malformed));
    }
}

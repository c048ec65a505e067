//! Pages of other origins in browsers (the Fetch standard's CORS protocol).
//!
//! Credentials in its sense (cookies, client certificates) are never allowed: an app sends its token itself.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap,
    HeaderValue, ORIGIN, VARY,
};

/// Methods of FHIR's interactions. What a route lets through of them is not a browser's to judge.
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");

/// Request headers that mean something here.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "Accept, Accept-Language, Authorization, Cache-Control, Content-Type, If-Match, If-Modified-Since, \
     If-None-Exist, If-None-Match, Prefer, X-Request-Id, traceparent, tracestate",
);

/// Answer headers that a page may read besides those that it always may.
const ANSWER_HEADERS: HeaderValue = HeaderValue::from_static(
    "Content-Disposition, Content-Location, ETag, Last-Modified, Link, Location, Preference-Applied, RateLimit, \
     RateLimit-Policy, Retry-After, WWW-Authenticate, X-Progress, X-Request-Id",
);

/// How long a browser remembers a preflight's answer, in seconds: until then a change of the list is not seen.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// The origins whose pages may read a route's answers.
#[derive(Debug)]
pub struct Cors {
    origins: Vec<HeaderValue>,
}

/// What a request is for a browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrossOrigin {
    origin: Option<HeaderValue>,
    preflight: bool,
}

impl Cors {
    /// Allows pages of these origins, each written as browsers do: `https://app.example`.
    pub fn new(origins: Vec<HeaderValue>) -> Self {
        Self { origins }
    }

    /// Looks at a request.
    pub fn judge(&self, method: &http::Method, headers: &HeaderMap) -> CrossOrigin {
        let mut named = headers.get_all(ORIGIN).iter();
        let origin = match (named.next(), named.next()) {
            (Some(origin), None) if self.origins.contains(origin) => Some(origin.clone()),
            _ => None,
        };
        let asks = *method == http::Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        CrossOrigin { preflight: asks && origin.is_some(), origin }
    }
}

impl CrossOrigin {
    /// Whether a browser asks first if it may ask.
    pub fn is_preflight(&self) -> bool {
        self.preflight
    }

    /// Adds to an answer's headers what the browser must know.
    pub fn tell(self, headers: &mut HeaderMap) {
        // Also when it is told nothing: another origin would be told something.
        headers.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = self.origin else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.preflight {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
            headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        } else {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, ANSWER_HEADERS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, Method};

    #[test]
    fn only_listed_origins_are_told_anything() {
        let cors = Cors::new(vec![HeaderValue::from_static("https://app.example")]);
        let asks = ("access-control-request-method", "PUT");
        let origin = |value| ("origin", value);
        for (method, headers, allowed, preflight) in [
            (Method::GET, vec![origin("https://app.example")], true, false),
            (Method::OPTIONS, vec![origin("https://app.example"), asks], true, true),
            (Method::OPTIONS, vec![origin("https://app.example")], true, false),
            (Method::GET, vec![origin("https://app.example"), asks], true, false),
            (Method::OPTIONS, vec![asks], false, false),
            (Method::OPTIONS, vec![origin("https://evil.example"), asks], false, false),
            (Method::GET, vec![], false, false),
            (Method::GET, vec![origin("null")], false, false),
            (Method::GET, vec![origin("*")], false, false),
            (Method::GET, vec![origin("http://app.example")], false, false),
            (Method::GET, vec![origin("https://app.example:8443")], false, false),
            (Method::GET, vec![origin("https://app.example.evil.example")], false, false),
            (Method::GET, vec![origin("https://app.example"), origin("https://app.example")], false, false),
        ] {
            let case = format!("{method} {headers:?}");
            let pairs = headers.into_iter();
            let mut request = HeaderMap::new();
            for (name, value) in pairs {
                request.append(HeaderName::from_static(name), HeaderValue::from_static(value));
            }
            let judged = cors.judge(&method, &request);
            assert_eq!(judged.is_preflight(), preflight, "{case}");
            let mut answer = HeaderMap::new();
            judged.tell(&mut answer);
            assert_eq!(answer[VARY], "Origin", "{case}");
            let told = answer.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap());
            assert_eq!(told, allowed.then_some("https://app.example"), "{case}");
            assert_eq!(answer.contains_key(ACCESS_CONTROL_ALLOW_METHODS), preflight, "{case}");
            assert_eq!(answer.contains_key(ACCESS_CONTROL_EXPOSE_HEADERS), allowed && !preflight, "{case}");
            assert!(!answer.contains_key("access-control-allow-credentials"), "{case}");
        }
    }
}

//! Reads what a plugin asks as if a client had sent it.

use std::sync::Arc;

use fireguard_fhir::base::Base;
use fireguard_fhir::interaction::{self, Head, Pages, Refusal, Request};
use fireguard_plugin_host::FhirRequest;
use fireguard_traffic::hygiene;
use http::HeaderMap;

use crate::caller::PageOf;
use crate::state::Route;

/// Why there is no request in it.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// It is not one; this says why.
    Invalid(String),
    /// A client would be told this.
    Refused(Box<Refusal>),
}

/// The request, and whom the link to a page was made for if it is one.
///
/// # Errors
/// There is none in it.
pub(super) fn parse(
    asked: &FhirRequest,
    route: &Route,
    base: &Base,
    longest: u64,
) -> Result<(Request, Option<PageOf>), Unreadable> {
    let invalid = |message: &str| Err(Unreadable::Invalid(message.to_owned()));
    if asked.url.len() as u64 > longest {
        return invalid("the URL is too long: search by POST");
    }
    let Some(target) = relative(&asked.url, base) else {
        return invalid("a URL is relative to the base of the route, as in Patient/1");
    };
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let path = if path.is_empty() { String::new() } else { format!("/{path}") };
    let opening = route.pages.opening();
    let mut head = Head {
        path: &path,
        query,
        pages: Pages::Sealed(&opening),
        xml: route.xml,
        accept: Some("application/fhir+json"),
        content_type: asked.body.as_ref().map(|_| "application/fhir+json"),
        ..Head::new(&asked.method, &path)
    };
    let mut seen = Vec::new();
    for (name, value) in &asked.headers {
        let name = name.to_ascii_lowercase();
        let place = match name.as_str() {
            "accept" => &mut head.accept,
            "content-type" => &mut head.content_type,
            "prefer" => &mut head.prefer,
            "if-match" => &mut head.if_match,
            "if-none-match" => &mut head.if_none_match,
            "if-modified-since" => &mut head.if_modified_since,
            "if-none-exist" => &mut head.if_none_exist,
            _ => {
                return invalid(
                    "a request has the headers accept, content-type, prefer, if-match, if-none-match, \
                                 if-modified-since and if-none-exist",
                );
            }
        };
        *place = Some(value);
        if seen.contains(&name) {
            return invalid("a header may come only once");
        }
        seen.push(name);
    }
    let request = interaction::parse(&head).map_err(|refusal| Unreadable::Refused(Box::new(refusal)))?;
    Ok((request, opening.page()))
}

/// What of the headers of the exchange goes with it: what says who asks, and nothing of its body.
pub(super) fn headers(of: &HeaderMap) -> Arc<HeaderMap> {
    let mut headers = HeaderMap::new();
    hygiene::request_headers(of, &mut headers);
    Arc::new(headers)
}

/// Without the base, where it is written out as in the links of answers; none: it leads elsewhere.
fn relative<'a>(url: &'a str, base: &Base) -> Option<&'a str> {
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'\\');
    let below = match url.strip_prefix(&base.to_string()) {
        Some(rest) if rest.is_empty() || rest.starts_with('?') => rest,
        Some(rest) => rest.strip_prefix('/')?,
        None => url,
    };
    // Neither a scheme nor a host nor the root.
    let path = below.split('?').next().unwrap_or_default();
    (plain && !path.starts_with('/') && !path.contains(':')).then_some(below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn base() -> Base {
        Base::parse("https://fhir.example/r4").unwrap()
    }

    #[test]
    fn urls_stay_below_the_base() {
        for (url, expected) in [
            ("", Some("")),
            ("Patient/1", Some("Patient/1")),
            ("?_type=Patient", Some("?_type=Patient")),
            ("Observation?code=http://loinc.org|1", Some("Observation?code=http://loinc.org|1")),
            ("https://fhir.example/r4", Some("")),
            ("https://fhir.example/r4?_page=x", Some("?_page=x")),
            ("https://fhir.example/r4/Patient/1", Some("Patient/1")),
            ("https://fhir.example/r4//evil.example", None),
            ("https://fhir.example/r4x/Patient", None),
            ("https://evil.example/r4/Patient/1", None),
            ("https://fhir.example@evil.example/r4", None),
            ("//evil.example/Patient", None),
            ("/Patient/1", None),
            ("\\\\evil.example", None),
            ("Patient/1#fragment", None),
            ("Patient/1\r\nhost: evil", None),
            ("Patient /1", None),
            ("file:///etc/passwd", None),
        ] {
            assert_eq!(relative(url, &base()), expected, "{url}");
        }
    }

    proptest! {
        #[test]
        fn anything_may_be_asked(url in ".{0,40}") {
            if let Some(below) = relative(&url, &base()) {
                prop_assert!(!below.starts_with('/') && !below.contains(['\r', '\n', ' ']));
            }
        }
    }
}

//! Turns the server's own URLs into the client's, in headers and in the body.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fireguard_fhir::document::{self, Syntax};
use fireguard_fhir::interaction::{Interaction, is_job_status};
use fireguard_fhir::urls::{Glance, Rewrite as Rule, Scope, UrlRewriter};
use fireguard_traffic::body::{Begun, Body, full};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::vet::RawContent;
use crate::exchange::Ready;
use crate::failure::Failure;
use crate::stage::{Answer, Next, Stage};
use crate::transform::{Transform, transformed};

/// The stage. An answer that is not JSON or XML to its end is aborted, or is a 502 while nothing was sent.
pub struct Rewrite;

impl Stage<Ready> for Rewrite {
    type Out = Ready;

    async fn handle<N: Next<Ready>>(self: Arc<Self>, ready: Ready, mut next: N) -> Answer {
        let rule = ready.face.toward(&ready.caller);
        // The files of a caller's job are named to that caller only.
        let job = match &ready.request.interaction {
            Interaction::Operation { name, .. } if is_job_status(name.as_str()) => {
                ready.caller.principal.is_some().then(|| name.clone())
            }
            _ => None,
        };
        let rule = match &job {
            Some(operation) => Arc::new(Rule::clone(&rule).of_job(operation.as_str())),
            None => rule,
        };
        let scope = match ready.request.interaction {
            Interaction::Capabilities => Scope::Everything,
            _ => Scope::Elements,
        };
        let (head_only, syntax) = (ready.request.head_only, ready.request.format.syntax());
        let (mut parts, body) = next.call(ready).await?.into_parts();
        for name in [header::LOCATION, header::CONTENT_LOCATION] {
            rewrite_header(&mut parts.headers, &name, |value| location(&rule, value));
        }
        rewrite_header(&mut parts.headers, &header::LINK, |value| links(&rule, value));
        // What else has a type is of the syntax that was asked for, or it would not have passed `vet`.
        let read = parts.headers.contains_key(header::CONTENT_TYPE)
            && parts.extensions.get::<RawContent>().is_none();
        if !read || head_only {
            return Ok(Response::from_parts(parts, body));
        }
        parts.headers.remove(header::CONTENT_LENGTH);
        let body = if syntax == Syntax::Json && scope == Scope::Elements && job.is_none() {
            match glanced(&rule, body).await? {
                Ok(body) => return Ok(Response::from_parts(parts, body)),
                Err(body) => body,
            }
        } else {
            body
        };
        // What a validator says of a request comes without a code.
        let status = parts.status;
        let failure = status.as_u16() >= 400 && status != StatusCode::UNPROCESSABLE_ENTITY;
        let urls = UrlRewriter::new(rule, scope).of_failure(failure).reading(syntax);
        let body = transformed(body, Urls { urls, syntax, begun: false }).await?;
        Ok(Response::from_parts(parts, body))
    }
}

/// So much is waited for, to see all of an answer; and so long, once its beginning is there.
const WHOLE: usize = 64 << 10;
const MOMENT: Duration = Duration::from_millis(5);

/// The body for the client, where a look at all of it is enough; or the body once more.
async fn glanced(rule: &Rule, body: Body) -> Result<Result<Body, Body>, Failure> {
    let begun = Begun::read_within(body, WHOLE, MOMENT)
        .await
        .map_err(|error| Failure::upstream("the FHIR server's answer broke off", error.to_string()))?;
    if !begun.is_whole() {
        return Ok(Err(begun.into_body()));
    }
    Ok(match rule.glance(&begun.bytes) {
        Glance::Unchanged => Ok(begun.into_body()),
        Glance::Changed(body) => Ok(full(body)),
        Glance::Unclear => Err(begun.into_body()),
    })
}

/// The rewriter, and whether it has seen anything: an empty body is no document and no fault.
struct Urls {
    urls: UrlRewriter,
    syntax: Syntax,
    begun: bool,
}

impl Transform for Urls {
    async fn feed(&mut self, chunk: Bytes, out: &mut Vec<u8>) -> Result<(), Failure> {
        self.begun |= !chunk.is_empty();
        out.reserve(chunk.len());
        self.urls.feed(&chunk, out).map_err(|error| not_valid(self.syntax, &error))
    }

    async fn finish(&mut self, _: &mut Vec<u8>) -> Result<(), Failure> {
        let end = if self.begun { self.urls.finish() } else { Ok(()) };
        end.map_err(|error| not_valid(self.syntax, &error))
    }
}

fn not_valid(syntax: Syntax, error: &document::Error) -> Failure {
    let message = format!("the FHIR server's answer is not valid {}", syntax.name());
    Failure::upstream(message, error.to_string())
}

fn rewrite_header(headers: &mut HeaderMap, name: &HeaderName, change: impl Fn(&str) -> Option<String>) {
    let Some(value) = headers.remove(name) else { return };
    let changed = value.to_str().ok().and_then(change);
    if let Some(value) = changed.and_then(|text| HeaderValue::from_str(&text).ok()) {
        headers.insert(name, value);
    }
}

/// A location below the server's base, or a relative one; any other is not for the client.
fn location(rule: &Rule, value: &str) -> Option<String> {
    match rule.url(value) {
        Some(url) => Some(url),
        None if value.contains("://") || value.starts_with('/') => None,
        None => {
            let url = format!("{}/{value}", rule.to());
            // A relative one may lead to a job as well.
            Some(rule.url(&url).unwrap_or(url))
        }
    }
}

/// `Link: <url>; rel=…`: those below the server's base.
fn links(rule: &Rule, value: &str) -> Option<String> {
    let links: Vec<_> = value
        .split(", <")
        .filter_map(|link| {
            let (url, parameters) = link.trim_start_matches('<').split_once('>')?;
            Some(format!("<{}>{parameters}", rule.url(url)?))
        })
        .collect();
    (!links.is_empty()).then(|| links.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fireguard_fhir::base::Base;

    #[test]
    fn headers_name_the_client_s_base_or_nothing() {
        let base = |text| Base::parse(text).unwrap();
        let rule = Rule::new(vec![base("http://hapi:8080/fhir")], base("https://public.example/r4"));
        for (value, expected) in [
            (
                "http://hapi:8080/fhir/Patient/1/_history/1",
                Some("https://public.example/r4/Patient/1/_history/1"),
            ),
            ("Patient/1/_history/1", Some("https://public.example/r4/Patient/1/_history/1")),
            ("http://elsewhere/Patient/1", None),
            ("http://hapi:8080/admin", None),
            ("/fhir/Patient/1", None),
        ] {
            assert_eq!(location(&rule, value).as_deref(), expected, "{value}");
        }
        let value = "<http://hapi:8080/fhir?_getpages=x>; rel=\"next\", <http://other/>; rel=\"self\"";
        assert_eq!(
            links(&rule, value).as_deref(),
            Some("<https://public.example/r4?_getpages=x>; rel=\"next\"")
        );
    }
}

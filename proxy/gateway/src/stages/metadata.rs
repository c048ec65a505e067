//! Answers with the CapabilityStatement that is kept.
//!
//! One that is older than a minute is sent once more and renewed meanwhile, by one request; while the server is away it
//! is sent for an hour. URLs are rewritten once, and it is compressed once.

use std::sync::Arc;
use std::time::Instant;

use fireguard_fhir::document::Syntax;
use fireguard_fhir::interaction::Interaction;
use fireguard_traffic::body::{Begun, empty, full};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};

use crate::capabilities::{Security, adapted};
use crate::config::defaults;
use crate::exchange::Ready;
use crate::failure::Failure;
use crate::metadata::{Age, Statement};
use crate::stage::{Answer, Next, Stage};
use crate::state::Route;

/// The stage. Statements of a certain form (`mode`, `_summary`, `_elements`, `_pretty`, XML) are the server's to make.
pub struct Metadata;

impl Stage<Ready> for Metadata {
    type Out = Ready;

    fn pass(&self, exchange: Ready) -> Result<Ready, Ready> {
        let request = &exchange.request;
        let plain = matches!(request.interaction, Interaction::Capabilities)
            && request.parameters.is_empty()
            && request.pretty.is_none()
            && request.format.syntax() == Syntax::Json;
        if plain { Err(exchange) } else { Ok(exchange) }
    }

    async fn handle<N: Next<Ready>>(self: Arc<Self>, ready: Ready, mut next: N) -> Answer {
        let route = Arc::clone(&ready.route);
        let (wish, base) = (Wish::of(&ready), ready.face.base.to_string());
        if let Some((statement, age)) = route.metadata.get(&base) {
            if age == Age::Stale && statement.renews() {
                tokio::spawn(renew(whole(ready), base, Arc::clone(&statement), next));
            }
            return Ok(wish.answer(&statement));
        }
        let since = Instant::now();
        let asking = route.metadata.asking.lock().await;
        if let Some((statement, _)) = route.metadata.get(&base) {
            return Ok(wish.answer(&statement));
        }
        // Others have waited for an answer that did not come: they need not wait in a row.
        if route.metadata.failed_since(since) {
            drop(asking);
            return next.call(ready).await;
        }
        match fetch(whole(ready), &mut next).await {
            Ok(Fetched::Statement(statement)) => {
                route.metadata.keep(base, Arc::clone(&statement));
                Ok(wish.answer(&statement))
            }
            Ok(Fetched::Other(answer)) => {
                route.metadata.failed();
                Ok(answer)
            }
            Err(failure) => {
                route.metadata.failed();
                Err(failure)
            }
        }
    }
}

enum Fetched {
    Statement(Arc<Statement>),
    /// It is not one to keep.
    Other(Response<fireguard_traffic::body::Body>),
}

async fn fetch<N: Next<Ready>>(ready: Ready, next: &mut N) -> Result<Fetched, Failure> {
    let route = Arc::clone(&ready.route);
    let (parts, body) = next.call(ready).await?.into_parts();
    let limit = usize::try_from(defaults::RESOURCE).unwrap_or(usize::MAX);
    let begun = Begun::read(body, limit)
        .await
        .map_err(|error| Failure::upstream("the FHIR server's answer broke off", error.to_string()))?;
    if parts.status != StatusCode::OK || begun.bytes.is_empty() || begun.bytes.len() >= limit {
        return Ok(Fetched::Other(Response::from_parts(parts, begun.into_body())));
    }
    let plain = begun.bytes;
    let (kept, security) = (plain.clone(), security(&route).await);
    let own = move || Statement::new(adapted(kept, &route.surface, security.as_ref()));
    match tokio::task::spawn_blocking(own).await {
        Ok(statement) => Ok(Fetched::Statement(Arc::new(statement))),
        Err(_) => Ok(Fetched::Other(Response::from_parts(parts, full(plain)))),
    }
}

/// How callers of the route show who they are; none: anyone may come in.
async fn security(route: &Route) -> Option<Security> {
    if route.authentication.is_open() {
        return None;
    }
    let mut discovery = None;
    for provider in route.authentication.providers() {
        // While an issuer is away, its addresses are left out; the statement is made anew in a minute.
        discovery = provider.discovery().await.ok().flatten();
        if discovery.is_some() {
            break;
        }
    }
    Some(Security { discovery, cors: route.cors.is_some() })
}

/// Asks for a newer one; nobody waits for it. The exchange that did is noted when it has ended.
async fn renew<N: Next<Ready>>(ready: Ready, base: String, old: Arc<Statement>, mut next: N) {
    let route = Arc::clone(&ready.route);
    match fetch(ready, &mut next).await {
        Ok(Fetched::Statement(statement)) => route.metadata.keep(base, statement),
        Ok(Fetched::Other(_)) | Err(_) => old.not_renewed(),
    }
}

/// The question in its plain form: nothing of one client's wishes is in what all get.
fn whole(mut ready: Ready) -> Ready {
    Arc::make_mut(&mut ready.request).head_only = false;
    ready.headers = Arc::default();
    ready
}

/// What one client wants of a statement.
struct Wish {
    content_type: &'static str,
    head_only: bool,
    gzip: bool,
    known: Vec<HeaderValue>,
}

impl Wish {
    fn of(ready: &Ready) -> Self {
        Self {
            content_type: ready.request.format.content_type(),
            head_only: ready.request.head_only,
            gzip: ready.route.compression && takes_gzip(&ready.headers),
            known: ready.headers.get_all(header::IF_NONE_MATCH).iter().cloned().collect(),
        }
    }

    fn answer(&self, statement: &Statement) -> Response<fireguard_traffic::body::Body> {
        let mut response = Response::new(empty());
        let headers = response.headers_mut();
        headers.insert(header::ETAG, statement.etag.clone());
        if self.known.iter().any(|known| names(known, &statement.etag)) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        let mut body = &statement.plain;
        if self.gzip && !statement.gzip.is_empty() {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            body = &statement.gzip;
        }
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        if !self.head_only {
            *response.body_mut() = full(body.clone());
        }
        response
    }
}

/// Whether one of the tags in `If-None-Match` is this one, compared weakly (RFC 9110 §13.1.2).
fn names(known: &HeaderValue, etag: &HeaderValue) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let (Ok(known), Ok(etag)) = (known.to_str(), etag.to_str()) else { return false };
    known.trim() == "*" || known.split(',').any(|tag| opaque(tag) == opaque(etag))
}

/// Whether `Accept-Encoding` names gzip and does not rule it out (RFC 9110 §12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, "q=1"));
        let quality = quality.trim().strip_prefix("q=").and_then(|q| q.trim().parse::<f32>().ok());
        matches!(name.trim(), "gzip" | "x-gzip") && quality.is_some_and(|quality| quality > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_codings() {
        let etag = HeaderValue::from_static("W/\"cs-1\"");
        for (known, same) in [
            ("W/\"cs-1\"", true),
            ("\"cs-1\"", true),
            ("\"x\", W/\"cs-1\"", true),
            ("*", true),
            ("\"cs-12\"", false),
            ("cs-1", false),
        ] {
            assert_eq!(names(&HeaderValue::from_static(known), &etag), same, "{known}");
        }
        for (accepted, gzip) in [
            ("gzip", true),
            ("br, gzip;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0", false),
            ("br", false),
            ("identity", false),
            ("", false),
        ] {
            let headers =
                HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted))]);
            assert_eq!(takes_gzip(&headers), gzip, "{accepted}");
        }
    }
}

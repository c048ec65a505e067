//! Answers with the CapabilityStatement that is kept.
//!
//! One that is older than a minute is sent once more and renewed meanwhile, by one request; while the server is away it
//! is sent for an hour. URLs are rewritten once, and it is compressed once, for all to whom it says the same.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use fireguard_access::policy::Extent;
use fireguard_access::principal::Principal;
use fireguard_fhir::document::Syntax;
use fireguard_fhir::interaction::{Interaction, OperationName, Request};
use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::body::{Begun, Body, empty, full};
use http::header::{self, HeaderMap, HeaderValue};
use http::response::Parts;
use http::{Response, StatusCode};

use crate::capabilities::{Security, View, adapted};
use crate::config::defaults;
use crate::exchange::Ready;
use crate::failure::Failure;
use crate::metadata::{Age, Content, Source, Statement};
use crate::stage::{Answer, Next, Stage};
use crate::state::Route;

/// The stage. A statement of a certain form (`mode`, `_summary`, `_elements`, `_pretty`) is the server's to make, and is
/// adapted like the whole one. It is adapted in JSON: XML is for routes that keep nothing back from anybody.
pub struct Metadata;

impl Stage<Ready> for Metadata {
    type Out = Ready;

    fn pass(&self, exchange: Ready) -> Result<Ready, Ready> {
        let asked = matches!(exchange.request.interaction, Interaction::Capabilities);
        let xml = exchange.request.format.syntax() == Syntax::Xml;
        let whole = exchange.route.authentication.is_open() && !exchange.route.surface.is_narrow();
        if asked && !(xml && whole) { Err(exchange) } else { Ok(exchange) }
    }

    async fn handle<N: Next<Ready>>(self: Arc<Self>, ready: Ready, mut next: N) -> Answer {
        if ready.request.format.syntax() == Syntax::Xml {
            let message =
                "what may be done here is told in JSON only: ask for the statement as application/fhir+json";
            return Err(Failure::client(StatusCode::NOT_ACCEPTABLE, IssueCode::NotSupported, message));
        }
        let who = ready.caller.principal.clone();
        let extent = extent(Arc::clone(&ready.route), Arc::clone(&ready.request), who).await;
        if !(ready.request.parameters.is_empty() && ready.request.pretty.is_none()) {
            return of_a_form(ready, extent, &mut next).await;
        }
        let (route, base) = (Arc::clone(&ready.route), ready.face.base.to_string());
        let wish = Wish::of(&ready);
        if let Some((source, age)) = route.metadata.source(&base) {
            if age == Age::Stale && source.renews() {
                tokio::spawn(renew(whole(ready), base, Arc::clone(&source), next));
            }
            return wish.answer(&route, &source.content, extent).await;
        }
        let since = Instant::now();
        let asking = route.metadata.asking.lock().await;
        if let Some((source, _)) = route.metadata.source(&base) {
            drop(asking);
            return wish.answer(&route, &source.content, extent).await;
        }
        // Others have waited for an answer that did not come: they need not wait in a row.
        if route.metadata.failed_since(since) {
            drop(asking);
            return of_a_form(ready, extent, &mut next).await;
        }
        let fetched = fetch(whole(ready), &mut next).await;
        if !matches!(fetched, Ok(Fetched::Statement(..))) {
            route.metadata.failed();
        }
        match fetched? {
            Fetched::Statement(_, statement) => {
                let security = security(&route).await;
                let source = route.metadata.keep(base, Content { statement, security });
                drop(asking);
                wish.answer(&route, &source.content, extent).await
            }
            Fetched::Other(answer) => Ok(answer),
        }
    }
}

enum Fetched {
    /// What the server says.
    Statement(Parts, Bytes),
    /// It is not one to keep.
    Other(Response<Body>),
}

async fn fetch<N: Next<Ready>>(ready: Ready, next: &mut N) -> Result<Fetched, Failure> {
    let (parts, body) = next.call(ready).await?.into_parts();
    let limit = usize::try_from(defaults::RESOURCE).unwrap_or(usize::MAX);
    let begun = Begun::read(body, limit)
        .await
        .map_err(|error| Failure::upstream("the FHIR server's answer broke off", error.to_string()))?;
    if begun.bytes.len() >= limit {
        // What is not read to its end cannot be adapted.
        return Err(Failure::upstream("the FHIR server's statement is too long", "over the limit"));
    }
    if parts.status != StatusCode::OK || begun.bytes.is_empty() {
        return Ok(Fetched::Other(Response::from_parts(parts, begun.into_body())));
    }
    Ok(Fetched::Statement(parts, begun.bytes))
}

/// A statement in the form that one client wants, which is not kept.
async fn of_a_form<N: Next<Ready>>(mut ready: Ready, extent: Option<Arc<Extent>>, next: &mut N) -> Answer {
    let (route, head_only) = (Arc::clone(&ready.route), ready.request.head_only);
    let pretty = ready.request.pretty == Some(true);
    ready = whole(ready);
    match fetch(ready, next).await? {
        Fetched::Other(answer) => Ok(answer),
        Fetched::Statement(mut parts, statement) => {
            let content = Content { statement, security: security(&route).await };
            let own = made(&route, Arc::new(content), extent, pretty).await?;
            for name in [header::CONTENT_LENGTH, header::ETAG, header::LAST_MODIFIED] {
                parts.headers.remove(name);
            }
            parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(own.len()));
            varies(&mut parts.headers, &route);
            Ok(Response::from_parts(parts, if head_only { empty() } else { full(own) }))
        }
    }
}

/// The statement for who could be let do so much: tens of milliseconds.
async fn made(
    route: &Arc<Route>,
    content: Arc<Content>,
    extent: Option<Arc<Extent>>,
    pretty: bool,
) -> Result<Bytes, Failure> {
    let of = Arc::clone(route);
    let own = move || {
        let (surface, security) = (&of.surface, content.security.as_ref());
        let view = View { surface, security, extent: extent.as_deref(), xml: of.xml, pretty };
        adapted(content.statement.clone(), view)
    };
    tokio::task::spawn_blocking(own).await.map_err(|_| unmade())
}

fn unmade() -> Failure {
    Failure::upstream("the FHIR server's statement cannot be adapted", "the work broke off")
}

/// What the caller could be let do; who does not say who it is, anybody. None: whatever the route lets through.
async fn extent(
    route: Arc<Route>,
    request: Arc<Request>,
    principal: Option<Arc<Principal>>,
) -> Option<Arc<Extent>> {
    let decisions = route.decisions.clone()?;
    let kind = principal.as_ref().map(|principal| decisions.kind(principal));
    if let Some(known) = route.metadata.extent(kind.as_ref()) {
        return known;
    }
    let found = tokio::task::spawn_blocking(move || {
        let operations: Vec<_> = route.surface.operations().filter_map(OperationName::parse).collect();
        route.metadata.reaches(kind, decisions.extent(principal.as_ref(), &request, &operations))
    });
    // What nobody could find out is nothing.
    found.await.unwrap_or_else(|_| Some(Arc::default()))
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
async fn renew<N: Next<Ready>>(ready: Ready, base: String, old: Arc<Source>, mut next: N) {
    let route = Arc::clone(&ready.route);
    match fetch(ready, &mut next).await {
        Ok(Fetched::Statement(_, statement)) => {
            let security = security(&route).await;
            route.metadata.keep(base, Content { statement, security });
        }
        Ok(Fetched::Other(_)) | Err(_) => old.not_renewed(),
    }
}

/// What is answered depends on who asks, where that is known by a token.
fn varies(headers: &mut HeaderMap, route: &Route) {
    if !route.authentication.is_open() {
        headers.append(header::VARY, HeaderValue::from_static("Authorization"));
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

    async fn answer(
        &self,
        route: &Arc<Route>,
        content: &Arc<Content>,
        extent: Option<Arc<Extent>>,
    ) -> Answer {
        if let Some(statement) = route.metadata.statement(content, extent.as_ref()) {
            return Ok(self.show(&statement, route));
        }
        let making = route.metadata.making.lock().await;
        if let Some(statement) = route.metadata.statement(content, extent.as_ref()) {
            return Ok(self.show(&statement, route));
        }
        let own = made(route, Arc::clone(content), extent.clone(), false).await?;
        let statement = tokio::task::spawn_blocking(move || Arc::new(Statement::new(own))).await;
        let statement = statement.map_err(|_| unmade())?;
        route.metadata.made(Arc::clone(content), extent, Arc::clone(&statement));
        drop(making);
        Ok(self.show(&statement, route))
    }

    fn show(&self, statement: &Statement, route: &Route) -> Response<Body> {
        let mut response = Response::new(empty());
        let headers = response.headers_mut();
        varies(headers, route);
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

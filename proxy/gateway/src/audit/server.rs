//! Events on a FHIR server: each is put at its own id, so that one that arrives twice is there once.

use std::sync::Arc;

use bytes::Bytes;
use fireguard_access::audit::without_references;
use fireguard_fhir::json;
use fireguard_traffic::body::Outgoing;
use fireguard_traffic::upstream::{Balanced, Upstream};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Limited};
use tokio::time::timeout;

use super::worker::Undelivered;
use crate::config::defaults;
use crate::replicas::Group;

/// More of an answer is not read.
const ANSWER: usize = 16 << 20;

/// A FHIR server.
pub(super) struct Server {
    group: Arc<Group>,
    /// Events refer to resources there.
    references: bool,
    connections: Balanced,
}

impl Server {
    pub(super) fn new(group: Arc<Group>, references: bool) -> Self {
        let connections = Balanced::new(&group.replicas, None);
        Self { group, references, connections }
    }

    pub(super) fn group(&self) -> &Arc<Group> {
        &self.group
    }

    /// Says of each event whether the server has it. All are sent in one transaction; where that is refused, because
    /// of one of them, each by itself.
    pub(super) async fn deliver(&self, events: &[&[u8]]) -> Vec<Result<(), Undelivered>> {
        // One that is none comes to light where it is sent by itself.
        let told = |event: &&[u8]| match self.references {
            true => event.to_vec(),
            false => without_references(event).unwrap_or_else(|| event.to_vec()),
        };
        let told: Vec<Vec<u8>> = events.iter().map(told).collect();
        let events: Vec<&[u8]> = told.iter().map(Vec::as_slice).collect();
        let bundle = match &*events {
            [_] => None,
            events => transaction(events),
        };
        if let Some(bundle) = bundle {
            match self.send(Method::POST, "", bundle).await {
                Ok(()) => return events.iter().map(|_| Ok(())).collect(),
                // Of no use one by one either.
                Err(Undelivered::Unreachable(_) | Undelivered::Silent) => {
                    return events.iter().map(|_| Err(Undelivered::Silent)).collect();
                }
                Err(_) => {}
            }
        }
        let mut arrived = Vec::with_capacity(events.len());
        for event in events {
            arrived.push(self.one(event).await);
        }
        arrived
    }

    /// Servers refuse references to what they do not have, or no longer. The event counts, so it goes without.
    async fn one(&self, event: &[u8]) -> Result<(), Undelivered> {
        let id = id(event).ok_or(Undelivered::NoEvent)?;
        let path = format!("/AuditEvent/{id}");
        match self.send(Method::PUT, &path, Bytes::copy_from_slice(event)).await {
            Err(Undelivered::Status(400 | 404 | 409 | 410 | 412 | 422)) if self.references => {
                let without = without_references(event).ok_or(Undelivered::NoEvent)?;
                self.send(Method::PUT, &path, without.into()).await
            }
            sent => sent,
        }
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<(), Undelivered> {
        let Some(base) = self.group.configured.bases.first() else { return Err(Undelivered::Broken) };
        let mut request = Request::new(());
        *request.method_mut() = method;
        // A base and an id are plain: this is one.
        *request.uri_mut() =
            format!("{}{path}", base.path()).parse::<Uri>().map_err(|_| Undelivered::NoEvent)?;
        let json = HeaderValue::from_static("application/fhir+json;charset=utf-8");
        request.headers_mut().insert(CONTENT_TYPE, json);
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/fhir+json"));
        let minimal = HeaderValue::from_static("return=minimal");
        request.headers_mut().insert("prefer", minimal);
        let sending = self.connections.send(&mut request, Outgoing::Whole(body));
        let answer = timeout(defaults::ANSWER_HEAD, sending).await.map_err(|_| Undelivered::Silent)??;
        let status = answer.status();
        // To its end: so that the connection can be used again.
        let read = timeout(defaults::ANSWER_HEAD, Limited::new(answer.into_body(), ANSWER).collect()).await;
        read.map_err(|_| Undelivered::Silent)?.map_err(|_| Undelivered::Broken)?;
        if status.is_success() { Ok(()) } else { Err(Undelivered::Status(status.as_u16())) }
    }
}

/// The id of an event.
fn id(event: &[u8]) -> Option<String> {
    json::member(event, "id")?.string().map(|id| id.into_owned())
}

/// All events in one; none: one of them is no event.
fn transaction(events: &[&[u8]]) -> Option<Bytes> {
    let mut bundle = br#"{"resourceType":"Bundle","type":"transaction","entry":["#.to_vec();
    for (number, event) in events.iter().enumerate() {
        if number > 0 {
            bundle.push(b',');
        }
        bundle.extend_from_slice(br#"{"resource":"#);
        bundle.extend_from_slice(event);
        let id = id(event)?;
        bundle.extend_from_slice(
            format!(r#","request":{{"method":"PUT","url":"AuditEvent/{id}"}}}}"#).as_bytes(),
        );
    }
    bundle.extend_from_slice(b"]}");
    Some(bundle.into())
}

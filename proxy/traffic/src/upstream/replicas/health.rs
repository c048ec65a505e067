//! A health check: a cheap read that needs the database, or whatever else is configured.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use tokio::time::timeout;

use super::replica::Replica;
use crate::upstream::{Credentials, SendError};

/// How health is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is read: the path of the server's base, and what is below it.
    pub target: Uri,
    /// From the end of one check to the next.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Check also where there is only one replica, which is asked all the same.
    pub alone: bool,
}

/// So much of an answer is read to keep the connection; a longer one costs a connection.
const ANSWER: usize = 64 << 10;

/// Whether a FHIR server answers: anything but a fault of its own. That there is no such resource is an answer, too.
pub(super) async fn check(
    check: &HealthCheck,
    replica: &Replica,
    credentials: Option<&dyn Credentials>,
) -> Result<(), String> {
    let mut request = Request::new(());
    *request.uri_mut() = check.target.clone();
    let headers = request.headers_mut();
    headers.insert(header::HOST, replica.authority.clone());
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/fhir+json"));
    if let Some(value) = credentials.and_then(Credentials::authorization) {
        headers.insert(header::AUTHORIZATION, value);
    }
    match timeout(check.timeout, ask(replica, &request)).await {
        Ok(found) => found,
        Err(_) => Err(format!("no answer within {:?}", check.timeout)),
    }
}

async fn ask(replica: &Replica, request: &Request<()>) -> Result<(), String> {
    let mut answer = replica.checks.send(request, Bytes::new()).await;
    if let Err(SendError::Broken { reused: true, .. }) = answer {
        answer = replica.checks.send(request, Bytes::new()).await;
    }
    let (head, body) = answer.map_err(|error| described(&error))?.into_parts();
    // Unread it would take the connection along; what it says does not matter.
    drop(Limited::new(body, ANSWER).collect().await);
    match head.status {
        status if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => {
            Err(format!("it answers {status}"))
        }
        status if status.is_redirection() => Err(format!("it answers {status}, which leads elsewhere")),
        // A page of a container that has not started the server yet, or of a balancer.
        status if !speaks_fhir(&head.headers) => {
            Err(format!("it answers {status}, and not as a FHIR server does"))
        }
        _ => Ok(()),
    }
}

fn speaks_fhir(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    ["application/fhir+json", "application/json", "application/fhir+xml"].contains(&kind)
}

fn described(error: &SendError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

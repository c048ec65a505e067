//! A server on this machine that knows the answers of `http.json`.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use ipnet::{IpNet, Ipv4Net};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::{Canned, Sent};
use crate::cli::Failed;

/// What a body may have.
const BODY: usize = 8 << 20;

/// Serves until it is dropped.
pub(super) struct Http {
    address: String,
    server: AbortHandle,
}

impl Http {
    pub(super) async fn start(answers: Vec<Canned>, sent: Sent) -> Result<Self, Failed> {
        let cannot = |error: std::io::Error| miette::miette!("cannot serve http.json: {error}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(cannot)?;
        let address = format!("http://{}", listener.local_addr().map_err(cannot)?);
        let answers = Arc::new(answers);
        let router = axum::Router::new().fallback(move |request: Request| {
            let (answers, sent) = (Arc::clone(&answers), sent.clone());
            async move { answer(&answers, &sent, request).await }
        });
        let server = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Ok(Self { address, server })
    }

    /// `http://127.0.0.1:49152`
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Where it is.
    pub(super) fn networks() -> Vec<IpNet> {
        vec![IpNet::V4(Ipv4Net::from(Ipv4Addr::LOCALHOST))]
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Paths are compared, with the query: the port is another each time.
async fn answer(answers: &[Canned], sent: &Sent, request: Request) -> Response {
    let method = request.method().to_string();
    let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned();
    let body = axum::body::to_bytes(request.into_body(), BODY).await.unwrap_or_default();
    sent.note(&method, &path, Some(&body));
    let mut response = Response::new(Body::empty());
    let Some(canned) = Canned::find(answers, &method, &path) else {
        *response.status_mut() = StatusCode::NOT_FOUND;
        return response;
    };
    *response.status_mut() = StatusCode::from_u16(canned.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &canned.headers {
        if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(name), http::HeaderValue::try_from(value))
        {
            response.headers_mut().append(name, value);
        }
    }
    *response.body_mut() = Body::from(canned.bytes());
    response
}

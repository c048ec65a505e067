//! Sends the SDK's requests by reqwest, as all requests besides the proxy's own are sent: one pool, one way to TLS, and
//! what is wrong with a certificate is told instead of being a panic.

use std::error::Error;
use std::time::Duration;

use aws_sdk_s3::config::SharedHttpClient;
use aws_sdk_s3::error::ConnectorError;
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use reqwest::{Body, Certificate, Client, Request, redirect};

use super::BucketFault;

/// Connecting to the server.
const CONNECT: Duration = Duration::from_secs(2);

/// An HTTP client for the SDK that believes these authorities besides the machine's.
///
/// # Errors
/// They cannot be used.
pub(super) fn http(authorities: Option<&[u8]>) -> Result<SharedHttpClient, BucketFault> {
    let unusable = |error: reqwest::Error| BucketFault::Authorities(innermost(&error));
    let certificates = authorities.map(Certificate::from_pem_bundle).transpose().map_err(unusable)?;
    if certificates.as_ref().is_some_and(Vec::is_empty) {
        return Err(BucketFault::Authorities("no PEM certificate".to_owned()));
    }
    let client = Client::builder()
        // A signature is for one host; the SDK finds the right one by itself.
        .redirect(redirect::Policy::none())
        // Those of the environment would decide where protected data goes.
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT)
        .tls_certs_merge(certificates.unwrap_or_default())
        .build()
        .map_err(unusable)?;
    let connector = SharedHttpConnector::new(Connector(client));
    Ok(http_client_fn(move |_, _| connector.clone()))
}

#[derive(Debug)]
struct Connector(Client);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let request = Request::try_from(request.map(Body::wrap)).map_err(failed)?;
            let answer = reqwest_answer(client.execute(request).await.map_err(failed)?);
            HttpResponse::try_from(answer).map_err(|error| ConnectorError::io(error.into()))
        })
    }
}

fn reqwest_answer(answer: reqwest::Response) -> http::Response<SdkBody> {
    http::Response::<Body>::from(answer).map(SdkBody::from_body_1_x)
}

/// URLs hold keys: they are left out.
fn failed(error: reqwest::Error) -> ConnectorError {
    let error = error.without_url();
    if error.is_timeout() { ConnectorError::timeout(error.into()) } else { ConnectorError::io(error.into()) }
}

/// The cause that says most.
fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

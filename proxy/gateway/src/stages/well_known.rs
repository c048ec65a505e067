//! Tells applications how to get a token (SMART App Launch 2.2, Conformance).

use std::sync::Arc;

use fireguard_access::authentication::{Discovery, Rejection};
use fireguard_fhir::outcome::IssueCode;
use fireguard_traffic::body::{empty, full};
use http::header::{self, HeaderValue};
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::authentication::unavailable;
use crate::exchange::Entered;
use crate::failure::Failure;
use crate::stage::{Answer, Next, Stage};
use crate::state::Shared;

/// The stage. For everybody: it is what those read who have no token yet. Routes without an issuer have no such page.
pub struct WellKnown {
    shared: Arc<Shared>,
}

/// Below the base of a route.
const PATH: &str = "/.well-known/smart-configuration";

/// What we do whoever the issuer is: scopes of both versions, for a patient and for a user.
const OWN: [&str; 4] = ["permission-patient", "permission-user", "permission-v1", "permission-v2"];

impl WellKnown {
    /// With all routes.
    pub fn new(shared: &Arc<Shared>) -> Self {
        Self { shared: Arc::clone(shared) }
    }
}

impl Stage<Box<Entered>> for WellKnown {
    type Out = Box<Entered>;

    fn pass(&self, entered: Box<Entered>) -> Result<Box<Entered>, Box<Entered>> {
        let path = entered.parts.uri.path();
        let asks = path.ends_with(PATH)
            && self.shared.route(path).is_some_and(|(route, rest)| {
                rest == PATH && route.authentication.providers().next().is_some()
            });
        if asks { Err(entered) } else { Ok(entered) }
    }

    async fn handle<N: Next<Box<Entered>>>(self: Arc<Self>, entered: Box<Entered>, mut next: N) -> Answer {
        let route = self.shared.route(entered.parts.uri.path()).map(|(route, _)| Arc::clone(route));
        let Some(route) = route else { return next.call(entered).await };
        let _ = entered.facts.route.set(Arc::clone(&route.name));
        let head_only = entered.parts.method == Method::HEAD;
        if !head_only && entered.parts.method != Method::GET {
            let message = "this page can be read only";
            let mut failure =
                Failure::client(StatusCode::METHOD_NOT_ALLOWED, IssueCode::NotSupported, message);
            failure.allow = &["GET", "HEAD"];
            return Err(failure);
        }
        let mut found = None;
        for provider in route.authentication.providers() {
            match provider.discovery().await {
                // Applications can be told of one issuer only: the first that they can log in at.
                Ok(Some(discovery)) if discovery.token_endpoint.is_some() => {
                    found = Some((discovery, provider.settings().smart));
                    break;
                }
                Ok(_) | Err(Rejection::Invalid(_)) => {}
                Err(Rejection::Unavailable { retry_after }) => return Err(unavailable(retry_after)),
            }
        }
        let Some((discovery, smart)) = found else {
            let message = "the issuers of this route do not say how to get a token";
            return Err(Failure::client(StatusCode::NOT_FOUND, IssueCode::NotFound, message));
        };
        let text = configuration(&discovery, smart).to_string();
        let mut response = Response::new(empty());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
        if !head_only {
            *response.body_mut() = full(text);
        }
        Ok(response)
    }
}

/// What the issuer says of itself, in SMART's words, and what we do.
fn configuration(discovery: &Discovery, smart: bool) -> Value {
    let logs_in = discovery.authorization_endpoint.is_some();
    let method =
        |name: &str| discovery.token_endpoint_auth_methods_supported.iter().any(|known| known == name);
    let mut capabilities: Vec<&str> = if smart { OWN.to_vec() } else { Vec::new() };
    for (capability, there) in [
        ("launch-standalone", logs_in),
        ("sso-openid-connect", logs_in && discovery.jwks_uri().is_some()),
        // Discovery 1.0 has no word for clients without a secret: PKCE is for them.
        ("client-public", logs_in && discovery.code_challenge_methods_supported.iter().any(|m| m == "S256")),
        ("client-confidential-symmetric", method("client_secret_basic")),
        ("client-confidential-asymmetric", method("private_key_jwt")),
    ] {
        capabilities.extend(there.then_some(capability));
    }
    let mut said = json!({
        "issuer": discovery.issuer(),
        "jwks_uri": discovery.jwks_uri(),
        "authorization_endpoint": discovery.authorization_endpoint,
        "token_endpoint": discovery.token_endpoint,
        "introspection_endpoint": discovery.introspection_endpoint,
        "revocation_endpoint": discovery.revocation_endpoint,
        "registration_endpoint": discovery.registration_endpoint,
        "management_endpoint": discovery.management_endpoint,
        "token_endpoint_auth_methods_supported": discovery.token_endpoint_auth_methods_supported,
        "grant_types_supported": discovery.grant_types_supported,
        "scopes_supported": discovery.scopes_supported,
        "response_types_supported": if logs_in { vec!["code"] } else { Vec::new() },
        // "plain" must not be there.
        "code_challenge_methods_supported": ["S256"],
        "capabilities": capabilities,
    });
    if let Value::Object(said) = &mut said {
        said.retain(|_, value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()));
    }
    said
}

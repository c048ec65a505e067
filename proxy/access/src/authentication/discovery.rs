//! What an issuer publishes of itself (OpenID Connect Discovery 1.0 §4, RFC 8414 §3).

use serde::Deserialize;

use super::fetch::{Fetch, Question};

/// The document, as far as it matters here or to SMART applications.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Discovery {
    /// Whose it is.
    issuer: String,
    /// Where its keys are.
    jwks_uri: Option<String>,
    /// Where it is asked about tokens.
    pub introspection_endpoint: Option<String>,
    /// Where users log in.
    pub authorization_endpoint: Option<String>,
    /// Where tokens are given.
    pub token_endpoint: Option<String>,
    /// Where users see and take back what they have granted.
    pub management_endpoint: Option<String>,
    /// Where applications register.
    pub registration_endpoint: Option<String>,
    /// Where tokens are revoked.
    pub revocation_endpoint: Option<String>,
    /// How tokens are got.
    #[serde(default)]
    pub grant_types_supported: Vec<String>,
    /// How clients show who they are.
    #[serde(default)]
    pub token_endpoint_auth_methods_supported: Vec<String>,
    /// How codes are protected (RFC 7636).
    #[serde(default)]
    pub code_challenge_methods_supported: Vec<String>,
    /// The scopes it knows.
    #[serde(default)]
    pub scopes_supported: Vec<String>,
}

impl Discovery {
    /// Whose it is.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Where its keys are.
    pub fn jwks_uri(&self) -> Option<&str> {
        self.jwks_uri.as_deref()
    }
}

/// The issuer did not say what it should. The reason is for the log.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum NotFound {
    /// It was not reached.
    #[error("{url}: {reason}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// What the connection says.
        reason: String,
    },
    /// It answered something else.
    #[error("{url} answered {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// The status.
        status: u16,
    },
    /// What it answered cannot be used.
    #[error("{url}: {reason}")]
    Unusable {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Finds the document of an issuer.
///
/// # Errors
/// There is none, or it is of another issuer.
pub(super) async fn discover(fetch: &dyn Fetch, issuer: &str) -> Result<Discovery, NotFound> {
    let plain = issuer.trim_end_matches('/');
    let mut answer = get(fetch, format!("{plain}/.well-known/openid-configuration")).await;
    if let (Err(NotFound::Status { status: 404, .. }), Some(url)) = (&answer, by_rfc_8414(plain)) {
        answer = get(fetch, url).await;
    }
    let (url, body) = answer?;
    let unusable = |reason: &str| NotFound::Unusable { url: url.clone(), reason: reason.to_owned() };
    let document: Discovery =
        serde_json::from_slice(&body).map_err(|_| unusable("it is no discovery document"))?;
    // RFC 8414 §3.3: otherwise one issuer could speak for another.
    if document.issuer != issuer {
        return Err(unusable("it is the document of another issuer than the configured one"));
    }
    let near = |url: &Option<String>| {
        url.as_ref().is_none_or(|url| url.starts_with("https://") || issuer.starts_with("http://"))
    };
    if !near(&document.jwks_uri) || !near(&document.introspection_endpoint) {
        return Err(unusable("it leads to http://, where anyone on the way could answer"));
    }
    Ok(document)
}

/// What is at a URL, with the URL.
pub(super) async fn get(fetch: &dyn Fetch, url: String) -> Result<(String, Vec<u8>), NotFound> {
    match fetch.fetch(Question::Get(url.clone())).await {
        Ok(answer) if answer.status == 200 => Ok((url, answer.body)),
        Ok(answer) => Err(NotFound::Status { url, status: answer.status }),
        Err(reason) => Err(NotFound::Unreachable { url, reason: reason.to_string() }),
    }
}

/// RFC 8414 §3.1 puts the well-known part between host and path.
fn by_rfc_8414(issuer: &str) -> Option<String> {
    let (scheme, rest) = issuer.split_once("://")?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    Some(format!("{scheme}://{host}/.well-known/oauth-authorization-server{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_place() {
        for (issuer, url) in [
            ("https://id.example", "https://id.example/.well-known/oauth-authorization-server"),
            ("https://id.example/a/b", "https://id.example/.well-known/oauth-authorization-server/a/b"),
        ] {
            assert_eq!(by_rfc_8414(issuer).as_deref(), Some(url));
        }
    }
}

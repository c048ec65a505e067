//! Who we say we are to a FHIR server, as it is configured.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use jsonwebtoken::{Algorithm, EncodingKey};
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;
use zeroize::Zeroizing;

use super::Problem;
use super::issuers::secure_url;
use super::resolve::Resolver;
use super::units::{Secret, SecretSource};

/// Who we say we are to a FHIR server: one of these.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// A user and its password (RFC 7617).
    pub basic: Option<Basic>,
    /// A token that we get for ourselves (OAuth 2.0 client credentials, RFC 6749 §4.4).
    pub client_credentials: Option<ClientCredentials>,
}

/// A user and its password.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// The user's name.
    #[schemars(with = "String")]
    pub user: Spanned<String>,
    /// Its password: `file:PATH` or `env:NAME`.
    #[schemars(with = "SecretSource")]
    pub password: Spanned<SecretSource>,
}

/// A token that we get for ourselves.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientCredentials {
    /// Where tokens are got.
    #[schemars(with = "String")]
    pub token_url: Spanned<String>,
    /// Our name there.
    pub client_id: String,
    /// Our secret there: `file:PATH` or `env:NAME`.
    #[schemars(with = "Option<SecretSource>")]
    pub client_secret: Option<Spanned<SecretSource>>,
    /// Or a key with which we sign that it is us (`private_key_jwt`, RFC 7523 §2.2).
    pub private_key_jwt: Option<PrivateKeyJwt>,
    /// What is asked for: `system/*.rs`.
    pub scope: Option<String>,
}

/// A key with which we sign that it is us.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrivateKeyJwt {
    /// The private key (PEM; RSA, or EC on P-384 or P-256): `file:PATH` or `env:NAME`.
    #[schemars(with = "SecretSource")]
    pub key: Spanned<SecretSource>,
    /// The key's id, as the token server knows it.
    pub kid: Option<String>,
}

/// Who we say we are, its secrets read.
#[derive(Clone)]
pub enum ServerCredentials {
    /// Always the same.
    Fixed(HeaderValue),
    /// By a token.
    Token(TokenSource),
}

/// Where our token comes from.
#[derive(Clone)]
pub struct TokenSource {
    /// Where tokens are got.
    pub url: String,
    /// Our name there.
    pub client_id: String,
    /// How we show that it is us.
    pub proof: Proof,
    /// What is asked for.
    pub scope: Option<String>,
}

/// How we show to a token server that it is us.
#[derive(Clone)]
pub enum Proof {
    /// By a secret.
    Secret(Zeroizing<String>),
    /// By a signature.
    Key {
        /// The key.
        key: EncodingKey,
        /// What it was made of; says whether two are the same.
        pem: Secret,
        /// What it signs by.
        algorithm: Algorithm,
        /// Its id.
        kid: Option<String>,
    },
}

impl Resolver<'_> {
    /// Who we say we are to a server.
    pub(super) fn credentials(&mut self, written: &Spanned<Credentials>) -> Option<ServerCredentials> {
        match written.get_ref() {
            Credentials { basic: Some(basic), client_credentials: None } => self.basic(basic),
            Credentials { basic: None, client_credentials: Some(token) } => {
                self.token_source(token, written.span()).map(ServerCredentials::Token)
            }
            _ => {
                let message = "credentials are either basic or client_credentials";
                self.problems.push(Problem::at(written.span(), message));
                None
            }
        }
    }

    fn basic(&mut self, basic: &Basic) -> Option<ServerCredentials> {
        let password = self.secret(&basic.password)?;
        let user = basic.user.get_ref();
        if user.contains(':') || user.chars().any(char::is_control) {
            self.problem(&basic.user, "the name of a user has no colon");
            return None;
        }
        let pair = Zeroizing::new([user.as_bytes(), b":", password.expose()].concat());
        let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(&*pair)));
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        Some(ServerCredentials::Fixed(value))
    }

    fn token_source(
        &mut self,
        token: &ClientCredentials,
        span: std::ops::Range<usize>,
    ) -> Option<TokenSource> {
        let url = self.parsed(&token.token_url, secure_url);
        let proof = match (&token.client_secret, &token.private_key_jwt) {
            (Some(source), None) => {
                let secret = self.secret(source)?;
                let text = String::from_utf8(secret.expose().to_vec()).map(Zeroizing::new);
                if text.is_err() {
                    self.problems.push(Problem::at(source.span(), "the secret is no text"));
                }
                Proof::Secret(text.ok()?)
            }
            (None, Some(PrivateKeyJwt { key, kid })) => {
                let pem = self.secret(key)?;
                let Some((algorithm, made)) = signing(pem.expose()) else {
                    let message = "the key is no private key in PEM: RSA, or EC on P-384 or P-256";
                    self.problems.push(Problem::at(key.span(), message));
                    return None;
                };
                Proof::Key { key: made, pem, algorithm, kid: kid.clone() }
            }
            _ => {
                let message = "client_credentials have either a client_secret or a private_key_jwt";
                self.problems.push(Problem::at(span, message));
                return None;
            }
        };
        Some(TokenSource { url: url?, client_id: token.client_id.clone(), proof, scope: token.scope.clone() })
    }
}

/// What a private key signs by: SMART asks for RS384 or ES384 (Backend Services §4.1.1).
fn signing(pem: &[u8]) -> Option<(Algorithm, EncodingKey)> {
    if let Ok(key) = EncodingKey::from_rsa_pem(pem) {
        return works(Algorithm::RS384, key);
    }
    let key = EncodingKey::from_ec_pem(pem).ok()?;
    works(Algorithm::ES384, key.clone()).or_else(|| works(Algorithm::ES256, key))
}

/// Whether the key can sign by this algorithm: a try tells what curve it is on.
fn works(algorithm: Algorithm, key: EncodingKey) -> Option<(Algorithm, EncodingKey)> {
    let claims = serde_json::json!({});
    let signs = jsonwebtoken::encode(&jsonwebtoken::Header::new(algorithm), &claims, &key).is_ok();
    signs.then_some((algorithm, key))
}

impl PartialEq for ServerCredentials {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Fixed(one), Self::Fixed(other)) => one == other,
            (Self::Token(one), Self::Token(other)) => one == other,
            _ => false,
        }
    }
}

impl PartialEq for TokenSource {
    fn eq(&self, other: &Self) -> bool {
        let proof = match (&self.proof, &other.proof) {
            (Proof::Secret(one), Proof::Secret(other)) => one == other,
            (Proof::Key { pem: one, kid: a, .. }, Proof::Key { pem: other, kid: b, .. }) => {
                one.expose() == other.expose() && a == b
            }
            _ => false,
        };
        proof && (&self.url, &self.client_id, &self.scope) == (&other.url, &other.client_id, &other.scope)
    }
}

impl fmt::Debug for ServerCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixed(_) => "basic",
            Self::Token(_) => "client_credentials",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_signs_by_what_it_is() {
        for (algorithm, expected) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, Some(Algorithm::ES256)),
            (&rcgen::PKCS_ECDSA_P384_SHA384, Some(Algorithm::ES384)),
            (&rcgen::PKCS_ED25519, None),
        ] {
            let pem = rcgen::KeyPair::generate_for(algorithm).unwrap().serialize_pem();
            assert_eq!(signing(pem.as_bytes()).map(|(algorithm, _)| algorithm), expected);
        }
        assert!(signing(b"hunter2").is_none());
    }
}

//! What is believed of an issuer's tokens.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

/// An issuer, and what is believed of its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerSettings {
    /// Its name in the configuration, in logs and metrics.
    pub name: Arc<str>,
    /// Its URL, as its tokens say it in `iss`.
    pub url: Arc<str>,
    /// What a token must be meant for (`aud`): one of these. Never empty.
    pub audience: BTreeSet<String>,
    /// The clients whose tokens are taken; none: all.
    pub clients: Option<BTreeSet<String>>,
    /// What may sign. Never empty.
    pub algorithms: BTreeSet<Algorithm>,
    /// How far its clock and ours may be apart.
    pub clock_skew: Duration,
    /// Where its keys are; none: where its discovery document says.
    pub keys: Option<String>,
    /// How long keys are used when it cannot be asked for newer ones.
    pub keys_stale: Duration,
    /// How it is asked about tokens; none: it is not.
    pub introspection: Option<IntrospectionSettings>,
    /// Scopes grant what SMART App Launch says; otherwise they grant nothing, and policies alone decide.
    pub smart: bool,
    /// Where in its tokens to look.
    pub claims: ClaimPaths,
}

/// How an issuer is asked about tokens (RFC 7662).
#[derive(Clone, PartialEq, Eq)]
pub struct IntrospectionSettings {
    /// Where; none: where its discovery document says.
    pub url: Option<String>,
    /// Our own name there.
    pub client_id: String,
    /// Our secret there.
    pub client_secret: Zeroizing<String>,
    /// About JWTs as well, when their signature is good.
    pub all: bool,
}

/// Where in an issuer's tokens to look, as JSON pointers (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPaths {
    /// The roles.
    pub roles: String,
    /// The organisation.
    pub tenant: String,
    /// The patient in context.
    pub patient: String,
    /// The resource that stands for the user.
    pub fhir_user: String,
    /// What for.
    pub purpose: String,
}

/// An algorithm that tokens may be signed with (RFC 7518 §3.1): asymmetric ones only, so that a public key can never
/// be taken for a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// RSA, PKCS#1 v1.5, SHA-256.
    Rs256,
    /// RSA, PKCS#1 v1.5, SHA-384.
    Rs384,
    /// RSA, PKCS#1 v1.5, SHA-512.
    Rs512,
    /// RSA, PSS, SHA-256.
    Ps256,
    /// RSA, PSS, SHA-384.
    Ps384,
    /// RSA, PSS, SHA-512.
    Ps512,
    /// ECDSA, P-256.
    Es256,
    /// ECDSA, P-384.
    Es384,
    /// Ed25519 (RFC 8037).
    EdDsa,
}

impl Default for ClaimPaths {
    /// Where Keycloak puts roles; a SMART server puts the rest there.
    fn default() -> Self {
        Self {
            roles: "/realm_access/roles".to_owned(),
            tenant: "/tenant".to_owned(),
            patient: "/patient".to_owned(),
            fhir_user: "/fhirUser".to_owned(),
            // IHE IUA 2.2 §3.71.4.2.2.1.
            purpose: "/extensions/ihe_iua/purpose_of_use".to_owned(),
        }
    }
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// Its name in tokens and in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Debug for IntrospectionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionSettings").field("url", &self.url).finish_non_exhaustive()
    }
}

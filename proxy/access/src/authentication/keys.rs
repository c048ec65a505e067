//! The keys of an issuer (RFC 7517), and what each of them may have signed.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{DecodingKey, crypto};
use serde_json::Value;

use super::jwt::Jwt;
use super::rejection::Why;
use super::settings::Algorithm;

/// More keys than any issuer has at once.
const MOST: usize = 200;
/// A shorter modulus can be factored (RFC 7518 §3.3), in bytes.
const SHORTEST_MODULUS: usize = 2048 / 8;

/// The keys of an issuer that can verify.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// What it can be used with: a matter of the key, never of a token.
    fits: Vec<Algorithm>,
    key: DecodingKey,
}

/// It is no set of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what it calls its keys is no JWK set with a key for a signature")]
pub(super) struct NoKeys;

/// None of the keys is the one that a token names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UnknownKey;

impl KeySet {
    /// Those that can verify; others are left out.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn parse(json: &[u8]) -> Result<Self, NoKeys> {
        let set: Value = serde_json::from_slice(json).map_err(|_| NoKeys)?;
        let keys = set["keys"].as_array().ok_or(NoKeys)?;
        let keys: Vec<_> = keys.iter().take(MOST).filter_map(Key::parse).collect();
        if keys.is_empty() { Err(NoKeys) } else { Ok(Self(keys)) }
    }

    /// Whether one of the keys has signed it, by an algorithm of the list.
    ///
    /// # Errors
    /// There is no such key: newer ones may have it. Or, inside: it was not signed so.
    pub(super) fn verify(
        &self,
        jwt: &Jwt<'_>,
        allowed: impl Fn(Algorithm) -> bool,
    ) -> Result<Result<(), Why>, UnknownKey> {
        let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == jwt.algorithm);
        let Some(algorithm) = algorithm.filter(|algorithm| allowed(*algorithm)) else {
            return Ok(Err(Why::Algorithm));
        };
        let key = match &jwt.key {
            Some(id) => {
                let mut named = self.0.iter().filter(|key| key.id.as_ref() == Some(id)).peekable();
                if named.peek().is_none() {
                    return Err(UnknownKey);
                }
                named.find(|key| key.fits.contains(&algorithm))
            }
            // RFC 7515 §4.1.4 does not ask for a name: then there must be one key only that it can be.
            None => {
                let mut fitting = self.0.iter().filter(|key| key.fits.contains(&algorithm));
                fitting.next().filter(|_| fitting.next().is_none())
            }
        };
        let Some(key) = key else { return Ok(Err(Why::Algorithm)) };
        let good = crypto::verify(jwt.signature, jwt.message.as_bytes(), &key.key, algorithm.into());
        Ok(if good.is_ok_and(|good| good) { Ok(()) } else { Err(Why::Signature) })
    }
}

impl Key {
    fn parse(json: &Value) -> Option<Self> {
        let key: Jwk = serde_json::from_value(json.clone()).ok()?;
        let common = &key.common;
        if common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
            return None;
        }
        if common.key_operations.as_ref().is_some_and(|able| !able.contains(&KeyOperations::Verify)) {
            return None;
        }
        use Algorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
        let mut fits = match &key.algorithm {
            AlgorithmParameters::RSA(_) => vec![Rs256, Rs384, Rs512, Ps256, Ps384, Ps512],
            AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => vec![Es256],
            AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P384 => vec![Es384],
            AlgorithmParameters::OctetKeyPair(curve) if curve.curve == EllipticCurve::Ed25519 => vec![EdDsa],
            // Above all a secret: whoever can read it can sign by it.
            _ => return None,
        };
        if let Some(one) = json["alg"].as_str() {
            fits.retain(|algorithm| algorithm.as_str() == one);
        }
        let decoding = DecodingKey::from_jwk(&key).ok()?;
        let short = match decoding.kind() {
            jsonwebtoken::DecodingKeyKind::RsaModulusExponent { n, .. } => n.len() < SHORTEST_MODULUS,
            jsonwebtoken::DecodingKeyKind::SecretOrDer(_) => false,
        };
        (!fits.is_empty() && !short).then(|| Self { id: common.key_id.clone(), fits, key: decoding })
    }
}

impl From<Algorithm> for jsonwebtoken::Algorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Rs256 => Self::RS256,
            Algorithm::Rs384 => Self::RS384,
            Algorithm::Rs512 => Self::RS512,
            Algorithm::Ps256 => Self::PS256,
            Algorithm::Ps384 => Self::PS384,
            Algorithm::Ps512 => Self::PS512,
            Algorithm::Es256 => Self::ES256,
            Algorithm::Es384 => Self::ES384,
            Algorithm::EdDsa => Self::EdDSA,
        }
    }
}

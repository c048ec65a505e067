//! Keys of an issuer, made by chance.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A key that signs.
pub struct Key {
    id: String,
    pair: Pair,
}

enum Pair {
    Es256(Box<EcdsaKeyPair>),
    Rs256(Box<RsaKeyPair>),
    EdDsa(Box<Ed25519KeyPair>),
}

impl Key {
    /// One for ES256.
    ///
    /// # Panics
    /// The machine has no chance to offer.
    pub fn es256(id: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Self::new(id, pair.ok().map(|pair| Pair::Es256(Box::new(pair))))
    }

    /// One for RS256, of 2048 bits.
    ///
    /// # Panics
    /// As [`Key::es256`].
    pub fn rs256(id: &str) -> Self {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048);
        Self::new(id, pair.ok().map(|pair| Pair::Rs256(Box::new(pair))))
    }

    /// One for EdDSA.
    ///
    /// # Panics
    /// As [`Key::es256`].
    pub fn ed25519(id: &str) -> Self {
        Self::new(id, Ed25519KeyPair::generate().ok().map(|pair| Pair::EdDsa(Box::new(pair))))
    }

    #[expect(clippy::expect_used, reason = "a test cannot go on without a key")]
    fn new(id: &str, pair: Option<Pair>) -> Self {
        Self { id: id.to_owned(), pair: pair.expect("a key by chance") }
    }

    /// Its `kid`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its `alg`.
    pub fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Es256(_) => "ES256",
            Pair::Rs256(_) => "RS256",
            Pair::EdDsa(_) => "EdDSA",
        }
    }

    /// The signature of a message; empty if it cannot be made.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Es256(pair) => pair.sign(&random, message).map(|s| s.as_ref().to_vec()).unwrap_or_default(),
            Pair::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature);
                signed.map(|()| signature).unwrap_or_default()
            }
        }
    }

    /// The public key as a JWK (RFC 7517).
    pub fn public(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut key = match &self.pair {
            Pair::Es256(pair) => {
                // A point without compression: 4, x, y.
                let point = pair.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..]) })
            }
            Pair::Rs256(pair) => {
                // DER of a sequence of two integers, which for 2048 bits always has this form.
                let key = pair.public_key().as_ref();
                json!({ "kty": "RSA", "n": text(&key[9..265]), "e": text(&key[267..]) })
            }
            Pair::EdDsa(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": text(pair.public_key().as_ref()) })
            }
        };
        key["kid"] = self.id.as_str().into();
        key["alg"] = self.algorithm().into();
        key["use"] = "sig".into();
        key
    }

    /// A signature by HMAC with the bytes of the public key: what one forges who takes the key of one algorithm for
    /// the secret of another.
    pub fn confused(&self, message: &[u8]) -> Vec<u8> {
        let public = match &self.pair {
            Pair::Es256(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Rs256(pair) => pair.public_key().as_ref().to_vec(),
            Pair::EdDsa(pair) => pair.public_key().as_ref().to_vec(),
        };
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), message).as_ref().to_vec()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

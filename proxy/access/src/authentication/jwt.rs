//! A JWT as it comes (RFC 7515 §7.1, RFC 7519): taken apart, believed in nothing.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::rejection::Why;

/// The longest token that is looked at, in bytes.
const LONGEST: usize = 16 << 10;

/// What `typ` may be, without regard to case: RFC 9068 §2.1, and what most issuers write.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// A JWT whose signature nobody has checked.
#[derive(Debug)]
pub(super) struct Jwt<'t> {
    /// Header and claims as they were signed.
    pub(super) message: &'t str,
    /// The signature, in base64url.
    pub(super) signature: &'t str,
    /// What it says it was signed with. The key decides whether that can be.
    pub(super) algorithm: String,
    /// The key's name.
    pub(super) key: Option<String>,
    /// What it says.
    pub(super) claims: Map<String, Value>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

impl<'t> Jwt<'t> {
    /// Takes it apart; none: it is no JWT, and may be a token of another form.
    ///
    /// # Errors
    /// It is one that nobody could vouch for.
    pub(super) fn parse(token: &'t str) -> Result<Option<Self>, Why> {
        if token.len() > LONGEST {
            return Err(Why::TooLong);
        }
        let Some((message, signature)) = token.rsplit_once('.') else { return Ok(None) };
        let Some((header, payload)) = message.split_once('.') else { return Ok(None) };
        if payload.contains('.') {
            return Ok(None);
        }
        let Some(header) = decode::<Header>(header) else { return Ok(None) };
        let Some(claims) = decode(payload) else { return Err(Why::Malformed) };
        // RFC 7515 §4.1.11: who does not know what is critical must refuse it, and we know none.
        if header.crit.is_some() {
            return Err(Why::Critical);
        }
        if header.typ.is_some_and(|kind| !TYPES.contains(&kind.to_ascii_lowercase().as_str())) {
            return Err(Why::Kind);
        }
        Ok(Some(Self { message, signature, algorithm: header.alg, key: header.kid, claims }))
    }

    /// Who it says has signed it.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn token(header: &Value, claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(&header.to_string()), part(claims), part("x"))
    }

    #[test]
    fn kinds_of_tokens() {
        let good = json!({ "alg": "ES256", "kid": "k", "typ": "at+jwt" });
        let kind = |typ: Value| json!({ "alg": "ES256", "typ": typ });
        let critical = json!({ "alg": "ES256", "crit": ["b64"], "b64": false });
        for (token, expected) in [
            (token(&good, "{}"), Ok(true)),
            (token(&kind(json!("JWT")), "{}"), Ok(true)),
            (token(&json!({ "alg": "ES256" }), "{}"), Ok(true)),
            (token(&kind(json!("logout+jwt")), "{}"), Err(Why::Kind)),
            (token(&kind(json!("dpop+jwt")), "{}"), Err(Why::Kind)),
            (token(&critical, "{}"), Err(Why::Critical)),
            (token(&json!({ "alg": "ES256", "crit": [] }), "{}"), Err(Why::Critical)),
            (token(&good, "[]"), Err(Why::Malformed)),
            (token(&good, "{"), Err(Why::Malformed)),
            (token(&json!({ "typ": "JWT" }), "{}"), Ok(false)),
            (token(&json!({ "alg": 1 }), "{}"), Ok(false)),
            (token(&json!("x"), "{}"), Ok(false)),
            ("opaque".to_owned(), Ok(false)),
            ("a.b.c".to_owned(), Ok(false)),
            ("a.b.c.d.e".to_owned(), Ok(false)),
            (String::new(), Ok(false)),
            ("x".repeat(LONGEST + 1), Err(Why::TooLong)),
        ] {
            assert_eq!(Jwt::parse(&token).map(|jwt| jwt.is_some()), expected, "{token}");
        }
    }

    proptest! {
        #[test]
        fn anything_is_read_without_harm(token in "\\PC{0,200}") {
            let _ = Jwt::parse(&token);
        }

        #[test]
        fn what_was_signed_is_what_came(claims in "\\{\"iss\":\"[a-z]{0,9}\"\\}") {
            let token = token(&json!({ "alg": "ES256" }), &claims);
            let jwt = Jwt::parse(&token).unwrap().unwrap();
            prop_assert_eq!(format!("{}.{}", jwt.message, jwt.signature), token.as_str());
        }
    }
}

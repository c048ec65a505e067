//! The tokens that users of a file get when they log in: JWT, signed with HMAC-SHA-256 by us and for us, and good for
//! minutes.
//!
//! A token says who, and nothing of what one may do: that is in the file. It ends with a change of the password.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::users::{User, Users};
use crate::principal::Principal;

/// Who vouches for users of a file.
pub const ISSUER: &str = "local";
/// What these tokens are, in their heads: no token of anybody else's says so.
const KIND: &str = "fireguard-user+jwt";
/// Whom they are for.
const AUDIENCE: &str = "fireguard";

/// Logs users in, and knows them again.
pub struct Sessions {
    users: Users,
    signs: EncodingKey,
    checks: DecodingKey,
    lifetime: Duration,
}

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    iat: u64,
    exp: u64,
    /// Of the password it was got for: with another one it is void.
    pwd: String,
}

/// A token is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotGood {
    /// It was not made here, or was changed.
    #[error("the token is not one of ours")]
    Foreign,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// Its user is not there any more, or has another password.
    #[error("the token is not good any more")]
    Revoked,
}

/// A token, and how long it is good.
#[derive(Clone)]
pub struct Issued {
    /// The token.
    pub token: String,
    /// For so long.
    pub lifetime: Duration,
}

/// No token could be made.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("no token can be made")]
pub struct NoToken;

impl Sessions {
    /// For these users; tokens are signed with a key made of `secret`, and are good for `lifetime`.
    pub fn new(users: Users, secret: &[u8], lifetime: Duration) -> Self {
        let mut digest = Sha256::new_with_prefix(b"fireguard user tokens v1\0");
        digest.update(secret);
        let key = Zeroizing::new(digest.finalize().to_vec());
        let (signs, checks) = (EncodingKey::from_secret(&key), DecodingKey::from_secret(&key));
        Self { users, signs, checks, lifetime }
    }

    /// Who may log in.
    pub fn users(&self) -> &Users {
        &self.users
    }

    /// Whether a token claims to be one of these; it is not checked.
    pub fn is_ours(token: &str) -> bool {
        decode_header(token).is_ok_and(|header| header.typ.as_deref() == Some(KIND))
    }

    /// A token for this user.
    ///
    /// # Errors
    /// The library refuses.
    pub fn issue(&self, user: &User) -> Result<Issued, NoToken> {
        self.issue_at(user, SystemTime::now())
    }

    /// Who a token was made for.
    ///
    /// # Errors
    /// Nobody, or not any more.
    pub fn check(&self, token: &str) -> Result<Principal, NotGood> {
        self.check_at(token, SystemTime::now())
    }

    fn issue_at(&self, user: &User, now: SystemTime) -> Result<Issued, NoToken> {
        let header = Header { typ: Some(KIND.to_owned()), ..Header::new(Algorithm::HS256) };
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: user.name.to_string(),
            aud: AUDIENCE.to_owned(),
            iat: seconds(now),
            exp: seconds(now + self.lifetime),
            pwd: of_password(user),
        };
        let token = encode(&header, &claims, &self.signs).map_err(|_| NoToken)?;
        Ok(Issued { token, lifetime: self.lifetime })
    }

    fn check_at(&self, token: &str, now: SystemTime) -> Result<Principal, NotGood> {
        if !Self::is_ours(token) {
            return Err(NotGood::Foreign);
        }
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        // By the clock that is given.
        validation.validate_exp = false;
        let claims = decode::<Claims>(token, &self.checks, &validation).map_err(|_| NotGood::Foreign)?.claims;
        let until = UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp)).ok_or(NotGood::Foreign)?;
        if until <= now {
            return Err(NotGood::Expired);
        }
        let user = self.users.get(&claims.sub).filter(|user| of_password(user) == claims.pwd);
        let user = user.ok_or(NotGood::Revoked)?;
        Ok(Principal {
            issuer: ISSUER.into(),
            subject: Arc::clone(&user.name),
            client: None,
            roles: user.roles.clone(),
            tenant: user.tenant.clone(),
            fhir_user: user.fhir_user.clone(),
            patient: user.patient.clone(),
            purposes: BTreeSet::new(),
            bound_to: None,
            scopes: user.scopes.clone(),
            expires: Some(until),
        })
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("users", &self.users).finish_non_exhaustive()
    }
}

/// Names a password as it is kept, salt and all, without telling it.
fn of_password(user: &User) -> String {
    let digest = Sha256::digest(user.password.as_str());
    URL_SAFE_NO_PAD.encode(&digest[..9])
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authentication::password::Kept;

    const QUARTER: Duration = Duration::from_secs(900);

    fn users(password: &str, roles: &str) -> Users {
        let kept = Kept::of(password.as_bytes()).unwrap();
        Users::parse(&format!("[users.ann]\npassword = {:?}\nroles = {roles}\n", kept.as_str())).unwrap()
    }

    #[test]
    fn a_token_is_good_for_its_user_and_its_time() {
        let (users, now) = (users("a", "[\"nurse\"]"), SystemTime::now());
        let sessions = Sessions::new(users.clone(), b"key", QUARTER);
        let Issued { token, lifetime } = sessions.issue_at(users.get("ann").unwrap(), now).unwrap();
        assert_eq!(lifetime, QUARTER);
        let principal = sessions.check_at(&token, now).unwrap();
        assert_eq!((&*principal.issuer, &*principal.subject), ("local", "ann"));
        assert!(principal.roles.contains("nurse") && principal.scopes.is_none());
        assert_eq!(sessions.check_at(&token, now + QUARTER), Err(NotGood::Expired));
        assert!(sessions.check_at(&token, now + QUARTER - Duration::from_secs(2)).is_ok());

        let other = Sessions::new(users.clone(), b"other key", QUARTER);
        assert_eq!(other.check_at(&token, now), Err(NotGood::Foreign));
        let same = Sessions::new(users, b"key", QUARTER);
        assert!(same.check_at(&token, now).is_ok(), "another node with the same key");
    }

    #[test]
    fn a_change_of_the_file_counts_at_once() {
        let now = SystemTime::now();
        let before = users("a", "[\"nurse\"]");
        let token = Sessions::new(before.clone(), b"key", QUARTER);
        let token = token.issue_at(before.get("ann").unwrap(), now).unwrap().token;
        let kept = before.get("ann").unwrap().password.as_str();
        let after =
            |text: &str| Sessions::new(Users::parse(text).unwrap(), b"key", QUARTER).check_at(&token, now);
        assert_eq!(after(""), Err(NotGood::Revoked));
        let roles = after(&format!("[users.ann]\npassword = {kept:?}\nroles = [\"clerk\"]\n")).unwrap().roles;
        assert!(roles.contains("clerk") && roles.len() == 1);
        let changed = Sessions::new(users("b", "[]"), b"key", QUARTER).check_at(&token, now);
        assert_eq!(changed, Err(NotGood::Revoked));
    }

    #[test]
    fn what_was_not_made_here_is_foreign() {
        let (users, now) = (users("a", "[]"), SystemTime::now());
        let sessions = Sessions::new(users.clone(), b"key", QUARTER);
        let token = sessions.issue_at(users.get("ann").unwrap(), now).unwrap().token;
        let parts: Vec<_> = token.split('.').collect();
        let header = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let none = header(r#"{"typ":"fireguard-user+jwt","alg":"none"}"#);
        let untyped = header(r#"{"typ":"JWT","alg":"HS256"}"#);
        let longer = header(r#"{"typ":"fireguard-user+jwt","alg":"HS512"}"#);
        let claims = parts[1];
        for bad in [
            String::new(),
            "x.y.z".to_owned(),
            format!("{none}.{claims}."),
            format!("{none}.{claims}.{}", parts[2]),
            format!("{untyped}.{claims}.{}", parts[2]),
            format!("{longer}.{claims}.{}", parts[2]),
            format!("{}.{claims}.", parts[0]),
            format!("{}x", token),
            token[..token.len() - 1].to_owned(),
        ] {
            assert_eq!(sessions.check_at(&bad, now), Err(NotGood::Foreign), "{bad}");
        }
        // Signed with our key, but saying something else.
        for (iss, aud) in [("elsewhere", AUDIENCE), (ISSUER, "elsewhere")] {
            let (iss, aud, sub, pwd) = (iss.to_owned(), aud.to_owned(), "ann".to_owned(), String::new());
            let claims = Claims { iss, sub, aud, iat: 0, exp: u64::MAX / 2, pwd };
            let header = Header { typ: Some(KIND.to_owned()), ..Header::new(Algorithm::HS256) };
            let token = encode(&header, &claims, &sessions.signs).unwrap();
            assert_eq!(sessions.check_at(&token, now), Err(NotGood::Foreign));
        }
    }
}

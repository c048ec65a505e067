//! Links to further pages, sealed.
//!
//! HAPI's links name a search by a UUID that anybody may follow, on any route, at any offset. Callers get an
//! encrypted and authenticated token instead (AES-256-GCM with a random 96-bit nonce), which is good for one
//! route and one server and for a limited time. Nodes that share keys open each other's.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fireguard_fhir::interaction::{Refusal, SealPages};
use fireguard_fhir::outcome::IssueCode;
use zeroize::Zeroizing;

use crate::config::units::Secret;

const VERSION: u8 = 1;
/// Version, id of the key.
const HEAD: usize = 1 + KEY_ID;
const KEY_ID: usize = 4;
const NONCE: usize = 12;
const TAG: usize = 16;
/// A time stamp: seconds since 1970, big endian.
const TIME: usize = 8;

/// The keys: the first seals, all open.
pub struct KeyRing {
    keys: Vec<Key>,
    lifetime: Duration,
}

struct Key {
    id: [u8; KEY_ID],
    aead: RandomizedNonceKey,
}

/// A key could not be made of a secret.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("no key for page links can be made")]
pub struct NoKey;

/// What a token is good for.
pub struct Binding {
    ring: Arc<KeyRing>,
    /// Route and server, with their lengths: authenticated, not sent.
    context: Vec<u8>,
}

/// A secret of chance.
///
/// # Errors
/// There is no chance to be had.
pub fn chance() -> Result<Secret, NoKey> {
    let mut secret = Zeroizing::new(vec![0; 32]);
    aws_lc_rs::rand::fill(&mut secret).map_err(|_| NoKey)?;
    Ok(Secret::from(secret))
}

impl KeyRing {
    /// Keys made of these secrets, of which there is at least one: [`chance`], if no other.
    ///
    /// # Errors
    /// The library refuses.
    pub fn new(secrets: &[impl AsRef<[u8]>], lifetime: Duration) -> Result<Self, NoKey> {
        let keys = secrets.iter().map(|secret| Key::of(secret.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { keys, lifetime })
    }

    /// For the callers of one route to one server.
    pub fn bind(self: &Arc<Self>, route: &str, upstream: &str) -> Binding {
        let mut context = Vec::new();
        for part in [route, upstream] {
            context.extend_from_slice(&(part.len() as u64).to_be_bytes());
            context.extend_from_slice(part.as_bytes());
        }
        Binding { ring: Arc::clone(self), context }
    }
}

impl Key {
    fn of(secret: &[u8]) -> Result<Self, NoKey> {
        let mut bytes = [0; KEY_ID + 32];
        let prk = Salt::new(HKDF_SHA256, b"fireguard page links").extract(secret);
        let okm = prk.expand(&[b"v1"], Length(bytes.len())).map_err(|_| NoKey)?;
        okm.fill(&mut bytes).map_err(|_| NoKey)?;
        let (id, key) = bytes.split_at(KEY_ID);
        let aead = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| NoKey)?;
        Ok(Self { id: id.try_into().map_err(|_| NoKey)?, aead })
    }
}

/// A length in the words of the HKDF.
struct Length(usize);

impl aws_lc_rs::hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl Binding {
    fn aad(&self, head: &[u8]) -> Aad<Vec<u8>> {
        Aad::from([head, &self.context].concat())
    }

    fn seal_at(&self, query: &str, now: SystemTime) -> Option<String> {
        let key = self.ring.keys.first()?;
        let until = seconds(now + self.ring.lifetime).to_be_bytes();
        let mut token = vec![VERSION];
        token.extend_from_slice(&key.id);
        let mut body = [&until[..], query.as_bytes()].concat();
        let nonce = key.aead.seal_in_place_append_tag(self.aad(&token), &mut body).ok()?;
        token.extend_from_slice(nonce.as_ref());
        token.extend_from_slice(&body);
        Some(URL_SAFE_NO_PAD.encode(token))
    }

    fn open_at(&self, token: &str, now: SystemTime) -> Result<String, Refusal> {
        let mut bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| foreign())?;
        if bytes.len() < HEAD + NONCE + TIME + TAG || bytes[0] != VERSION {
            return Err(foreign());
        }
        let (head, rest) = bytes.split_at_mut(HEAD);
        // A key that was taken out of service, or one of a process that has ended.
        let key = self.ring.keys.iter().find(|key| key.id == head[1..]).ok_or_else(gone)?;
        let (nonce, body) = rest.split_at_mut(NONCE);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| foreign())?;
        let opened = key.aead.open_in_place(nonce, self.aad(head), body).map_err(|_| foreign())?;
        let (until, query) = opened.split_at(TIME);
        let until = u64::from_be_bytes(until.try_into().unwrap_or_default());
        if until < seconds(now) {
            return Err(gone());
        }
        String::from_utf8(query.to_vec()).map_err(|_| foreign())
    }
}

impl SealPages for Binding {
    fn seal(&self, query: &str) -> String {
        // Sealing fails only for want of chance; an empty token leads nowhere.
        self.seal_at(query, SystemTime::now()).unwrap_or_default()
    }

    fn open(&self, token: &str) -> Result<String, Refusal> {
        self.open_at(token, SystemTime::now())
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Not ours, not of this route, or changed on the way.
fn foreign() -> Refusal {
    Refusal::new(400, IssueCode::Invalid, "this is no link to a page of this route")
}

fn gone() -> Refusal {
    let message = "the link to this page is not good any more: ask again from the first page";
    Refusal::new(410, IssueCode::Expired, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &str = "_getpages=0a-1&_getpagesoffset=20&_count=20&_bundletype=searchset";
    const HOUR: Duration = Duration::from_secs(3600);

    fn ring(secrets: &[&[u8]]) -> Arc<KeyRing> {
        Arc::new(KeyRing::new(secrets, HOUR).unwrap())
    }

    #[test]
    fn a_token_opens_where_its_key_is_and_only_on_its_route() {
        let (one, two) = (b"the first secret of all".as_slice(), b"another secret it is".as_slice());
        let now = SystemTime::now();
        let sealed = ring(&[one]).bind("fhir", "http://hapi").seal_at(QUERY, now).unwrap();
        for (secrets, route, server, later, expected) in [
            (&[one][..], "fhir", "http://hapi", HOUR, Ok(())),
            (&[two, one][..], "fhir", "http://hapi", HOUR, Ok(())),
            (&[one][..], "fhir", "http://hapi", HOUR + Duration::from_secs(1), Err(410)),
            (&[two][..], "fhir", "http://hapi", HOUR, Err(410)),
            (&[][..], "fhir", "http://hapi", HOUR, Err(410)),
            (&[one][..], "research", "http://hapi", HOUR, Err(400)),
            (&[one][..], "fhir", "http://other", HOUR, Err(400)),
            (&[one][..], "fhirhttp", "://hapi", HOUR, Err(400)),
        ] {
            let opened = ring(secrets).bind(route, server).open_at(&sealed, now + later);
            match expected {
                Ok(()) => assert_eq!(opened.unwrap(), QUERY),
                Err(status) => assert_eq!(opened.unwrap_err().status, status, "{route} {server} {later:?}"),
            }
        }
    }

    #[test]
    fn nothing_else_opens() {
        let binding = ring(&[b"the first secret of all"]).bind("fhir", "http://hapi");
        let sealed = binding.seal(QUERY);
        assert_ne!(sealed, binding.seal(QUERY), "two tokens alike");
        assert!(!sealed.contains("getpages"));
        let bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert!(binding.open(&URL_SAFE_NO_PAD.encode(changed)).is_err(), "byte {place}");
            assert!(binding.open(&URL_SAFE_NO_PAD.encode(&bytes[..place])).is_err(), "{place} bytes");
        }
        for token in ["", "x", "_getpages=0a-1", &format!("{sealed}="), &format!("{sealed}A")] {
            assert!(binding.open(token).is_err(), "{token}");
        }
    }
}

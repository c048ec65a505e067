//! Links to further pages, to jobs and to their files, sealed.
//!
//! HAPI's links name a search by a UUID that anybody may follow, on any route, at any offset; jobs and their files
//! likewise. Callers get an encrypted and authenticated token instead (AES-256-GCM with a random 96-bit nonce), which is
//! good for one caller on one route to one server and for a limited time. Nodes that share keys open each other's.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fireguard_access::principal::Principal;
use fireguard_fhir::interaction::{Refusal, SealPages};
use fireguard_fhir::outcome::IssueCode;
use zeroize::Zeroizing;

use crate::caller::PageOf;
use crate::config::units::Secret;
use crate::holder::Holder;

const VERSION: u8 = 2;
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

/// What tokens of a route are good for.
pub struct Binding {
    ring: Arc<KeyRing>,
    /// Route and server, with their lengths: authenticated, not sent.
    context: Vec<u8>,
}

/// What a token leads to; authenticated, not sent: none is good as another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leads {
    /// To a page of a search or history; the text is the query of the server's link.
    ToPage,
    /// The same of a search that was narrowed for its holder, and has proved it.
    ToProvedPage,
    /// To a job, by its id.
    ToJob,
    /// To a file of a job, by the id of a Binary.
    ToFile,
}

/// Seals for one caller of a route.
#[derive(Clone)]
pub struct ForCaller {
    binding: Arc<Binding>,
    caller: Arc<Principal>,
    /// Found out when it is needed: most answers have no links to pages.
    holder: OnceLock<Holder>,
    /// What pages are led to by.
    pages: Leads,
}

/// Opens a page for a caller who is not known yet, and remembers whom it was sealed for.
pub struct Opening<'a> {
    binding: &'a Binding,
    page: OnceLock<PageOf>,
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
    /// A token for this holder.
    pub fn seal(&self, leads: Leads, holder: Holder, text: &str) -> String {
        // Sealing fails only for want of chance; an empty token leads nowhere.
        self.seal_at(leads, holder, text, SystemTime::now()).unwrap_or_default()
    }

    /// What was sealed, and for whom.
    ///
    /// # Errors
    /// It was not sealed here for this, or not lately.
    pub fn open(&self, leads: Leads, token: &str) -> Result<(Holder, String), Refusal> {
        self.open_at(leads, token, SystemTime::now())
    }

    /// The same of a page of either kind.
    ///
    /// # Errors
    /// As [`Binding::open`].
    fn open_page(&self, token: &str) -> Result<(PageOf, String), Refusal> {
        let page = |proved| move |(holder, query)| (PageOf { holder, proved }, query);
        // One that is not good any more is not good as the other, either.
        match self.open(Leads::ToPage, token).map(page(false)) {
            Err(refusal) if refusal.status == 400 => self.open(Leads::ToProvedPage, token).map(page(true)),
            opened => opened,
        }
    }

    /// For one caller.
    pub fn of(self: &Arc<Self>, caller: Arc<Principal>) -> ForCaller {
        ForCaller { binding: Arc::clone(self), caller, holder: OnceLock::new(), pages: Leads::ToPage }
    }

    /// For a caller who is not known yet.
    pub fn opening(&self) -> Opening<'_> {
        Opening { binding: self, page: OnceLock::new() }
    }

    fn aad(&self, leads: Leads, head: &[u8]) -> Aad<Vec<u8>> {
        Aad::from([head, &[leads as u8], &self.context].concat())
    }

    fn seal_at(&self, leads: Leads, holder: Holder, text: &str, now: SystemTime) -> Option<String> {
        let key = self.ring.keys.first()?;
        let until = seconds(now + self.ring.lifetime).to_be_bytes();
        let mut token = vec![VERSION];
        token.extend_from_slice(&key.id);
        let mut body = [&until[..], holder.as_bytes(), text.as_bytes()].concat();
        let nonce = key.aead.seal_in_place_append_tag(self.aad(leads, &token), &mut body).ok()?;
        token.extend_from_slice(nonce.as_ref());
        token.extend_from_slice(&body);
        Some(URL_SAFE_NO_PAD.encode(token))
    }

    fn open_at(&self, leads: Leads, token: &str, now: SystemTime) -> Result<(Holder, String), Refusal> {
        let mut bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| foreign())?;
        if bytes.len() < HEAD + NONCE + TIME + Holder::LENGTH + TAG || bytes[0] != VERSION {
            return Err(foreign());
        }
        let (head, rest) = bytes.split_at_mut(HEAD);
        // A key that was taken out of service, or one of a process that has ended.
        let key = self.ring.keys.iter().find(|key| key.id == head[1..]).ok_or_else(gone)?;
        let (nonce, body) = rest.split_at_mut(NONCE);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| foreign())?;
        let opened = key.aead.open_in_place(nonce, self.aad(leads, head), body).map_err(|_| foreign())?;
        let (until, opened) = opened.split_at(TIME);
        let (holder, text) = opened.split_at(Holder::LENGTH);
        let until = u64::from_be_bytes(until.try_into().unwrap_or_default());
        if until < seconds(now) {
            return Err(gone());
        }
        let holder = Holder::read(holder).ok_or_else(foreign)?;
        Ok((holder, String::from_utf8(text.to_vec()).map_err(|_| foreign())?))
    }
}

/// For anyone: on a route that is open to anyone. Its jobs and files have the names that the server gave them.
impl SealPages for Binding {
    fn seal(&self, query: &str) -> String {
        Self::seal(self, Leads::ToPage, Holder::ANYONE, query)
    }

    fn open(&self, token: &str) -> Result<String, Refusal> {
        let (holder, query) = Self::open(self, Leads::ToPage, token)?;
        if holder == Holder::ANYONE { Ok(query) } else { Err(foreign()) }
    }
}

impl ForCaller {
    /// The same for the pages of a search that was narrowed, and is proved before a link to its next page leaves.
    #[must_use]
    pub fn proved(&self) -> Self {
        Self { pages: Leads::ToProvedPage, ..self.clone() }
    }

    fn holder(&self) -> Holder {
        *self.holder.get_or_init(|| Holder::of(&self.caller))
    }
}

impl fmt::Debug for ForCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ForCaller").field(&self.pages).finish()
    }
}

impl SealPages for ForCaller {
    fn seal(&self, query: &str) -> String {
        self.binding.seal(self.pages, self.holder(), query)
    }

    fn open(&self, token: &str) -> Result<String, Refusal> {
        let (PageOf { holder, .. }, query) = self.binding.open_page(token)?;
        if holder == self.holder() { Ok(query) } else { Err(foreign()) }
    }

    fn seal_job(&self, id: &str) -> Option<String> {
        Some(self.binding.seal(Leads::ToJob, self.holder(), id))
    }

    fn seal_file(&self, id: &str) -> Option<String> {
        Some(self.binding.seal(Leads::ToFile, self.holder(), id))
    }
}

impl Opening<'_> {
    /// The page that was opened; none: none was.
    pub fn page(self) -> Option<PageOf> {
        self.page.into_inner()
    }
}

impl SealPages for Opening<'_> {
    fn seal(&self, query: &str) -> String {
        SealPages::seal(self.binding, query)
    }

    fn open(&self, token: &str) -> Result<String, Refusal> {
        let (page, query) = self.binding.open_page(token)?;
        // A second one would be another's.
        self.page.set(page).map_err(|_| foreign())?;
        Ok(query)
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Not ours, not of this route or this caller, or changed on the way.
pub fn foreign() -> Refusal {
    Refusal::new(400, IssueCode::Invalid, "this is no link to a page of this route")
}

fn gone() -> Refusal {
    let message = "the link to this page is not good any more: ask again from the first page";
    Refusal::new(410, IssueCode::Expired, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::holder::tests::principal;

    const QUERY: &str = "_getpages=0a-1&_getpagesoffset=20&_count=20&_bundletype=searchset";
    const HOUR: Duration = Duration::from_secs(3600);

    fn ring(secrets: &[&[u8]]) -> Arc<KeyRing> {
        Arc::new(KeyRing::new(secrets, HOUR).unwrap())
    }

    fn holder(name: &str) -> Holder {
        Holder::of(&principal(name))
    }

    #[test]
    fn a_token_opens_where_its_key_is_and_only_on_its_route() {
        let (one, two) = (b"the first secret of all".as_slice(), b"another secret it is".as_slice());
        let now = SystemTime::now();
        let (page, job, ann) = (Leads::ToPage, Leads::ToJob, holder("ann"));
        let sealed = ring(&[one]).bind("fhir", "http://hapi").seal_at(page, ann, QUERY, now).unwrap();
        for (secrets, route, server, leads, later, expected) in [
            (&[one][..], "fhir", "http://hapi", page, HOUR, Ok(())),
            (&[two, one][..], "fhir", "http://hapi", page, HOUR, Ok(())),
            (&[one][..], "fhir", "http://hapi", page, HOUR + Duration::from_secs(1), Err(410)),
            (&[two][..], "fhir", "http://hapi", page, HOUR, Err(410)),
            (&[][..], "fhir", "http://hapi", page, HOUR, Err(410)),
            (&[one][..], "research", "http://hapi", page, HOUR, Err(400)),
            (&[one][..], "fhir", "http://other", page, HOUR, Err(400)),
            (&[one][..], "fhirhttp", "://hapi", page, HOUR, Err(400)),
            (&[one][..], "fhir", "http://hapi", job, HOUR, Err(400)),
            (&[one][..], "fhir", "http://hapi", Leads::ToFile, HOUR, Err(400)),
        ] {
            let opened = ring(secrets).bind(route, server).open_at(leads, &sealed, now + later);
            match expected {
                Ok(()) => assert_eq!(opened.unwrap(), (ann, QUERY.to_owned())),
                Err(status) => assert_eq!(opened.unwrap_err().status, status, "{route} {server} {later:?}"),
            }
        }
    }

    #[test]
    fn a_page_opens_for_its_holder_only() {
        let binding = Arc::new(ring(&[b"the first secret of all"]).bind("fhir", "http://hapi"));
        let (ann, bob) = (binding.of(principal("ann").into()), binding.of(principal("bob").into()));
        let proved = binding.of(principal("ann").into()).proved().seal(QUERY);
        let (sealed, open) = (ann.seal(QUERY), SealPages::seal(&*binding, QUERY));
        assert_eq!(ann.open(&sealed).unwrap(), QUERY);
        assert_eq!(ann.open(&proved).unwrap(), QUERY);
        assert_eq!(bob.open(&sealed).unwrap_err().status, 400);
        assert_eq!(bob.open(&proved).unwrap_err().status, 400);
        assert_eq!(SealPages::open(&*binding, &sealed).unwrap_err().status, 400);
        assert_eq!(ann.open(&open).unwrap_err().status, 400);
        assert_eq!(SealPages::open(&*binding, &open).unwrap(), QUERY);
        for (token, holder, proved) in
            [(&sealed, holder("ann"), false), (&open, Holder::ANYONE, false), (&proved, holder("ann"), true)]
        {
            let opening = binding.opening();
            assert_eq!(SealPages::open(&opening, token).unwrap(), QUERY);
            assert!(SealPages::open(&opening, token).is_err(), "one request leads to one page");
            assert_eq!(opening.page(), Some(PageOf { holder, proved }));
        }
        assert_eq!(binding.opening().page(), None);
        assert!(SealPages::seal_job(&*binding, "x").is_none() && ann.seal_job("x").is_some());
    }

    #[test]
    fn nothing_else_opens() {
        let binding = ring(&[b"the first secret of all"]).bind("fhir", "http://hapi");
        let sealed = SealPages::seal(&binding, QUERY);
        assert_ne!(sealed, SealPages::seal(&binding, QUERY), "two tokens alike");
        assert!(!sealed.contains("getpages"));
        let open = |token: &str| SealPages::open(&binding, token);
        let bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert!(open(&URL_SAFE_NO_PAD.encode(changed)).is_err(), "byte {place}");
            assert!(open(&URL_SAFE_NO_PAD.encode(&bytes[..place])).is_err(), "{place} bytes");
        }
        for token in ["", "x", "_getpages=0a-1", &format!("{sealed}="), &format!("{sealed}A")] {
            assert!(open(token).is_err(), "{token}");
        }
    }
}

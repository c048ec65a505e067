//! Capability: tokens, reversible ids and date offsets under a key that stays in the host.

mod ids;

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use wasmtime::component::{HasData, Linker};
use zeroize::Zeroizing;

use self::ids::IdKey;
use crate::capability::error;
use crate::capability::grant::{GrantFault, Held};
use crate::capability::key::{Secret, WeakKey};
use crate::contract::{Error, pseudonym};
use crate::host::{HostState, hex};

/// What one call may carry. A whole Bundle of thousands of resources fits.
const VALUES_PER_CALL: usize = 65_536;
const BYTES_PER_CALL: usize = 8 << 20;
/// How many values are hashed between two yields: about half a millisecond.
const VALUES_PER_TURN: usize = 2048;
/// Ten years: further than anybody shifts dates, and far from the end of any calendar.
const MAX_RANGE_DAYS: u16 = 3_652;

/// `[plugins.<name>.grants.pseudonym]`.
#[derive(Debug)]
pub struct PseudonymGrant {
    /// The key, at least 16 bytes. It is used as it is: a key in hexadecimal digits is those digits, as in
    /// Microsoft's anonymizer.
    pub key: Secret,
    /// The project or recipient that dates are shifted for: the same patient has another offset in
    /// another project.
    pub project: String,
    /// Dates move by at most this many days, back or forth. From 1 to 3,652; usually
    /// [`PseudonymGrant::DATE_RANGE_DAYS`].
    pub date_range_days: u16,
    /// Sealed ids may be opened again.
    pub open: bool,
}

impl PseudonymGrant {
    /// The default of [`date_range_days`](Self::date_range_days): half a year, so that seasons mix.
    pub const DATE_RANGE_DAYS: u16 = 182;
}

/// What is wrong with a grant of pseudonyms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PseudonymFault {
    /// The key is none.
    #[error(transparent)]
    Key(WeakKey),
    /// The project's name would make two projects look alike.
    #[error("the project holds a zero byte")]
    Project,
    /// The range is empty or too wide.
    #[error("date_range_days is to be from 1 to {MAX_RANGE_DAYS}")]
    Range,
}

/// Adds `fireguard:plugin/pseudonym`.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    pseudonym::add_to_linker::<HostState, Pseudonym>(linker, |host| &mut host.capabilities.pseudonym)
}

/// Checks the grant and makes the key ready; the key's bytes are wiped.
///
/// # Errors
/// [`PseudonymFault`].
pub(crate) fn validate(grant: PseudonymGrant) -> Result<Keyed, GrantFault> {
    grant.key.check().map_err(PseudonymFault::Key)?;
    if grant.project.contains('\0') {
        return Err(PseudonymFault::Project.into());
    }
    if !(1..=MAX_RANGE_DAYS).contains(&grant.date_range_days) {
        return Err(PseudonymFault::Range.into());
    }
    Ok(Keyed {
        mac: mac(grant.key.expose())?,
        dates: mac(date_key(grant.key.expose()).as_slice())?,
        ids: IdKey::of(grant.key.expose()).ok_or(PseudonymFault::Key(WeakKey::Empty))?,
        open: grant.open,
        project: grant.project,
        range: grant.date_range_days,
    })
}

/// HMAC takes keys of any length.
fn mac(key: &[u8]) -> Result<Hmac<Sha256>, PseudonymFault> {
    Hmac::new_from_slice(key).map_err(|_| PseudonymFault::Key(WeakKey::Empty))
}

/// The key of the date offsets. Tokens are published, and what is hashed for them may be chosen by others: under
/// one key, a well-chosen value would have a patient's offset for its token. A plain hash with the key inside is
/// nothing that tokens can be made to show.
fn date_key(key: &[u8]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(
        Sha256::new().chain_update(b"fireguard date offsets\0").chain_update(key).finalize().into(),
    )
}

/// The state of one instance of the plugin `name`.
pub(crate) fn prepare(keyed: Option<&Arc<Keyed>>, name: &Arc<str>) -> State {
    State(Held::new(name, "pseudonym", keyed))
}

/// Names the state's type for wasmtime.
pub(crate) struct Pseudonym;

impl HasData for Pseudonym {
    type Data<'a> = &'a mut State;
}

/// A checked grant. The prepared key is as secret as the key; the `zeroize` feature of its crates wipes it.
pub(crate) struct Keyed {
    mac: Hmac<Sha256>,
    dates: Hmac<Sha256>,
    ids: IdKey,
    open: bool,
    project: String,
    range: u16,
}

/// Answers the guest.
pub(crate) struct State(Held<Keyed>);

impl pseudonym::Host for State {
    async fn tokens(&mut self, domain: String, values: Vec<String>) -> Result<Vec<String>, Error> {
        let keyed = self.0.get()?;
        bounded(domain.len(), &values)?;
        answer(&values, |value| keyed.token(&domain, value)).await
    }

    async fn date_offsets(&mut self, patients: Vec<String>) -> Result<Vec<i32>, Error> {
        let keyed = self.0.get()?;
        bounded(keyed.project.len(), &patients)?;
        answer(&patients, |patient| keyed.date_offset(patient)).await
    }

    async fn seal(&mut self, domain: String, ids: Vec<String>) -> Result<Vec<String>, Error> {
        let keyed = self.0.get()?;
        bounded(domain.len(), &ids)?;
        let mut sealer = keyed.ids.sealer();
        let sealed = answer(&ids, |id| sealer.seal(&domain, id)).await?;
        let invalid = |place: usize| {
            error("invalid", format!("value {place} is no FHIR id of 1 to {} characters", ids::LONGEST))
        };
        sealed.into_iter().enumerate().map(|(place, id)| id.ok_or_else(|| invalid(place))).collect()
    }

    async fn open(&mut self, domain: String, sealed: Vec<String>) -> Result<Vec<Option<String>>, Error> {
        let keyed = self.0.get()?;
        if !keyed.open {
            return Err(error("not-granted", "the grant of pseudonyms does not say open = true"));
        }
        bounded(domain.len(), &sealed)?;
        let mut sealer = keyed.ids.sealer();
        answer(&sealed, |sealed| sealer.open(&domain, sealed)).await
    }
}

/// `prefix` is hashed with each value, and counts with each.
fn bounded(prefix: usize, values: &[String]) -> Result<(), Error> {
    let bytes = prefix.saturating_mul(values.len()) + values.iter().map(String::len).sum::<usize>();
    if values.len() > VALUES_PER_CALL || bytes > BYTES_PER_CALL {
        let message = format!("one call carries {VALUES_PER_CALL} values and {BYTES_PER_CALL} bytes at most");
        return Err(error("too-much", message));
    }
    Ok(())
}

/// Hashes in turns, so that a long list does not hold up the other tasks of the thread.
async fn answer<T>(values: &[String], mut hash: impl FnMut(&str) -> T) -> Result<Vec<T>, Error> {
    let mut answers = Vec::with_capacity(values.len());
    for turn in values.chunks(VALUES_PER_TURN) {
        if !answers.is_empty() {
            tokio::task::yield_now().await;
        }
        answers.extend(turn.iter().map(|value| hash(value)));
    }
    Ok(answers)
}

impl Keyed {
    /// HMAC-SHA256 of the value, or of domain, zero byte, value.
    fn token(&self, domain: &str, value: &str) -> String {
        let mut mac = self.mac.clone();
        if !domain.is_empty() {
            mac.update(domain.as_bytes());
            mac.update(&[0]);
        }
        mac.update(value.as_bytes());
        hex(&mac.finalize().into_bytes())
    }

    /// HMAC-SHA256 of project, zero byte, patient, under the key of the date offsets.
    fn date_offset(&self, patient: &str) -> i32 {
        let message = [&self.project, "\0", patient].map(str::as_bytes).concat();
        let mut digest = self.dates.clone().chain_update(message).finalize().into_bytes();
        loop {
            if let Some(days) = days(&digest, u32::from(self.range)) {
                return days;
            }
            // The next digest of the same key: as random, and the same each time.
            digest = self.dates.clone().chain_update(digest).finalize().into_bytes();
        }
    }
}

/// Maps the first four bytes that are not rejected to one of the `2 * range` offsets, zero not among them.
/// Rejecting the last, incomplete turn of the modulus makes all offsets equally likely.
fn days(digest: &[u8], range: u32) -> Option<i32> {
    let offsets = 2 * range;
    let fair = u32::MAX - u32::MAX % offsets;
    let (words, _) = digest.as_chunks::<4>();
    let drawn = words.iter().map(|word| u32::from_be_bytes(*word)).find(|drawn| *drawn < fair)?;
    let offset = i64::from(drawn % offsets) - i64::from(range);
    i32::try_from(if offset < 0 { offset } else { offset + 1 }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::pseudonym::Host;
    use proptest::prelude::*;

    const KEY: &str = "c2a4b51b0f8e2f9d3ab7a6f4e1d0c9b8";

    fn grant(project: &str, range: u16) -> PseudonymGrant {
        PseudonymGrant {
            key: KEY.to_owned().into(),
            project: project.into(),
            date_range_days: range,
            open: false,
        }
    }

    fn keyed(project: &str, range: u16) -> Keyed {
        validate(grant(project, range)).unwrap()
    }

    #[test]
    fn tokens_are_plain_hmac() {
        // RFC 4231, test case 2; its key is too short for a grant.
        let jefe = || mac(b"Jefe").unwrap();
        let keyed = Keyed { mac: jefe(), dates: jefe(), range: 1, ..keyed("", 1) };
        let token = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(keyed.token("", "what do ya want for nothing?"), token);
        assert_eq!(keyed.token("a", "b"), keyed.token("", "a\0b"), "domain, zero byte, value");
        assert_ne!(keyed.token("a", ""), keyed.token("", "a"));
    }

    #[test]
    fn faulty_grants_are_refused() {
        let weak = PseudonymGrant { key: "changeme".to_owned().into(), ..grant("", 1) };
        let cases = [
            (weak, PseudonymFault::Key(WeakKey::Short)),
            (grant("a\0b", 1), PseudonymFault::Project),
            (grant("a", 0), PseudonymFault::Range),
            (grant("a", 3_653), PseudonymFault::Range),
        ];
        for (grant, fault) in cases {
            let Some(GrantFault::Pseudonym(found)) = validate(grant).err() else { panic!("{fault}") };
            assert_eq!(found, fault);
        }
    }

    #[test]
    fn offsets_are_uniform_and_never_zero() {
        let keyed = keyed("study", 3);
        let mut counts = [0u32; 7];
        for patient in 0..6_000 {
            let days = keyed.date_offset(&format!("Patient/{patient}"));
            counts[usize::try_from(days + 3).unwrap()] += 1;
        }
        assert_eq!(counts[3], 0);
        for (index, count) in counts.into_iter().enumerate().filter(|(index, _)| *index != 3) {
            assert!((850..1150).contains(&count), "{index}: {count} of about 1,000");
        }
    }

    #[test]
    fn unfair_draws_are_rejected() {
        // 2^32 - 1 is divisible by 6 with remainder 3: the last three values would favour three offsets.
        let fair = u32::MAX - 3;
        let word = |drawn: u32| drawn.to_be_bytes();
        assert_eq!(days(&word(fair), 3), None);
        assert_eq!(days(&word(fair - 1), 3), Some(3));
        assert_eq!(days(&[word(u32::MAX), word(0)].concat(), 3), Some(-3));
    }

    #[tokio::test]
    async fn too_much_is_refused_before_any_work() {
        let mut state = prepare(Some(&Arc::new(keyed("p", 182))), &"p".into());
        let many = vec![String::new(); VALUES_PER_CALL + 1];
        assert_eq!(state.tokens(String::new(), many.clone()).await.unwrap_err().code, "too-much");
        assert_eq!(state.date_offsets(many.clone()).await.unwrap_err().code, "too-much");
        let long = vec!["x".repeat(BYTES_PER_CALL + 1)];
        assert_eq!(state.tokens(String::new(), long).await.unwrap_err().code, "too-much");
        let domain = "d".repeat(BYTES_PER_CALL / 2);
        assert_eq!(state.tokens(domain, vec![String::new(); 3]).await.unwrap_err().code, "too-much");
        assert_eq!(state.seal(String::new(), many.clone()).await.unwrap_err().code, "too-much");
        let most = vec![String::new(); VALUES_PER_CALL];
        assert_eq!(state.tokens(String::new(), most).await.map(|tokens| tokens.len()), Ok(VALUES_PER_CALL));
    }

    proptest! {
        #[test]
        fn offsets_stay_in_range(patient in ".{0,20}", project in "[a-z]{0,8}", range in 1u16..=MAX_RANGE_DAYS) {
            let keyed = keyed(&project, range);
            let days = keyed.date_offset(&patient);
            prop_assert!(days != 0 && days.unsigned_abs() <= u32::from(range));
            prop_assert_eq!(days, keyed.date_offset(&patient), "the same each time");
        }
    }
}

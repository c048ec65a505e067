//! Ids that stand for others, and can be turned back by who has the key.
//!
//! AES-256-SIV (RFC 5297): deterministic, so that references still lead to what they led to, and authenticated, so that
//! nothing opens but what was sealed. A FHIR id has 64 different characters, six bits each. One of up to 42 characters,
//! a one bit and zeros are 32 bytes; with the 16 bytes of the tag they are 48, which are 64 characters again: as long
//! as an id may be, whatever went in.

use aes_siv::KeyInit;
use aes_siv::siv::{Aes256Siv, IV_SIZE};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// The longest id that can be sealed; a UUID has 36 characters.
pub(super) const LONGEST: usize = 42;

/// Tells the key of sealed ids from others that are made of the same secret.
const LABEL: &[u8] = b"fireguard sealed ids 1";
const KEY_BYTES: usize = 64;
const PLAIN_BYTES: usize = 32;
const SEALED_CHARACTERS: usize = (IV_SIZE + PLAIN_BYTES) * 8 / BITS;
const BITS: usize = 6;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.";

/// The key; wiped when dropped.
pub(super) struct IdKey(Zeroizing<[u8; KEY_BYTES]>);

/// Seals and opens; made for one call.
pub(super) struct Sealer(Aes256Siv);

impl IdKey {
    /// Made of a secret by HKDF-SHA256 (RFC 5869), which refuses only keys over 255 digests.
    pub(super) fn of(secret: &[u8]) -> Option<Self> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        Hkdf::<Sha256>::new(None, secret).expand(LABEL, key.as_mut()).ok()?;
        Some(Self(key))
    }

    pub(super) fn sealer(&self) -> Sealer {
        Sealer(Aes256Siv::new((&*self.0).into()))
    }
}

impl Sealer {
    /// The id that stands for this one; none: it is no id of FHIR, or too long.
    pub(super) fn seal(&mut self, domain: &str, id: &str) -> Option<String> {
        let plain = pack(id)?;
        // Only more than 126 parts of associated data, or memory, could fail.
        let sealed = self.0.encrypt([domain.as_bytes()], &*plain).ok()?;
        Some(characters(&sealed))
    }

    /// The id that this one stands for; none: it was not sealed under this key, for this domain.
    pub(super) fn open(&mut self, domain: &str, sealed: &str) -> Option<String> {
        let sealed = bytes(sealed)?;
        let plain = Zeroizing::new(self.0.decrypt([domain.as_bytes()], &sealed).ok()?);
        unpack(&plain)
    }
}

/// The id, a one bit, zeros.
fn pack(id: &str) -> Option<Zeroizing<[u8; PLAIN_BYTES]>> {
    if id.is_empty() || id.len() > LONGEST {
        return None;
    }
    let mut plain = Zeroizing::new([0; PLAIN_BYTES]);
    for (place, character) in id.bytes().enumerate() {
        write(&mut *plain, place, value(character)?);
    }
    write(&mut *plain, id.len(), 1 << (BITS - 1));
    Some(plain)
}

fn unpack(plain: &[u8]) -> Option<String> {
    // The last one bit that is set ends the id.
    let last = plain.iter().rposition(|byte| *byte != 0)?;
    let end = last * 8 + 7 - plain[last].trailing_zeros() as usize;
    if !end.is_multiple_of(BITS) {
        return None;
    }
    Some((0..end / BITS).map(|place| char::from(ALPHABET[usize::from(read(plain, place))])).collect())
}

fn characters(sealed: &[u8]) -> String {
    (0..sealed.len() * 8 / BITS).map(|place| char::from(ALPHABET[usize::from(read(sealed, place))])).collect()
}

fn bytes(text: &str) -> Option<[u8; IV_SIZE + PLAIN_BYTES]> {
    if text.len() != SEALED_CHARACTERS {
        return None;
    }
    let mut sealed = [0; IV_SIZE + PLAIN_BYTES];
    for (place, character) in text.bytes().enumerate() {
        write(&mut sealed, place, value(character)?);
    }
    Some(sealed)
}

/// Six bits at a place, the first bit first.
fn read(bytes: &[u8], place: usize) -> u8 {
    let bit = |at: usize| (bytes[at / 8] >> (7 - at % 8)) & 1;
    (place * BITS..(place + 1) * BITS).fold(0, |value, at| value << 1 | bit(at))
}

/// Puts six bits at a place that is zero; what would lie behind the end is zero and left out.
fn write(bytes: &mut [u8], place: usize, value: u8) {
    for at in 0..BITS {
        let bit = (value >> (BITS - 1 - at)) & 1;
        let at = place * BITS + at;
        if bit == 1
            && let Some(byte) = bytes.get_mut(at / 8)
        {
            *byte |= 1 << (7 - at % 8);
        }
    }
}

fn value(character: u8) -> Option<u8> {
    Some(match character {
        b'A'..=b'Z' => character - b'A',
        b'a'..=b'z' => character - b'a' + 26,
        b'0'..=b'9' => character - b'0' + 52,
        b'-' => 62,
        b'.' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &[u8] = b"c2a4b51b0f8e2f9d3ab7a6f4e1d0c9b8a7f6e5d4c3b2a1908f7e6d5c4b3a2917";

    fn sealer(key: &[u8]) -> Sealer {
        IdKey::of(key).unwrap().sealer()
    }

    /// Computed by Python's `cryptography` (`HKDF`, `AESSIV`, both of OpenSSL), with the bits of id and answer as texts
    /// of ones and zeros.
    #[test]
    fn independent_vectors() {
        let cases = [
            ("", "1", "rKhBk6VYCwR9cfgmMkdmGbLnzUZk9I8U6KeBDqmiQmxWWNsAZpvnSm56DWV.sqav"),
            ("Patient", "1", "UPo9RypHITERjvdnatpz-OrfYm-QhiT.-KV1sMcOGKLpmB6PeZXJ8dNialVC429A"),
            ("Patient", "A", "tYEutP1uqp.ipTOS.ONTXg70udn36HaX3PgTIVaingsz2cx3pxZ7Q1Gz5h33WEmq"),
            ("Patient", "123", "inFWs5.PDKbNVVCJLNnW1KQMz9eXeFrpzu0GLPbRlf2PJGtOkhdoQ2h14WPJrWkZ"),
            (
                "Encounter",
                "4f9c2c3e-6b1e-4a6a-9e0a-0d7a9ad7a9c1",
                "BLmhqTh6WixjLjsPiCd49jC.7VLznEDy6bXlVceeJ7UAlql6Bpj0z92PkVzXb8pt",
            ),
            (
                "Ä",
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                "m9tCPXpKn-uCqRg9tRPDhnq0cYvmoAmuHL.zcnO3xlbrLY486nc8ABwg5aAmumf.",
            ),
            ("Patient", ".", "QH7LTxw.Le67ia-hNCnTONE3Y6JSU1wzv1CV1ZOWuF7EfZvUMnfnNFA5p-HxkbV2"),
        ];
        for (domain, id, sealed) in cases {
            assert_eq!(sealer(KEY).seal(domain, id).as_deref(), Some(sealed), "{domain} {id}");
            assert_eq!(sealer(KEY).open(domain, sealed).as_deref(), Some(id), "{domain} {id}");
        }
    }

    #[test]
    fn what_is_no_id_is_not_sealed_and_what_is_not_sealed_does_not_open() {
        for id in ["", "a/b", "a_b", "ä", " 1", &"x".repeat(43)] {
            assert_eq!(sealer(KEY).seal("", id), None, "{id}");
        }
        for text in
            ["", "1", &"A".repeat(63), &"A".repeat(64), &"A".repeat(65), &"_".repeat(64), &"ä".repeat(32)]
        {
            assert_eq!(sealer(KEY).open("", text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn ids_come_back_and_only_in_their_domain(
            id in "[A-Za-z0-9.-]{1,42}", other in "[A-Za-z0-9.-]{1,42}", domain in ".{0,8}", place in 0usize..64, to in 0usize..64,
        ) {
            let mut sealer = sealer(KEY);
            let sealed = sealer.seal(&domain, &id).unwrap();
            prop_assert!(sealed.len() == 64 && sealed.bytes().all(|byte| ALPHABET.contains(&byte)));
            prop_assert_eq!(sealer.seal(&domain, &id).unwrap(), sealed.clone(), "the same each time");
            prop_assert_eq!(sealer.open(&domain, &sealed), Some(id.clone()));
            prop_assert_eq!(sealer.seal(&domain, &other).unwrap() == sealed, id == other);
            prop_assert_eq!(sealer.open(&format!("{domain}x"), &sealed), None);
            prop_assert_eq!(super::tests::sealer(b"f3a9d1c07b6e4852").open(&domain, &sealed), None);
            let mut forged = sealed.clone().into_bytes();
            forged[place] = ALPHABET[to];
            let forged = String::from_utf8(forged).unwrap();
            prop_assert_eq!(sealer.open(&domain, &forged).is_some(), forged == sealed);
        }

        #[test]
        fn anything_may_be_asked_to_open(text in ".{0,70}") {
            prop_assert_eq!(sealer(KEY).open("", &text), None);
        }
    }
}

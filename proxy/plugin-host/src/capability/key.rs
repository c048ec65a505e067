//! Keys that never leave the host, and the check that they are keys.

use std::fmt;

use zeroize::Zeroizing;

/// Shorter keys can be searched for.
const MIN_BYTES: usize = 16;
/// A random key of [`MIN_BYTES`] bytes, or of as many hexadecimal digits, has fewer different characters
/// once in more than ten thousand draws, one of the recommended length practically never.
const MIN_DISTINCT: usize = 6;

/// What keys in examples are made of. A key of only such words, digits and signs is not one.
const SAMPLE_WORDS: [&str; 40] = [
    "abcdef",
    "anonymizer",
    "bytes",
    "change",
    "changeit",
    "crypto",
    "date",
    "default",
    "demo",
    "dev",
    "dummy",
    "example",
    "fake",
    "fhir",
    "fireguard",
    "foo",
    "bar",
    "hash",
    "here",
    "hmac",
    "insert",
    "key",
    "local",
    "long",
    "me",
    "my",
    "not",
    "only",
    "pass",
    "password",
    "please",
    "prod",
    "pseudonym",
    "replace",
    "sample",
    "secret",
    "shift",
    "test",
    "this",
    "your",
];

/// Secret bytes: wiped when dropped, never shown, not to be cloned.
pub struct Secret(Zeroizing<Vec<u8>>);

/// Why some bytes are no key. The text tells how to make one, and nothing of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WeakKey {
    /// There are none.
    #[error("the key is empty; make one with `openssl rand -hex 32`")]
    Empty,
    /// There are too few.
    #[error("the key has fewer than 16 bytes; make one with `openssl rand -hex 32`")]
    Short,
    /// They repeat too much.
    #[error("the key repeats a few characters; make one with `openssl rand -hex 32`")]
    Regular,
    /// They are words from an example.
    #[error("the key is a sample value; make one with `openssl rand -hex 32`")]
    Sample,
}

impl Secret {
    /// Takes over the bytes, exactly as they are: who reads them from a file removes its last line end.
    pub fn new(bytes: Vec<u8>) -> Secret {
        Secret(Zeroizing::new(bytes))
    }

    /// Whether the bytes can be a key.
    ///
    /// # Errors
    /// [`WeakKey`] when they are few, repeat themselves or come from an example.
    pub fn check(&self) -> Result<(), WeakKey> {
        if self.0.is_empty() {
            return Err(WeakKey::Empty);
        }
        if self.0.len() < MIN_BYTES {
            return Err(WeakKey::Short);
        }
        if is_sample(&self.0) {
            return Err(WeakKey::Sample);
        }
        if distinct(&self.0) < MIN_DISTINCT {
            return Err(WeakKey::Regular);
        }
        Ok(())
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Secret::new(text.into_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

fn distinct(key: &[u8]) -> usize {
    let mut seen = [false; 256];
    key.iter().filter(|byte| !std::mem::replace(&mut seen[usize::from(**byte)], true)).count()
}

/// Whether sample words, digits and signs are all there is. It splits in every possible way: "testhere" is
/// "test" and "here", whichever word is tried first.
fn is_sample(key: &[u8]) -> bool {
    let key = Zeroizing::new(key.to_ascii_lowercase());
    let mut reached = vec![false; key.len() + 1];
    reached[0] = true;
    for at in 0..key.len() {
        if !reached[at] {
            continue;
        }
        let plain = key[at].is_ascii_digit() || key[at].is_ascii_punctuation() || key[at] == b' ';
        reached[at + 1] |= plain;
        for word in SAMPLE_WORDS.iter().filter(|word| key[at..].starts_with(word.as_bytes())) {
            reached[at + word.len()] = true;
        }
    }
    reached[key.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn samples_are_not_keys() {
        let cases: [(&str, Result<(), WeakKey>); 15] = [
            ("", Err(WeakKey::Empty)),
            ("secret", Err(WeakKey::Short)),
            ("123456789012345", Err(WeakKey::Short)),
            ("example-example-example", Err(WeakKey::Sample)),
            ("ChangeMeChangeMe", Err(WeakKey::Sample)),
            ("your-secret-key-here", Err(WeakKey::Sample)),
            ("my_crypto_hash_key_1", Err(WeakKey::Sample)),
            ("test-key-please-change-me", Err(WeakKey::Sample)),
            ("0123456789abcdef0123456789ABCDEF", Err(WeakKey::Sample)),
            ("00000000000000000000", Err(WeakKey::Sample)),
            ("xxxxxxxxxxxxxxxxxxxxxxxx", Err(WeakKey::Regular)),
            ("abababababababababababab", Err(WeakKey::Regular)),
            ("f3a9d1c07b6e4852", Ok(())),
            ("c2a4b51b0f8e2f9d3ab7a6f4e1d0c9b8a7f6e5d4c3b2a1908f7e6d5c4b3a2917", Ok(())),
            ("correct horse battery staple", Ok(())),
        ];
        for (key, expected) in cases {
            let outcome = Secret::new(key.as_bytes().to_vec()).check();
            assert_eq!(outcome, expected, "{key}");
            if let Err(fault) = outcome {
                assert!(fault.to_string().contains("openssl rand -hex 32"));
            }
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new(b"c2a4b51b0f8e2f9d".to_vec())), "Secret");
    }

    proptest! {
        #[test]
        fn random_keys_are_keys(key in proptest::array::uniform32(any::<u8>())) {
            prop_assert_eq!(Secret::new(key.to_vec()).check(), Ok(()));
            prop_assert_eq!(Secret::new(crate::host::hex(&key).into_bytes()).check(), Ok(()));
        }
    }
}

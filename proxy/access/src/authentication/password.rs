//! Passwords, as they are kept: argon2id (RFC 9106) in the form of PHC strings.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params};

/// The most memory that checking one may take, in KiB; what is written here takes 19 MiB.
const MOST_MEMORY: u32 = 256 << 10;
/// The most passes over it.
const MOST_PASSES: u32 = 16;
/// The least that is believed to slow anybody down: what OWASP recommends at the least.
const LEAST_MEMORY: u32 = 7 << 10;

/// A password that is kept cannot be checked, or none be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It is not what `fireguard user add` writes.
    #[error("the password is not kept as argon2id: write it with `fireguard user add`")]
    Form,
    /// It takes too little to try it out, or too much to check it.
    #[error("the password's argon2id takes 7 MiB to 256 MiB and at most 16 passes")]
    Cost,
    /// The library refuses: there is no chance to be had, or no memory.
    #[error("the password cannot be hashed")]
    Hash,
}

/// A password as it is kept.
#[derive(Clone)]
pub struct Kept(PasswordHash, String);

impl Kept {
    /// Makes it of a password, with a salt of chance. Takes 19 MiB and some 20 ms.
    ///
    /// # Errors
    /// [`PasswordError::Hash`].
    pub fn of(password: &[u8]) -> Result<Self, PasswordError> {
        let hash = Argon2::default().hash_password(password).map_err(|_| PasswordError::Hash)?;
        let text = hash.to_string();
        Ok(Self(hash, text))
    }

    /// Reads it.
    ///
    /// # Errors
    /// It is no argon2id, or one that takes too little or too much.
    pub fn read(text: &str) -> Result<Self, PasswordError> {
        let hash = PasswordHash::new(text).map_err(|_| PasswordError::Form)?;
        let complete = hash.salt.is_some() && hash.hash.is_some();
        if !complete || hash.algorithm.as_str() != Algorithm::Argon2id.as_str() {
            return Err(PasswordError::Form);
        }
        let params = Params::try_from(&hash).map_err(|_| PasswordError::Form)?;
        let memory = (LEAST_MEMORY..=MOST_MEMORY).contains(&params.m_cost());
        if !memory || params.t_cost() > MOST_PASSES {
            return Err(PasswordError::Cost);
        }
        Ok(Self(hash, text.to_owned()))
    }

    /// Whether it is this one. Takes as long for a wrong one.
    pub fn is(&self, password: &[u8]) -> bool {
        Argon2::default().verify_password(password, &self.0).is_ok()
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.1
    }
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_password_opens() {
        let kept = Kept::of(b"correct horse").unwrap();
        let read = Kept::read(kept.as_str()).unwrap();
        assert!(kept.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        for (password, opens) in
            [("correct horse", true), ("Correct horse", false), ("", false), ("correct horse ", false)]
        {
            assert_eq!(read.is(password.as_bytes()), opens, "{password:?}");
        }
        assert_ne!(Kept::of(b"correct horse").unwrap().as_str(), kept.as_str(), "each has its own salt");
        assert!(!format!("{kept:?}").contains("argon2"));
    }

    #[test]
    fn what_is_weak_or_ruinous_is_refused() {
        let kept = Kept::of(b"x").unwrap().as_str().to_owned();
        for (from, to, error) in [
            ("argon2id", "argon2i", PasswordError::Form),
            ("argon2id", "scrypt", PasswordError::Form),
            ("m=19456", "m=4194304", PasswordError::Cost),
            ("m=19456", "m=64", PasswordError::Cost),
            ("t=2", "t=1000", PasswordError::Cost),
            ("$argon2id", "argon2id", PasswordError::Form),
        ] {
            assert_eq!(Kept::read(&kept.replace(from, to)).unwrap_err(), error, "{from} {to}");
        }
        let (without_hash, _) = kept.rsplit_once('$').unwrap();
        assert_eq!(Kept::read(without_hash).unwrap_err(), PasswordError::Form);
        assert_eq!(Kept::read("hunter2").unwrap_err(), PasswordError::Form);
    }
}

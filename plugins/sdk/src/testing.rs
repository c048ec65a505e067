//! A stand-in for the host in native tests.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{Host, HostError, Level};

/// A host for tests: grants pseudonyms under a key of the test's choice and keeps what is logged.
///
/// Tokens are those of the real host under the same key. Date offsets obey the same contract, but are not
/// the numbers that the real host gives.
#[derive(Debug)]
pub struct TestHost {
    key: Option<Vec<u8>>,
    now: SystemTime,
    limit: usize,
    lines: RefCell<Vec<(Level, String)>>,
    calls: RefCell<Vec<usize>>,
}

impl TestHost {
    /// A host with a key that is the same in every test.
    #[must_use]
    pub fn new() -> Self {
        Self::with_key(b"key of the test host")
    }

    /// A host that grants pseudonyms under this key.
    #[must_use]
    pub fn with_key(key: &[u8]) -> Self {
        Self {
            key: Some(key.to_vec()),
            now: SystemTime::now(),
            limit: usize::MAX,
            lines: RefCell::default(),
            calls: RefCell::default(),
        }
    }

    /// A host that grants nothing.
    #[must_use]
    pub fn without_grants() -> Self {
        Self { key: None, ..Self::new() }
    }

    /// At this time, in seconds since 1970.
    #[must_use]
    pub fn at(mut self, seconds: u64) -> Self {
        self.now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        self
    }

    /// Takes at most this many values in one call.
    #[must_use]
    pub fn with_limit(mut self, values: usize) -> Self {
        self.limit = values;
        self
    }

    /// What was logged so far.
    #[must_use]
    pub fn lines(&self) -> Vec<(Level, String)> {
        self.lines.borrow().clone()
    }

    /// How many values each call for tokens or offsets carried, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<usize> {
        self.calls.borrow().clone()
    }

    fn mac(&self, values: usize, message: &[&[u8]]) -> Result<[u8; 32], HostError> {
        if values > self.limit {
            return Err(HostError::new("too-much", format!("{} values at most", self.limit)));
        }
        let missing = || HostError::missing("pseudonym");
        let key = self.key.as_ref().ok_or_else(missing)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(|_| missing())?;
        for part in message {
            mac.update(part);
        }
        Ok(mac.finalize().into_bytes().into())
    }
}

impl Default for TestHost {
    fn default() -> Self {
        Self::new()
    }
}

impl Host for TestHost {
    fn tokens(&self, domain: &str, values: &[String]) -> Result<Vec<String>, HostError> {
        self.calls.borrow_mut().push(values.len());
        let separator: &[u8] = if domain.is_empty() { b"" } else { b"\0" };
        let token = |value: &String| {
            let mac = self.mac(values.len(), &[domain.as_bytes(), separator, value.as_bytes()])?;
            Ok(mac.iter().fold(String::with_capacity(64), |mut token, byte| {
                let _ = write!(token, "{byte:02x}");
                token
            }))
        };
        values.iter().map(token).collect()
    }

    fn date_offsets(&self, patients: &[String]) -> Result<Vec<i32>, HostError> {
        self.calls.borrow_mut().push(patients.len());
        let offset = |patient: &String| {
            let mac = self.mac(patients.len(), &[b"dateshift\0", patient.as_bytes()])?;
            let days = 1 + i32::from(u16::from_le_bytes([mac[0], mac[1]])) % 182;
            Ok(if mac[2] & 1 == 0 { days } else { -days })
        };
        patients.iter().map(offset).collect()
    }

    fn log(&self, level: Level, message: &str) {
        self.lines.borrow_mut().push((level, message.to_owned()));
    }

    fn now(&self) -> SystemTime {
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_hmac_sha256() {
        // RFC 4231, test case 2.
        let host = TestHost::with_key(b"Jefe");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let value = "what do ya want for nothing?".to_owned();
        assert_eq!(host.tokens("", std::slice::from_ref(&value)).unwrap(), [expected]);
        assert_ne!(host.tokens("domain", &[value]).unwrap(), [expected]);
        assert!(TestHost::without_grants().tokens("", &[String::new()]).unwrap_err().is_not_granted());
        assert!(host.with_limit(1).tokens("", &vec![String::new(); 2]).unwrap_err().is_too_much());
    }

    #[test]
    fn offsets_are_stable_and_never_zero() {
        let host = TestHost::new();
        let patients: Vec<_> = (0..1_000).map(|n| format!("Patient/{n}")).collect();
        let offsets = host.date_offsets(&patients).unwrap();
        assert!(offsets.iter().all(|days| *days != 0 && days.abs() <= 182));
        assert_eq!(host.date_offsets(&patients[7..8]).unwrap(), offsets[7..8]);
    }
}

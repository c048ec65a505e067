//! A stand-in for the host in native tests.

mod others;

use std::cell::RefCell;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{Coding, Entry, Host, HostError, HttpRequest, HttpResponse, Level, Match};

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
    others: others::Others,
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
            others: others::Others::default(),
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

    /// Grants values that outlive an instance; these are there.
    #[must_use]
    pub fn with_values<'a>(mut self, values: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        self.others.grant_values(values);
        self
    }

    /// Grants translation by a map: each code, in no system, to these matches.
    #[must_use]
    pub fn with_map<'a>(mut self, name: &str, codes: impl IntoIterator<Item = (&'a str, Match)>) -> Self {
        self.others.grant_map(name, codes);
        self
    }

    /// Grants requests, to the FHIR server and to others; this is the answer to the next that has none yet.
    #[must_use]
    pub fn with_answer(mut self, response: HttpResponse) -> Self {
        self.others.grant_answer(response);
        self
    }

    /// The requests sent so far.
    #[must_use]
    pub fn requests(&self) -> Vec<HttpRequest> {
        self.others.requests()
    }

    /// The value of a key now.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<Vec<u8>> {
        self.others.value(key)
    }

    /// The figures counted and observed so far, in order.
    #[must_use]
    pub fn figures(&self) -> Vec<(String, f64)> {
        self.others.figures()
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

/// What tells the sealed ids of one domain from those of another.
fn prefix(domain: &str) -> String {
    format!("s{}.", domain.len())
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

    /// Not the ids that the real host gives, but valid ones that [`open`](Host::open) knows.
    fn seal(&self, domain: &str, ids: &[String]) -> Result<Vec<String>, HostError> {
        let seal = |id: &String| {
            self.mac(ids.len(), &[])?;
            let fits = !id.is_empty() && id.len() <= 42;
            let refusal = HostError::new("invalid", "an id of up to 42 characters is needed");
            if fits { Ok(format!("{}{id}", prefix(domain))) } else { Err(refusal) }
        };
        ids.iter().map(seal).collect()
    }

    fn open(&self, domain: &str, sealed: &[String]) -> Result<Vec<Option<String>>, HostError> {
        self.mac(sealed.len(), &[])?;
        let prefix = prefix(domain);
        Ok(sealed.iter().map(|one| one.strip_prefix(&*prefix).map(str::to_owned)).collect())
    }

    fn get_values(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, HostError> {
        self.others.get_values(keys)
    }

    fn set_values(&self, entries: &[Entry]) -> Result<(), HostError> {
        self.others.set_values(entries)
    }

    fn delete_values(&self, keys: &[String]) -> Result<(), HostError> {
        self.others.delete_values(keys)
    }

    fn swap_value(&self, entry: &Entry, expected: Option<&[u8]>) -> Result<bool, HostError> {
        self.others.swap_value(entry, expected)
    }

    fn translate(&self, concept_map: &str, codings: &[Coding]) -> Result<Vec<Vec<Match>>, HostError> {
        self.others.translate(concept_map, codings)
    }

    fn send_fhir(&self, requests: &[HttpRequest]) -> Vec<Result<HttpResponse, HostError>> {
        requests.iter().map(|request| self.others.send("fhir_client", request)).collect()
    }

    fn send_http(&self, request: &HttpRequest) -> Result<HttpResponse, HostError> {
        self.others.send("http_out", request)
    }

    fn count(&self, name: &str, by: u64) {
        self.others.figure(name, by as f64);
    }

    fn observe(&self, name: &str, value: f64) {
        self.others.figure(name, value);
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
    fn what_is_granted_answers_and_what_is_not_refuses() {
        let found = Match {
            system: "http://loinc.org".into(),
            code: "8867-4".into(),
            display: None,
            equivalence: "equal".into(),
        };
        let keys = ["a".to_owned(), "b".to_owned()];
        let host = TestHost::new()
            .with_values([("a", &b"1"[..])])
            .with_map("lab", [("pulse", found.clone())])
            .with_answer(HttpResponse { status: 200, ..HttpResponse::default() });
        assert_eq!(host.get_values(&keys), Ok(vec![Some(b"1".to_vec()), None]));
        let entry = Entry { key: "b".into(), value: b"2".to_vec(), expires_in: None };
        assert_eq!(host.swap_value(&entry, Some(b"x")), Ok(false));
        assert_eq!(host.swap_value(&entry, None), Ok(true));
        assert_eq!(host.value("b"), Some(b"2".to_vec()));
        let coding = |code: &str| Coding { system: "s".into(), code: code.into() };
        let translated = host.translate("lab", &[coding("pulse"), coding("other")]);
        assert_eq!(translated, Ok(vec![vec![found], Vec::new()]));
        assert_eq!(host.translate("other", &[]).unwrap_err().code, "invalid");
        assert_eq!(host.send_http(&HttpRequest::get("https://a")).map(|answer| answer.status), Ok(200));
        assert_eq!(host.send_http(&HttpRequest::get("https://b")).unwrap_err().code, "unavailable");
        assert_eq!(host.requests().len(), 2);
        let sealed = host.seal("d", &keys).unwrap();
        assert_eq!(host.open("d", &sealed), Ok(keys.iter().cloned().map(Some).collect()));
        host.count("seen", 2);
        assert_eq!(host.figures(), [("seen".to_owned(), 2.0)]);

        let host = TestHost::without_grants();
        assert!(host.get_values(&keys).unwrap_err().is_not_granted());
        assert!(host.translate("lab", &[]).unwrap_err().is_not_granted());
        assert!(host.send_http(&HttpRequest::get("https://a")).unwrap_err().is_not_granted());
        assert!(host.seal("d", &keys).unwrap_err().is_not_granted());
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

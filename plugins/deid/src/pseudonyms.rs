//! What is asked of the host, collected so that a batch of resources costs one call.

use std::collections::{BTreeSet, HashMap};

use fireguard_sdk::{Host, HostError};

/// Digits of a token.
pub(crate) const TOKEN_LENGTH: usize = 64;

/// Values to be hashed.
#[derive(Debug, Default)]
pub(crate) struct Tokens(HashMap<String, u32>);

/// Offsets of patients' dates.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    known: HashMap<String, i32>,
    wanted: BTreeSet<String>,
}

impl Tokens {
    /// The number of this value's token in what [`Tokens::resolve`] answers.
    pub(crate) fn number(&mut self, value: &str) -> u32 {
        if let Some(number) = self.0.get(value) {
            return *number;
        }
        let number = self.0.len() as u32;
        self.0.insert(value.to_owned(), number);
        number
    }

    /// Asks the host for all tokens.
    pub(crate) fn resolve(self, host: &dyn Host) -> Result<Vec<String>, HostError> {
        let mut values = vec![String::new(); self.0.len()];
        for (value, number) in self.0 {
            values[number as usize] = value;
        }
        ask(&values, &|values| host.tokens("", values))
    }
}

impl Offsets {
    /// The offset of a patient. An unknown one is remembered for [`Offsets::resolve`].
    pub(crate) fn get(&mut self, patient: &str) -> Option<i32> {
        let known = self.known.get(patient).copied();
        if known.is_none() {
            self.wanted.insert(patient.to_owned());
        }
        known
    }

    /// Asks the host for the offsets that were missing. False: none were.
    pub(crate) fn resolve(&mut self, host: &dyn Host) -> Result<bool, HostError> {
        let patients: Vec<_> = std::mem::take(&mut self.wanted).into_iter().collect();
        if patients.is_empty() {
            return Ok(false);
        }
        let offsets = ask(&patients, &|patients| host.date_offsets(patients))?;
        self.known.extend(patients.into_iter().zip(offsets));
        Ok(true)
    }
}

/// Asks in one call, or in halves when that is too much for one.
fn ask<T, F>(values: &[String], call: &F) -> Result<Vec<T>, HostError>
where
    F: Fn(&[String]) -> Result<Vec<T>, HostError>,
{
    if values.is_empty() {
        return Ok(Vec::new());
    }
    match call(values) {
        Err(HostError::TooMuch) if values.len() > 1 => {
            let (left, right) = values.split_at(values.len() / 2);
            let mut answers = ask(left, call)?;
            answers.extend(ask(right, call)?);
            Ok(answers)
        }
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fireguard_sdk::testing::TestHost;

    #[test]
    fn asks_once_for_each_value_and_in_parts_if_need_be() {
        let collect = || {
            let mut tokens = Tokens::default();
            let numbers: Vec<_> = ["a", "b", "a", "c"].iter().map(|value| tokens.number(value)).collect();
            assert_eq!(numbers, [0, 1, 0, 2]);
            tokens
        };
        let host = TestHost::new();
        let whole = collect().resolve(&host).unwrap();
        assert_eq!(whole, host.tokens("", &["a", "b", "c"].map(str::to_owned)).unwrap());
        let host = TestHost::new().with_limit(1);
        assert_eq!(collect().resolve(&host).unwrap(), whole);
        assert_eq!(host.calls(), [3, 1, 2, 1, 1]);
        assert_eq!(collect().resolve(&TestHost::new().with_limit(0)), Err(HostError::TooMuch));
    }

    #[test]
    fn offsets_are_asked_for_once() {
        let host = TestHost::new();
        let mut offsets = Offsets::default();
        assert_eq!(offsets.resolve(&host), Ok(false));
        assert_eq!((offsets.get("a"), offsets.get("a")), (None, None));
        assert_eq!(offsets.resolve(&host), Ok(true));
        assert!(offsets.get("a").is_some());
        assert_eq!(offsets.resolve(&host), Ok(false));
        assert_eq!(host.calls(), [1]);
    }
}

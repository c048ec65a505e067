//! What is asked of the host, collected so that a batch of resources costs one call.

use std::collections::HashMap;

use fireguard_sdk::{Host, HostError};

/// Digits of a token.
pub(crate) const TOKEN_LENGTH: usize = 64;

/// Texts, each once, by number.
#[derive(Debug, Default)]
pub(crate) struct Numbers(HashMap<String, u32>);

/// What the resources of a batch need of the host.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Values to be hashed.
    pub(crate) tokens: Numbers,
    /// Patients whose dates move.
    pub(crate) patients: Numbers,
}

/// The host's answers, by the numbers of what was wanted.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) tokens: Vec<String>,
    pub(crate) offsets: Vec<i32>,
}

impl Numbers {
    /// The number of this text.
    pub(crate) fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.0.get(text) {
            return *number;
        }
        let number = self.0.len() as u32;
        self.0.insert(text.to_owned(), number);
        number
    }

    /// The texts in the order of their numbers.
    pub(crate) fn values(self) -> Vec<String> {
        let mut values = vec![String::new(); self.0.len()];
        for (value, number) in self.0 {
            values[number as usize] = value;
        }
        values
    }
}

impl Wanted {
    /// Asks the host for everything. None if its answers are not what its contract says.
    pub(crate) fn resolve(self, host: &dyn Host) -> Result<Option<Answers>, HostError> {
        let (values, patients) = (self.tokens.values(), self.patients.values());
        let tokens = ask(&values, &|values: &[String]| host.tokens("", values))?;
        let offsets = ask(&patients, &|patients: &[String]| host.date_offsets(patients))?;
        let fits = tokens.len() == values.len()
            && tokens.iter().all(|token| is_token(token))
            && offsets.len() == patients.len()
            && offsets.iter().all(|offset| *offset != 0);
        Ok(fits.then_some(Answers { tokens, offsets }))
    }
}

/// What stands between quotes as it is.
fn is_token(text: &str) -> bool {
    text.len() == TOKEN_LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit())
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
        Err(error) if error.is_too_much() && values.len() > 1 => {
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
    use std::time::SystemTime;

    use fireguard_sdk::Level;
    use fireguard_sdk::testing::TestHost;

    #[test]
    fn asks_once_for_each_value_and_in_parts_if_need_be() {
        let collect = || {
            let mut wanted = Wanted::default();
            let numbers: Vec<_> =
                ["a", "b", "a", "c"].iter().map(|value| wanted.tokens.number(value)).collect();
            assert_eq!(numbers, [0, 1, 0, 2]);
            wanted.patients.number("Patient/1");
            wanted
        };
        let resolve = |host: &TestHost| collect().resolve(host).map(Option::unwrap);
        let host = TestHost::new();
        let whole = resolve(&host).unwrap();
        assert_eq!(host.calls(), [3, 1]);
        assert_eq!(whole.tokens, host.tokens("", &["a", "b", "c"].map(str::to_owned)).unwrap());
        assert_eq!(whole.offsets, host.date_offsets(&["Patient/1".to_owned()]).unwrap());
        let host = TestHost::new().with_limit(1);
        assert_eq!(resolve(&host).unwrap().tokens, whole.tokens);
        assert_eq!(host.calls(), [3, 1, 2, 1, 1, 1]);
        assert!(resolve(&TestHost::new().with_limit(0)).unwrap_err().is_too_much());
    }

    struct Answering(Vec<String>, Vec<i32>);

    impl Host for Answering {
        fn tokens(&self, _: &str, _: &[String]) -> Result<Vec<String>, HostError> {
            Ok(self.0.clone())
        }

        fn date_offsets(&self, _: &[String]) -> Result<Vec<i32>, HostError> {
            Ok(self.1.clone())
        }

        fn log(&self, _: Level, _: &str) {}

        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH
        }
    }

    #[test]
    fn answers_against_the_contract_are_none() {
        let token = "0123456789abcdef".repeat(4);
        for (tokens, offsets, fits) in [
            (vec![token.clone()], vec![-7], true),
            (vec![token.clone()], vec![0], false),
            (vec![token.clone()], vec![], false),
            (vec![token.clone(), token.clone()], vec![-7], false),
            (vec![], vec![-7], false),
            (vec![token.replace('0', "\"")], vec![-7], false),
            (vec![token[1..].to_owned()], vec![-7], false),
        ] {
            let mut wanted = Wanted::default();
            wanted.tokens.number("a");
            wanted.patients.number("Patient/1");
            let host = Answering(tokens, offsets);
            assert_eq!(wanted.resolve(&host).unwrap().is_some(), fits, "{:?} {:?}", host.0, host.1);
        }
    }
}

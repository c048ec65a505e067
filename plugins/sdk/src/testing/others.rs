//! The capabilities of the test host beside pseudonyms. Each is granted by what the test gives it.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use crate::{Coding, Entry, HostError, HttpRequest, HttpResponse, Match};

#[derive(Debug, Default)]
pub(super) struct Others {
    values: Option<RefCell<BTreeMap<String, Vec<u8>>>>,
    maps: BTreeMap<String, Vec<(String, Match)>>,
    answers: Option<RefCell<VecDeque<HttpResponse>>>,
    requests: RefCell<Vec<HttpRequest>>,
    figures: RefCell<Vec<(String, f64)>>,
}

impl Others {
    pub(super) fn grant_values<'a>(&mut self, values: impl IntoIterator<Item = (&'a str, &'a [u8])>) {
        let owned = |(key, value): (&str, &[u8])| (key.to_owned(), value.to_vec());
        self.values = Some(RefCell::new(values.into_iter().map(owned).collect()));
    }

    pub(super) fn grant_map<'a>(&mut self, name: &str, codes: impl IntoIterator<Item = (&'a str, Match)>) {
        let codes = codes.into_iter().map(|(code, found)| (code.to_owned(), found)).collect();
        self.maps.insert(name.to_owned(), codes);
    }

    pub(super) fn grant_answer(&mut self, response: HttpResponse) {
        self.answers.get_or_insert_default().get_mut().push_back(response);
    }

    pub(super) fn get_values(&self, keys: &[String]) -> Result<Vec<Option<Vec<u8>>>, HostError> {
        let values = self.kept()?.borrow();
        Ok(keys.iter().map(|key| values.get(key).cloned()).collect())
    }

    pub(super) fn set_values(&self, entries: &[Entry]) -> Result<(), HostError> {
        let entries = entries.iter().map(|entry| (entry.key.clone(), entry.value.clone()));
        self.kept()?.borrow_mut().extend(entries);
        Ok(())
    }

    pub(super) fn delete_values(&self, keys: &[String]) -> Result<(), HostError> {
        self.kept()?.borrow_mut().retain(|key, _| !keys.contains(key));
        Ok(())
    }

    pub(super) fn swap_value(&self, entry: &Entry, expected: Option<&[u8]>) -> Result<bool, HostError> {
        let mut values = self.kept()?.borrow_mut();
        let fits = values.get(&entry.key).map(Vec::as_slice) == expected;
        if fits {
            values.insert(entry.key.clone(), entry.value.clone());
        }
        Ok(fits)
    }

    pub(super) fn translate(&self, name: &str, codings: &[Coding]) -> Result<Vec<Vec<Match>>, HostError> {
        if self.maps.is_empty() {
            return Err(HostError::missing("terminology"));
        }
        let unknown = || HostError::new("invalid", format!("there is no map {name}"));
        let map = self.maps.get(name).ok_or_else(unknown)?;
        let matches = |coding: &Coding| {
            map.iter().filter(|(code, _)| *code == coding.code).map(|(_, found)| found.clone()).collect()
        };
        Ok(codings.iter().map(matches).collect())
    }

    pub(super) fn send(&self, grant: &str, request: &HttpRequest) -> Result<HttpResponse, HostError> {
        let answers = self.answers.as_ref().ok_or_else(|| HostError::missing(grant))?;
        self.requests.borrow_mut().push(request.clone());
        let none = || HostError::new("unavailable", "the test has no further answer");
        answers.borrow_mut().pop_front().ok_or_else(none)
    }

    pub(super) fn figure(&self, name: &str, value: f64) {
        self.figures.borrow_mut().push((name.to_owned(), value));
    }

    pub(super) fn requests(&self) -> Vec<HttpRequest> {
        self.requests.borrow().clone()
    }

    pub(super) fn value(&self, key: &str) -> Option<Vec<u8>> {
        self.values.as_ref()?.borrow().get(key).cloned()
    }

    pub(super) fn figures(&self) -> Vec<(String, f64)> {
        self.figures.borrow().clone()
    }

    fn kept(&self) -> Result<&RefCell<BTreeMap<String, Vec<u8>>>, HostError> {
        self.values.as_ref().ok_or_else(|| HostError::missing("key_value"))
    }
}
